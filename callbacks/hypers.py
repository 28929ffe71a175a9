"""Hyper-parameters of an optimizer: learning rates as fastai takes them, and the values of a run."""

from __future__ import annotations

import inspect
from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from fastai.basics import L, Learner, OptimWrapper, even_mults

from . import _fastai
from .arguments import number, plain
from .schedule import Curve, Schedule, sample

LR = float | slice | Sequence[float]
"A learning rate for all parameter groups, fastai's slice over them, or one for each."

Schedules = Schedule | Mapping[int, Schedule]
"One schedule for all parameter groups, or schedules by the group's index: {0: ..., -1: ...}."


def n_groups(learn: Learner, new_opt: bool = False) -> int:
    "How many parameter groups the learner's optimizer has, or will have; `new_opt` means one that is made anew."
    if isinstance(learn.opt_func, OptimWrapper):
        return len(learn.opt_func.hypers)
    if learn.opt is not None and not new_opt:
        return len(learn.opt.hypers)
    # Made as `learn.create_opt` makes it: an `opt_func` may have groups of its own, such as one without weight decay.
    return len(learn.opt_func(learn.splitter(learn.model), lr=learn.lr).hypers)


def default_lr(learn: Learner) -> LR:
    "The LR of a fit that names none. As `learn.create_opt` finds it where there is no optimizer yet."
    given = learn.opt_func.keywords if isinstance(learn.opt_func, partial) and learn.opt is None else {}
    return given.get("lr", learn.lr)


def spread_lr(name: str, lr: LR, groups: int) -> list[float]:
    "One LR for every parameter group, spread as fastai's optimizers do it."
    if isinstance(lr, slice):
        if lr.step is not None:
            raise ValueError(f"{name}={lr!r}: a slice of learning rates has no step; expected slice(first, last)")
        stop = check_lr(f"{name}.stop", lr.stop)
        if lr.start and groups > 1:
            return [float(o) for o in even_mults(check_lr(f"{name}.start", lr.start), stop, groups)]
        return [stop / 10] * (groups - 1) + [stop]
    lr = plain(lr)
    several = not isinstance(lr, str) and (isinstance(lr, (Sequence, L)) or hasattr(lr, "__array__"))
    lrs = [check_lr(name, o) for o in (lr if several else [lr])]
    if len(lrs) not in (1, groups):
        raise ValueError(f"{name}={lr!r} must be one LR or {groups}, one for each parameter group; got {len(lrs)}")
    return lrs * groups if len(lrs) == 1 else lrs


def check_lr(name: str, lr: Any) -> float:
    "`lr` as a Python float."
    return float(number(name, lr, "[0, inf)"))


def check_settable(opt: Any) -> None:
    "Raise `ValueError` for an optimizer of fastai's that never passes on a value to torch's optimizer within it."
    if not isinstance(opt, OptimWrapper) and opt.hypers[0] is not opt.hypers[0]:  # copies
        raise ValueError(
            f"{type(opt).__name__} around an OptimWrapper ignores every LR that is set, by fastai's own schedules too; "
            "give it an optimizer of fastai's, such as SGD or Adam"
        )


def read_hypers(opt: Any) -> tuple[list[float], list[float]]:
    "The LR and the momentum (NaN where there is none) of every parameter group."
    lrs, moms = _fastai.read_hyper(opt, "lr"), _fastai.read_hyper(opt, "mom")
    return [float(lr) for lr in lrs], [np.nan if mom is None else mom for mom in moms]


def uses(opt: Any, name: str) -> bool:
    "Whether the optimizer's step reads this setting. SGD(mom=0) of fastai's has a `mom` that no function reads."
    functions = [f.func if isinstance(f, partial) else f for f in _fastai.step_functions(opt)]
    is_set = None not in _fastai.read_hyper(opt, name)
    return is_set and (not functions or any(name in inspect.signature(f).parameters for f in functions))


def check_schedules(schedules: Any) -> Schedules:
    "A schedule, or a dict of schedules by group index."
    named = schedules if isinstance(schedules, Mapping) else {0: schedules}
    for group, schedule in named.items():
        if not isinstance(schedule, Schedule):
            raise ValueError(f"schedule must be a Schedule such as CosineDecay(), got {schedule!r}")
        if not isinstance(group, int) or isinstance(group, bool):
            raise ValueError(f"schedule must have whole numbers of parameter groups as keys, got {group!r}")
    if not named:
        raise ValueError("schedule must be a Schedule or a dict with at least one, got {}")
    return schedules


def by_group(schedules: Schedules, groups: int) -> list[Schedule]:
    """The schedule of every parameter group. A group without one follows the nearest group before it that has one.

    >>> from lrlab.callbacks import Constant, CosineDecay
    >>> by_group({0: Constant(), -1: CosineDecay()}, groups=3)
    [Constant(), Constant(), CosineDecay(floor=0.0)]
    """
    if isinstance(schedules, Schedule):
        return [schedules] * groups
    named = {}
    for group, schedule in schedules.items():
        if not -groups <= group < groups:
            raise ValueError(f"schedule is for parameter group {group}, and the optimizer has {groups}")
        named[group % groups] = schedule
    return [named[max((g for g in named if g <= group), default=min(named))] for group in range(groups)]


def per_group(schedules: Schedules, curve_of: Callable[[Schedule], Curve]) -> Callable[[int], list[Curve]]:
    "A function from the number of parameter groups to the curve of each. Groups of one schedule share its curve."
    curves: dict[int, Curve] = {}

    def of_groups(groups: int) -> list[Curve]:
        chosen = by_group(schedules, groups)
        curves.update({id(schedule): curve_of(schedule) for schedule in chosen if id(schedule) not in curves})
        return [curves[id(schedule)] for schedule in chosen]

    return of_groups


class Track(NamedTuple):
    "One hyper-parameter of a run: in every group a base value times a curve."

    name: str
    bases: list[float] | None  # None: the curve gives the value itself
    curves: Callable[[int], list[Curve]]  # from the number of groups to the curve of each


class Plan:
    "Sets hyper-parameters of an optimizer along a run."

    __slots__ = ("tracks", "total", "hypers", "_samples", "_writes")

    def __init__(self, tracks: list[Track], total_steps: int) -> None:
        self.tracks, self.total = tracks, total_steps
        self.hypers: Any = None  # where it writes; None finds out again
        self._samples: dict[Curve, array] = {}
        self._writes: list[tuple[str, array, Curve, list[tuple[dict[str, Any], float]]]] = []

    def write(self, opt: Any, position: float) -> None:
        "Set the values for a position in planned steps. The last planned step's values hold beyond it."
        # Runs at every batch: the last line of fastai's `set_hyper` without the 30 microseconds before it.
        if opt.hypers is not self.hypers:
            self._bind(opt.hypers)
        try:
            for name, values, _, pairs in self._writes:
                value = values[position]  # type: ignore[call-overload]
                for hyper, base in pairs:
                    hyper[name] = base * value
        except (TypeError, IndexError):  # between two planned steps, or beyond the last
            at = np.array([position if position < self.total else self.total - 1.0])
            for name, _, curve, pairs in self._writes:
                for hyper, base in pairs:
                    hyper[name] = base * curve(at).item()

    def table(self, name: str, groups: int) -> np.ndarray:
        "The values of a hyper-parameter at all steps: float64, shape [steps, groups]."
        track = next(track for track in self.tracks if track.name == name)
        bases, curves = track.bases or [1.0] * groups, track.curves(groups)
        values = {curve: sample(curve, self.total) for curve in dict.fromkeys(curves)}
        return np.stack([base * values[curve] for base, curve in zip(bases, curves, strict=True)], axis=1)

    def _bind(self, hypers: Any) -> None:
        "Find out where to write: at the first step, after a checkpoint was loaded, where groups come or go."
        self.hypers, self._writes = hypers, []
        for i, track in enumerate(self.tracks):
            bases = [1.0] * len(hypers)
            if track.bases is not None:
                bases = [*track.bases[: len(hypers)], *(hyper[track.name] for hyper in hypers[len(track.bases) :])]
                self.tracks[i] = track._replace(bases=bases)
            curves = track.curves(len(hypers))
            for curve in dict.fromkeys(curves):
                pairs = [(h, base) for h, base, own in zip(hypers, bases, curves, strict=True) if own is curve]
                self._writes.append((track.name, self._sampled(curve), curve, pairs))

    def _sampled(self, curve: Curve) -> array:
        if curve not in self._samples:
            self._samples[curve] = array("d", sample(curve, self.total).tobytes())
        return self._samples[curve]


class WrappedPlan(Plan):
    "A Plan for an optimizer of torch's in an OptimWrapper, whose `hypers` are copies."

    __slots__ = ()

    def write(self, opt: OptimWrapper, position: float) -> None:
        if self.hypers is None:
            self._bind(opt.hypers)
        super().write(self, position)
        for track in self.tracks:
            _fastai.set_hyper(opt, track.name, [hyper[track.name] for hyper in self.hypers])
