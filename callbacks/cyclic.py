"""The schedules with cycles: cycle_bounds.py says where each cycle begins and ends, `_wave` what it looks like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import arguments
from .arguments import Budget, Length, choice, length, number
from .cycle_bounds import Cycles
from .schedule import Curve, Schedule, between, checked, half_cosine


class _Cyclic(Schedule):
    cycle_len: Length
    cycle_mult: float = 1
    floor: float
    rounding: str = "sum"

    def _curve(self, budget: Budget) -> Curve:
        cycles = self._cycles(budget)

        def curve(t: np.ndarray) -> np.ndarray:
            index, position = cycles.locate(t)
            return between(self.floor, self._top(index, t), self._wave(position))

        return curve

    def _cycles(self, budget: Budget) -> Cycles:
        cycle_len = arguments.in_steps("cycle_len", self.cycle_len, budget)
        return Cycles.of(cycle_len, self.cycle_mult, budget.total_steps, self.rounding)

    def _hints(self, budget: Budget) -> list[str]:
        bounds = self._cycles(budget).bounds
        steps, length = budget.total_steps - bounds[-2], bounds[-1] - bounds[-2]
        if steps == length:
            return []
        multiplier = self._curve(budget)(np.array([budget.total_steps - 1.0])).item()
        return [
            f"{type(self).__name__} ends mid-cycle at multiplier {multiplier:.3g}: "
            f"the run cuts cycle {len(bounds) - 1} after {steps:.0f} of its {length:.0f} steps"
        ]

    def _top(self, index: np.ndarray, t: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _wave(self, position: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class _Triangles(_Cyclic):
    def _wave(self, position: np.ndarray) -> np.ndarray:
        return 1 - np.abs(2 * position - 1)

    def _ends(self, budget: Budget) -> list[int]:
        return np.minimum(self._cycles(budget).completed(budget.total_steps), budget.total_steps - 1).tolist()


class _DecayingTops(_Cyclic):
    gamma: float
    decay: str

    def _top(self, index: np.ndarray, t: np.ndarray) -> np.ndarray:
        decayed = self.gamma ** index.astype(float)
        return np.maximum(decayed, self.floor) if self.decay == "peak" else between(self.floor, 1.0, decayed)


@dataclass(frozen=True, repr=False)
class Triangular(_Triangles, _DecayingTops):
    """Straight up from the floor and straight down again, cycle after cycle.

    Smith 2015 (arXiv:1506.01186, section 3): with x the position in the cycle, floor + (top - floor) * (1 - |2x - 1|),
    where top = 1 in the first cycle and decays by `gamma` with each: its "amplitude" over the floor (gamma 0.5 is
    Smith's triangular2) or its "peak", never below the floor. Cycle i is cycle_len * cycle_mult**i long.
    `cycle_len` is the whole cycle, up and down, twice Smith's stepsize: a length, every cycle at least one step;
    `cycle_mult` in (0, inf), `gamma` in (0, 1], `decay` "amplitude" or "peak", `floor` in [0, 1),
    `rounding` "sum" (sums of lengths are rounded) or "each" (every length is cut to whole steps, as in pytorch-ignite).

    >>> Triangular(cycle_len="4 steps", gamma=0.5, floor=0).multipliers(8, 1)
    array([0.  , 0.5 , 1.  , 0.5 , 0.  , 0.25, 0.5 , 0.25])
    """

    cycle_len: Length = checked(length, default=2)
    cycle_mult: float = checked(number, "(0, inf)", default=1)
    gamma: float = checked(number, "(0, 1]", default=1.0)
    decay: str = checked(choice, ("peak", "amplitude"), default="amplitude")
    floor: float = checked(number, "[0, 1)", default=0.1)
    rounding: str = checked(choice, ("sum", "each"), default="sum", quiet=True)


@dataclass(frozen=True)
class ExpRange(_Triangles):
    """Triangles whose amplitude decays with every step: floor + (1 - floor) * gamma**t * (1 - |2x - 1|).

    Smith 2015 (arXiv:1506.01186, section 3, exp_range); torch's CyclicLR(mode="exp_range"). `gamma` is per *step* and
    counted from the start of the run. `cycle_len` as in `Triangular`, `gamma` in (0, 1], `floor` in [0, 1).

    >>> ExpRange(cycle_len="4 steps", gamma=0.5, floor=0).multipliers(4, 1)
    array([0.    , 0.25  , 0.25  , 0.0625])
    """

    cycle_len: Length = checked(length, default=2)
    gamma: float = checked(number, "(0, 1]", default=0.9994)
    floor: float = checked(number, "[0, 1)", default=0.1)

    def _curve(self, budget: Budget) -> Curve:
        arguments.refuse_time(f"ExpRange's gamma={self.gamma!r}", budget)
        return super()._curve(budget)

    def _top(self, index: np.ndarray, t: np.ndarray) -> np.ndarray:
        return between(self.floor, 1.0, self.gamma**t)


@dataclass(frozen=True, repr=False)
class CosineRestarts(_DecayingTops):
    """Half a cosine down from the top, then a restart at the next top: SGDR.

    Loshchilov & Hutter 2016 (arXiv:1608.03983, eq. 5): floor + (top - floor) * (1 + cos(pi * T_cur / T_i)) / 2, with
    T_i = cycle_len * cycle_mult**i. The top is 1 in the first cycle and decays by `gamma` with each, its "peak" (never
    below the floor) or its "amplitude" over the floor. With floor 0 the two are the same.
    `cycle_len` is a length, every cycle at least one step; `cycle_mult` in (0, inf), below 1 the cycles shrink;
    `gamma` in (0, 1], `decay` "peak" or "amplitude", `floor` in [0, 1), `rounding` as in `Triangular`.

    >>> CosineRestarts(cycle_len="2 steps").multipliers(6, 1).round(3)
    array([1.   , 0.5  , 1.   , 0.854, 0.5  , 0.146])
    """

    cycle_len: Length = checked(length, default=1)
    cycle_mult: float = checked(number, "(0, inf)", default=2)
    gamma: float = checked(number, "(0, 1]", default=1.0)
    decay: str = checked(choice, ("peak", "amplitude"), default="peak")
    floor: float = checked(number, "[0, 1)", default=0.0)
    rounding: str = checked(choice, ("sum", "each"), default="sum", quiet=True)

    def _wave(self, position: np.ndarray) -> np.ndarray:
        return half_cosine(position)

    def _ends(self, budget: Budget) -> list[int]:
        return (self._cycles(budget).completed(budget.total_steps) - 1).tolist()

    def _hints(self, budget: Budget) -> list[str]:
        restarts = len(self._cycles(budget).bounds) - 2
        return super()._hints(budget) + (["CosineRestarts never restarts: the run is its first cycle"] * (not restarts))


SGDR = CosineRestarts
