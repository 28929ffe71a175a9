"""The cycle engine: where every cycle of a run starts and ends, in whole steps.

Cycle i is `cycle_len * cycle_mult**i` steps long. Sums of lengths are exact, and each sum is rounded once, as Python's
`round` does: four cycles of 7/4 epochs end exactly with the seventh epoch, and no error adds up over a run.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

FEWEST_STEPS = 1


class Cycles(NamedTuple):
    "The cycles that begin within a run: cycle i covers the steps bounds[i] <= t < bounds[i + 1]."

    bounds: np.ndarray

    @classmethod
    def of(cls, cycle_len: float, cycle_mult: float, total_steps: int, rounding: str = "sum") -> Cycles:
        """Lay out cycles over `total_steps`; the last may reach beyond them.

        `rounding="each"` cuts the length of each cycle down to whole steps before it is multiplied, as pytorch-ignite
        does. A cycle shorter than a step raises `ValueError`.

        >>> Cycles.of(100, 2, 700).bounds
        array([  0., 100., 300., 700.])
        >>> Cycles.of(17.5, 1, 70).bounds
        array([ 0., 18., 35., 52., 70.])
        >>> Cycles.of(5, 1.5, 23).bounds, Cycles.of(5, 1.5, 22, "each").bounds
        (array([ 0.,  5., 12., 24.]), array([ 0.,  5., 12., 22.]))
        """
        cycle_len = min(cycle_len, 2.0**52)  # longer than any run
        if round(cycle_len) < FEWEST_STEPS:
            raise _too_short(cycle_len, cycle_mult, total_steps)
        count = min(_cycles_to_cover(cycle_len, cycle_mult, total_steps), total_steps // FEWEST_STEPS + 1)
        if rounding == "each":
            sums = _cut_one_by_one(cycle_len, cycle_mult, total_steps)
        elif cycle_mult == 1:
            sums = cycle_len * np.arange(count + 1)
        else:
            with np.errstate(over="ignore"):
                sums = np.concatenate([[0.0], np.cumsum(cycle_len * np.power(float(cycle_mult), np.arange(count)))])
        # A millionth of a step is float noise, not a reason to round down; 2**52 steps are longer than any run.
        bounds = np.rint(np.round(np.minimum(sums, 2.0**52), 6))
        bounds = bounds[: np.searchsorted(bounds, total_steps) + 1]
        if np.diff(bounds).min() < FEWEST_STEPS:
            raise _too_short(cycle_len, cycle_mult, total_steps)
        return cls(bounds)

    def locate(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        "The cycle of every step, and the position within that cycle: 0 at its first step, below 1 at its last."
        index = np.searchsorted(self.bounds, t, side="right") - 1
        start = self.bounds[index]
        return index, (t - start) / (self.bounds[index + 1] - start)

    def completed(self, total_steps: int) -> np.ndarray:
        "The steps at which the cycles that fit in the run are over; the last one may equal `total_steps`."
        ends = self.bounds[1:]
        return ends[ends <= total_steps].astype(int)


def _cut_one_by_one(cycle_len: float, cycle_mult: float, total_steps: int) -> np.ndarray:
    length, sums = math.floor(cycle_len), [0]
    while sums[-1] < total_steps and length >= FEWEST_STEPS:
        sums.append(sums[-1] + length)
        length = math.floor(length * cycle_mult)
    return np.array([*sums, sums[-1]] if sums[-1] < total_steps else sums, dtype=float)


def _cycles_to_cover(cycle_len: float, cycle_mult: float, total_steps: int) -> int:
    "An upper bound of how many cycles begin within the run, from the geometric series."
    if cycle_mult == 1:
        return math.ceil(total_steps / cycle_len) + 1
    growth = total_steps / cycle_len * (cycle_mult - 1)
    if growth <= -1:  # shrinking cycles that never add up to the run
        return total_steps
    return math.ceil(math.log1p(min(growth, 1e300)) / math.log(cycle_mult)) + 1


def _too_short(cycle_len: float, cycle_mult: float, total_steps: int) -> ValueError:
    return ValueError(
        f"cycle_len of {cycle_len:g} steps with cycle_mult={cycle_mult} makes a cycle of less than a step "
        f"within the run's {total_steps}; every cycle must be at least one step long"
    )
