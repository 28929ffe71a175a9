"""The cycle engine: where every cycle of a run starts and ends, in whole steps.

Cycle i is `cycle_len * cycle_mult**i` steps long. The sums of lengths are rounded, not the lengths: four cycles of 7/4
epochs end exactly with the seventh epoch, and no error adds up over a run.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Cycles(NamedTuple):
    "The cycles that begin within a run: cycle i covers the steps bounds[i] <= t < bounds[i + 1]."

    bounds: np.ndarray

    @classmethod
    def of(cls, cycle_len: float, cycle_mult: float, total_steps: int, rounding: str = "sum") -> Cycles:
        """Lay out cycles over `total_steps`; the last may reach beyond them.

        `cycle_len` is a number of steps. `rounding="each"` cuts the length of each cycle down to whole steps before it
        is multiplied, as pytorch-ignite does. A cycle shorter than a step raises `ValueError`.

        >>> Cycles.of(100, 2, 700).bounds
        array([  0., 100., 300., 700.])
        >>> Cycles.of(17.5, 1, 70).bounds
        array([ 0., 18., 35., 52., 70.])
        >>> Cycles.of(5, 1.5, 23).bounds, Cycles.of(5, 1.5, 22, "each").bounds
        (array([ 0.,  5., 12., 24.]), array([ 0.,  5., 12., 22.]))
        """
        cut = math.floor if rounding == "each" else float
        length, end, bounds = cut(cycle_len), 0.0, [0.0]
        while bounds[-1] < total_steps:
            end = length * len(bounds) if cycle_mult == 1 else end + length
            # A millionth of a step is float noise, not a reason to round down; 2**52 steps are longer than any run.
            bounds.append(float(round(round(min(end, 2.0**52), 6))))
            if bounds[-1] - bounds[-2] < 1:
                raise ValueError(
                    f"cycle_len of {cycle_len:g} steps with cycle_mult={cycle_mult} makes a cycle of less than a step "
                    f"within the run's {total_steps}; every cycle must be at least one step long"
                )
            length = cut(length * cycle_mult)
        return cls(np.array(bounds))

    def locate(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        "The cycle of every step, and the position within that cycle: 0 at its first step, below 1 at its last."
        index = np.searchsorted(self.bounds, t, side="right") - 1
        start = self.bounds[index]
        return index, (t - start) / (self.bounds[index + 1] - start)

    def completed(self, total_steps: int) -> np.ndarray:
        "The steps at which the cycles that fit in the run are over; the last one may equal `total_steps`."
        ends = self.bounds[1:]
        return ends[ends <= total_steps].astype(int)
