"""Schedules as plain values, so that a file that holds them can be read without running code."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from .compose import Join, Scaled, Warmup
from .hypers import Schedules
from .schedule import Schedule
from .schedules import SCHEDULES

_KINDS: dict[str, type[Schedule]] = {**SCHEDULES, "Join": Join, "Scaled": Scaled, "Warmup": Warmup}


def to_plain(value: Schedules | Any) -> Any:
    """A schedule, or one for each group, as dicts, tuples, numbers and text.

    Raises ValueError for a schedule that is not of lrlab.callbacks, and for `Custom`, which holds a function.

    >>> from lrlab.callbacks import StepDecay
    >>> to_plain(StepDecay(every=2))["kind"], from_plain(to_plain(StepDecay(every=2))) == StepDecay(every=2)
    ('StepDecay', True)
    """
    if isinstance(value, Schedule):
        kind = type(value).__name__
        if _KINDS.get(kind) is not type(value) or kind == "Custom":
            raise ValueError(f"Extendable can store the schedules of lrlab.callbacks, apart from Custom; got {value!r}")
        return {"kind": kind, "arguments": {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, dict):
        return {"groups": [(group, to_plain(schedule)) for group, schedule in value.items()]}
    return tuple(map(to_plain, value)) if isinstance(value, (tuple, list)) else value


def from_plain(value: Any) -> Any:
    "What `to_plain` was given."
    if isinstance(value, dict) and "groups" in value:
        return {group: from_plain(schedule) for group, schedule in value["groups"]}
    if isinstance(value, dict):
        return _KINDS[value["kind"]](**{name: from_plain(item) for name, item in value["arguments"].items()})
    return tuple(map(from_plain, value)) if isinstance(value, (tuple, list)) else value
