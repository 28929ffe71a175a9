"""Schedules made of schedules: `warmup` puts a rise before one, `join` puts several in a row, `scaled` lowers one.

Each part is a schedule over its own share of the run: its p, its percentages and its cycles count from its own start.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import arguments
from .arguments import Budget, Length
from .schedule import Curve, Schedule, between, checked


def warmup(schedule: Schedule, length: Length, start: float = 0.0) -> Warmup:
    """A straight rise from `start` to the schedule's first multiplier m, then `schedule` over the rest of the run.

    start + (m - start) * t / length while t < length; Goyal et al. 2017 (arXiv:1706.02677, section 2.2). `length` is a
    length of training (epochs, "300 steps", "10%") shorter than the run, `start` in [0, 1], both as parts of lr_max.

    >>> from lrlab.callbacks import CosineDecay, warmup
    >>> warmup(CosineDecay(), "2 steps").multipliers(4, 1)
    array([0. , 0.5, 1. , 0.5])
    """
    return Warmup(schedule, length, start)


def join(parts: Iterable[tuple[Schedule, Length | None]]) -> Join:
    """One schedule after the other, each for its length; the last may have the length None, for the rest of the run.

    The lengths must add up to the run; this is checked at the start of the fit. Sums of lengths are exact, and each sum
    is rounded once to whole steps. `scaled` gives a part a lower peak.

    >>> from lrlab.callbacks import Constant, PolynomialDecay, join
    >>> join([(Constant(), "2 steps"), (PolynomialDecay(), None)]).multipliers(6, 1)
    array([1.  , 1.  , 1.  , 0.75, 0.5 , 0.25])
    """
    return Join(parts)  # type: ignore[arg-type]  # its check makes a tuple of any iterable


def scaled(schedule: Schedule, factor: float) -> Scaled:
    """`schedule` with every multiplier times `factor`, a number in (0, inf): a part of a `join` with a lower peak.

    Momentum, which follows the shape of the schedule, does not change.

    >>> from lrlab.callbacks import Constant, PolynomialDecay, join, scaled
    >>> join([(Constant(), "2 steps"), (scaled(PolynomialDecay(), 0.5), None)]).multipliers(6, 1)
    array([1.   , 1.   , 0.5  , 0.375, 0.25 , 0.125])
    """
    return Scaled(schedule, factor)


def _check_schedule(name: str, value: Any) -> Schedule:
    if not isinstance(value, Schedule):
        raise ValueError(f"{name} must be a Schedule, got {value!r}; a function f(p) becomes one as Custom(f)")
    return value


class _Composite(Schedule):
    "The base of schedules made of schedules."

    def _shares(self, budget: Budget) -> list[tuple[int, Schedule, Budget]]:
        "Every part with its first step and its share of the run."
        raise NotImplementedError

    def _curve(self, budget: Budget) -> Curve:
        return self._in_turn([(start, part._curve(share)) for start, part, share in self._shares(budget)])

    def _shape(self, budget: Budget) -> Curve:
        return self._in_turn([(start, part._shape(share)) for start, part, share in self._shares(budget)])

    def _in_turn(self, curves: list[tuple[int, Curve]]) -> Curve:
        "One curve after the other, each on steps counted from its own start. The steps `t` must rise."
        starts = [start for start, _ in curves]

        def curve(t: np.ndarray) -> np.ndarray:
            pieces = np.split(t, np.searchsorted(t, starts[1:]))
            return np.concatenate([f(piece - start) for (start, f), piece in zip(curves, pieces, strict=True)])

        return curve

    def _ends(self, budget: Budget) -> list[int]:
        return [start + end for start, part, share in self._shares(budget) for end in part._ends(share)]

    def _parts(self, budget: Budget) -> list[tuple[Schedule, Budget]]:
        return [(self, budget), *(pair for _, part, share in self._shares(budget) for pair in part._parts(share))]


@dataclass(frozen=True)
class Scaled(_Composite):
    "The result of `scaled`."

    schedule: Schedule = checked(_check_schedule)
    factor: float = checked(arguments.number, "(0, inf)")

    def _shares(self, budget: Budget) -> list[tuple[int, Schedule, Budget]]:
        return [(0, self.schedule, budget)]

    def _curve(self, budget: Budget) -> Curve:
        curve = self.schedule._curve(budget)
        return lambda t: self.factor * curve(t)


@dataclass(frozen=True)
class Warmup(_Composite):
    "The result of `warmup`."

    schedule: Schedule = checked(_check_schedule)
    length: Length = checked(arguments.length)
    start: float = checked(arguments.number, "[0, 1]", default=0.0)

    def _shares(self, budget: Budget) -> list[tuple[int, Schedule, Budget]]:
        steps = arguments.whole_steps("length", self.length, budget)
        if steps == budget.total_steps:
            raise ValueError(f"a warm-up of length={self.length!r} takes all of the run's {steps} steps")
        return [(steps, self.schedule, budget._replace(total_steps=budget.total_steps - steps))]

    def _in_turn(self, curves: list[tuple[int, Curve]]) -> Curve:
        [(steps, after)] = curves
        first = after(np.zeros(1)).item()
        return super()._in_turn([(0, lambda t: between(self.start, first, t / steps)), (steps, after)])


def _check_parts(name: str, value: Any) -> tuple[tuple[Schedule, Length | None], ...]:
    try:
        parts = [(schedule, length) for schedule, length in value]
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be pairs (schedule, length), got {value!r}") from None
    if not parts:
        raise ValueError(f"{name} must be at least one pair (schedule, length), got none")
    for i, (schedule, length) in enumerate(parts):
        _check_schedule(f"{name}[{i}]", schedule)
        if length is not None or i < len(parts) - 1:
            arguments.length(f"length of {name}[{i}]", length)
    return tuple((schedule, arguments.plain(length)) for schedule, length in parts)


@dataclass(frozen=True)
class Join(_Composite):
    "The result of `join`."

    parts: tuple[tuple[Schedule, Length | None], ...] = checked(_check_parts)

    def _lengths(self) -> dict[str, Length]:
        return {f"length of parts[{i}]": length for i, (_, length) in enumerate(self.parts) if length is not None}

    def _shares(self, budget: Budget) -> list[tuple[int, Schedule, Budget]]:
        lengths = [arguments.in_steps(name, length, budget) for name, length in self._lengths().items()]
        bounds = [0, *(round(end) for end in np.cumsum(lengths).round(6).tolist())]
        if len(lengths) < len(self.parts):
            bounds.append(budget.total_steps)
        steps = np.diff(bounds).tolist()
        if bounds[-1] != budget.total_steps or min(steps) < 1:
            raise ValueError(
                f"the parts take {steps} steps, and the run has {budget.total_steps}; every part must have at least "
                "one step and all together the whole run (the length None gives the last part what is left)"
            )
        return [
            (start, schedule, budget._replace(total_steps=share))
            for start, share, (schedule, _) in zip(bounds, steps, self.parts, strict=False)
        ]

    def _ends(self, budget: Budget) -> list[int]:
        "The ends of all parts. A part after which the LR does not rise ends no cycle."
        curve, last = self._curve(budget), budget.total_steps - 1

        def before_a_rise(end: int) -> bool:
            now, following = curve(np.array([end, end + 1.0]))
            return following > now

        return [end for end in super()._ends(budget) if end == last or before_a_rise(end)]
