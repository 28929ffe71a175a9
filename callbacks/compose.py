"""Schedules made of schedules: `warmup` puts a rise before one, `join` puts several in a row, `scaled` lowers one.

Each part is a schedule over its own share of the run: its p, its percentages and its cycles count from its own start.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def _schedule(name: str, value: Any) -> Schedule:
    if not isinstance(value, Schedule):
        raise ValueError(f"{name} must be a Schedule, got {value!r}; a function f(p) becomes one as Custom(f)")
    return value


@dataclass(frozen=True)
class Scaled(Schedule):
    "The result of `scaled`."

    schedule: Schedule = checked(_schedule)
    factor: float = checked(arguments.number, "(0, inf)")

    def _curve(self, budget: Budget) -> Curve:
        curve = self.schedule._curve(budget)
        return lambda t: self.factor * curve(t)

    def _shape(self, budget: Budget) -> Curve:
        return self.schedule._shape(budget)

    def _ends(self, budget: Budget) -> list[int]:
        return self.schedule._ends(budget)

    def _parts(self, budget: Budget) -> list[tuple[Schedule, Budget]]:
        return [(self, budget), *self.schedule._parts(budget)]


@dataclass(frozen=True)
class Warmup(Schedule):
    "The result of `warmup`."

    schedule: Schedule = checked(_schedule)
    length: Length = checked(arguments.length)
    start: float = checked(arguments.number, "[0, 1]", default=0.0)

    def _rest(self, budget: Budget) -> tuple[int, Budget]:
        steps = arguments.whole_steps("length", self.length, budget)
        if steps == budget.total_steps:
            raise ValueError(f"a warm-up of length={self.length!r} takes all of the run's {steps} steps")
        return steps, budget._replace(total_steps=budget.total_steps - steps)

    def _curve(self, budget: Budget) -> Curve:
        steps, rest = self._rest(budget)
        return self._rise_into(self.schedule._curve(rest), steps)

    def _shape(self, budget: Budget) -> Curve:
        steps, rest = self._rest(budget)
        return self._rise_into(self.schedule._shape(rest), steps)

    def _rise_into(self, then: Curve, steps: int) -> Curve:
        first = then(np.zeros(1)).item()
        return _in_turn([0, steps], [lambda t: between(self.start, first, t / steps), then])

    def _ends(self, budget: Budget) -> list[int]:
        steps, rest = self._rest(budget)
        return [steps + end for end in self.schedule._ends(rest)]

    def _parts(self, budget: Budget) -> list[tuple[Schedule, Budget]]:
        _, rest = self._rest(budget)
        return [(self, budget), *self.schedule._parts(rest)]


def _parts(name: str, value: Any) -> tuple[tuple[Schedule, Length | None], ...]:
    try:
        parts = [(schedule, length) for schedule, length in value]
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be pairs (schedule, length), got {value!r}") from None
    if not parts:
        raise ValueError(f"{name} must be at least one pair (schedule, length), got none")
    for i, (schedule, length) in enumerate(parts):
        _schedule(f"{name}[{i}]", schedule)
        if length is not None or i < len(parts) - 1:
            arguments.length(f"length of {name}[{i}]", length)
    return tuple((schedule, arguments.plain(length)) for schedule, length in parts)


@dataclass(frozen=True)
class Join(Schedule):
    "The result of `join`."

    parts: tuple[tuple[Schedule, Length | None], ...] = checked(_parts)

    def _lengths(self) -> dict[str, Length]:
        return {f"length of parts[{i}]": length for i, (_, length) in enumerate(self.parts) if length is not None}

    def _shares(self, budget: Budget) -> list[tuple[int, Schedule, Budget]]:
        "Every part with its first step and its share of the run."
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

    def _curve(self, budget: Budget) -> Curve:
        starts, schedules, shares = zip(*self._shares(budget), strict=True)
        return _in_turn(starts, [schedule._curve(share) for schedule, share in zip(schedules, shares, strict=True)])

    def _shape(self, budget: Budget) -> Curve:
        starts, schedules, shares = zip(*self._shares(budget), strict=True)
        return _in_turn(starts, [schedule._shape(share) for schedule, share in zip(schedules, shares, strict=True)])

    def _ends(self, budget: Budget) -> list[int]:
        "The ends of all parts. A part after which the LR does not rise ends no cycle."
        curve = self._curve(budget)
        ends = [start + end for start, schedule, share in self._shares(budget) for end in schedule._ends(share)]

        def before_a_rise(end: int) -> bool:
            now, following = curve(np.array([end, end + 1.0]))
            return following > now

        last = budget.total_steps - 1
        return [end for end in ends if end == last or before_a_rise(end)]

    def _parts(self, budget: Budget) -> list[tuple[Schedule, Budget]]:
        return [
            (self, budget),
            *(part for _, schedule, share in self._shares(budget) for part in schedule._parts(share)),
        ]


def _in_turn(starts: Sequence[int], curves: Sequence[Curve]) -> Curve:
    "One curve after the other, each on steps counted from its own start. The steps `t` must rise."

    def curve(t: np.ndarray) -> np.ndarray:
        pieces = np.split(t, np.searchsorted(t, starts[1:]))
        return np.concatenate([f(piece - start) for f, piece, start in zip(curves, pieces, starts, strict=True)])

    return curve
