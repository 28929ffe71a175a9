"""The base of callbacks that act where the learning rate is lowest: at the end of every cycle."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from .arguments import whole_or_none
from .events import find
from .hypers import by_group
from .schedule_lr import ScheduleLR
from .steps import PlannedCallback, plan_in_steps

LOW_ENOUGH = 0.5  # how far down from its top a cycle that is cut must have come


class Cycle(NamedTuple):
    "A cycle of the plan: its number, counted from 1, and its first and last position in planned steps."

    number: int
    start: int
    end: int


class CycleCallback(PlannedCallback):
    """Calls `cycle_end` once per cycle, after the step with the cycle's lowest LR.

    Training may be cut before that step: a shortened epoch, skipped batches. Then `cycle_end` is called after the last
    step of the cycle if the LR has come at least half of the way down. Otherwise it is not called for this cycle, and a
    warning says so. `missing` lists the numbers of the cycles without a call, counted from 1.
    """

    def __init__(
        self,
        every: int | None = None,  # Epochs between minima; default: the ends of the cycles of the fit's ScheduleLR
    ) -> None:
        self.every = whole_or_none("every", every)
        self.missing: list[int] = []
        self._cycles: list[Cycle] = []  # those that have not ended yet
        self._multipliers: np.ndarray | None = None
        self._latest: float | None = None  # position of the latest step of the current cycle

    def begin(self) -> None:
        plan, self._multipliers = plan_in_steps(self.learn, type(self).__name__), None
        firsts, total = plan.firsts, plan.budget().total_steps
        ends = [first - 1 for first in firsts[self.every :: self.every]] if self.every else self._scheduled_ends()
        if not ends:
            raise ValueError(f"no cycle ends within the {total} steps of this fit, so {type(self).__name__} gets none")
        starts = [0, *(end + 1 for end in ends[:-1])]
        cycles = [Cycle(i, *bounds) for i, bounds in enumerate(zip(starts, ends, strict=True), 1)]
        self._cycles, self._latest = [cycle for cycle in cycles if cycle.end >= firsts[self._epoch]], None
        if not self._resumed:
            self.missing = []

    def continue_from(self, step: int | None) -> None:
        super().continue_from(step)
        if step is not None:  # within an epoch: the cycles before it are in the loaded state
            self._cycles = [cycle for cycle in self._cycles if cycle.end >= step]

    def _scheduled_ends(self) -> list[int]:
        scheduler = find(self.learn, ScheduleLR)
        if scheduler is None:
            raise ValueError(
                f"{type(self).__name__} finds the cycles in the ScheduleLR of the same fit, and there is none; use "
                "learn.fit_schedule, or give every=... epochs"
            )
        schedule, budget = by_group(scheduler.schedule, len(self.learn.opt.hypers))[-1], self._steps.plan.budget()
        self._multipliers = schedule.multipliers(*budget)
        return schedule.cycle_ends(*budget)

    def before_batch(self) -> None:
        super().before_batch()
        if not self._steps.waiting:
            self._end_cycles_before(self._steps.position)

    def after_step(self) -> None:
        super().after_step()
        self._latest = self._steps.position

    def after_batch(self) -> None:
        if self._cycles and self._latest == self._steps.position and not self._steps.waiting:
            self._end_cycles_before(self._steps.next_position)

    def after_train(self) -> None:
        self._end_cycles_before(self._steps.plan.first_of(self._epoch + 1))

    def after_fit(self) -> None:
        self.missing += [cycle.number for cycle in self._cycles]

    def _end_cycles_before(self, position: float) -> None:
        while self._cycles and self._cycles[0].end < position:
            cycle = self._cycles.pop(0)
            if self._is_low(cycle):
                self.cycle_end()
            else:
                self.missing.append(cycle.number)
                warnings.warn(
                    f"{type(self).__name__} leaves out cycle {cycle.number}: training was cut before the LR of the "
                    "cycle was low",
                    stacklevel=2,
                )
            self._latest = None

    def _is_low(self, cycle: Cycle) -> bool:
        "Whether the latest step was at the minimum of the cycle or near it."
        if self._latest is None or self._multipliers is None:
            return self._latest is not None
        multipliers = self._multipliers[cycle.start : cycle.end + 1]
        limit = multipliers.max() - LOW_ENOUGH * (multipliers.max() - multipliers[-1])
        return bool(self._multipliers[min(int(self._latest), cycle.end)] <= limit)

    def cycle_end(self) -> None:
        raise NotImplementedError
