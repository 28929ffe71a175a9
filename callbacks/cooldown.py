"""End a fit early without losing what its schedule is for: the cooldown."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import numpy as np

from .events import find
from .hypers import by_group
from .plateau import Plateau
from .schedule_lr import ScheduleLR
from .steps import StepPlan, plan_in_steps


class CooldownOnPlateau(Plateau):
    """Begin the cooldown of the schedule when `monitor` has not improved for `patience` epochs.

    Early stopping for schedules with a plateau and a cooldown, such as `Trapezoid` and `FlatCosine`. The fit skips the
    rest of the plateau and continues with the epoch in which its cooldown begins; that epoch keeps its number. fastai's
    EarlyStoppingCallback would end the fit while its LR is still high, without the gain of the cooldown.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import CooldownOnPlateau, Trapezoid
    >>> learn, stop = synth_learner(), CooldownOnPlateau(min_delta=1e3, verbose=False)
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit_schedule(20, Trapezoid(warmup=0, decay=2), lr_max=0.1, cbs=stop)
    >>> len(learn.recorder.values), learn.epoch
    (4, 19)
    """

    _saved = ("best", "wait", "skip_to")

    def __init__(
        self,
        monitor: str = "valid_loss",  # What should improve: a loss or metric of the Recorder
        comp: Callable[[float, float], Any] | None = None,  # np.less or np.greater is better; default by the name
        min_delta: float = 0.0,  # A change counts as an improvement only above this
        patience: int = 1,  # Epochs without improvement before the cooldown
        verbose: bool = True,  # Print a line when the cooldown begins
    ) -> None:
        super().__init__(monitor, comp, min_delta, patience)
        self.verbose = verbose
        self._cooldown = 0  # the epoch in which it begins

    def epochs_start(self) -> None:
        super().epochs_start()
        plan = plan_in_steps(self.learn, "CooldownOnPlateau")
        self._cooldown = bisect_right(plan.firsts, self._first_step_of_cooldown(plan)) - 1

    def on_plateau(self) -> None:
        if self._epoch + 1 >= self._cooldown:
            return
        self.skip_to = self._cooldown
        if self.verbose:
            print(
                f"Epoch {self._epoch}: {self.monitor} not better than {self.best:.6g}, the cooldown begins "
                f"(epoch {self._cooldown})"
            )

    def _first_step_of_cooldown(self, plan: StepPlan) -> int:
        "The last step on the plateau of the schedule."
        scheduler = find(self.learn, ScheduleLR)
        if scheduler is None:
            raise ValueError("CooldownOnPlateau needs a schedule in the same fit: call learn.fit_schedule")
        schedule = by_group(scheduler.schedule, len(self.learn.opt.hypers))[-1]
        changes = np.diff(schedule.multipliers(*plan.budget()))
        flat = np.flatnonzero(changes == 0)
        falls = changes[flat[-1] + 1 :] if len(flat) else changes[:0]
        if not len(falls) or np.any(falls > 0):
            raise ValueError(
                f"CooldownOnPlateau needs a schedule with a plateau and a cooldown after it, such as Trapezoid(); "
                f"got {schedule!r}"
            )
        return int(flat[-1]) + 1
