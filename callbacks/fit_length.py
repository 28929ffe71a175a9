"""Fits that end after a number of optimizer steps, or after a time, instead of whole epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from fastai.basics import CancelFitException, Learner, num_distrib

from .arguments import number, whole
from .steps import FitLength, StepPlan, TimePlan, batches_per_step, epochs_for

MOST_EPOCHS = 1_000_000  # of a fit that ends with its time


class StepLimit(FitLength):
    """End the fit after a number of optimizer steps. The last epoch is cut there, and validated.

    `fit_schedule(steps=...)` uses it. `learn.n_epoch` becomes the number of epochs that these steps take.
    """

    def __init__(
        self,
        steps: int,  # Optimizer steps of the fit
    ) -> None:
        self.steps = whole("steps", steps)
        self.in_words = f"{self.steps} steps"

    def plan(self, learn: Learner, start_epoch: int) -> StepPlan:
        return StepPlan(learn, learn.n_epoch, start_epoch, self.steps)

    def fit_starts(self) -> None:
        self.learn.n_epoch = epochs_for(self.learn, self.steps)

    def before_train(self) -> None:
        super().before_train()
        self.learn.pct_train = self._steps.start / self.steps  # what fastai's own schedules follow

    def after_batch(self) -> None:
        done = self._steps.next_position
        self.learn.pct_train = done / self.steps
        if done >= self.steps and not self._steps.waiting and self._steps.batch + 1 < self._steps.batches:
            self.end_training()


class TimeLimit(FitLength):
    """End the fit when its time ends. The schedule follows the share of the time that is over, and ends with it.

    `fit_schedule(minutes=...)` uses it. Time runs from the start of the fit, and includes validation. The training of
    the last epoch ends early enough to validate it in time, judged by the epochs before. A resumed fit has the
    time that was left when it was saved.
    """

    def __init__(
        self,
        minutes: float,  # Length of the fit
        clock: Callable[[], float] = time.monotonic,  # Seconds since any moment
    ) -> None:
        self.in_words = f"{number('minutes', minutes, '(0, inf)'):g} minutes"
        self.watch = Stopwatch(60 * float(minutes), clock)
        self._batches_per_step, self._last = 1, False  # whether this is the last epoch

    def plan(self, learn: Learner, start_epoch: int) -> TimePlan:
        return TimePlan(learn, lambda: self.watch.share)

    def fit_starts(self) -> None:
        if num_distrib() > 1:
            raise ValueError("minutes cannot end a distributed fit: its processes would stop at different steps")
        self.watch = Stopwatch(self.watch.seconds, self.watch.clock)
        self._batches_per_step, self._last = batches_per_step(self.learn), False
        self.learn.n_epoch = MOST_EPOCHS

    def epochs_start(self) -> None:
        if self._last or (self.watch.batches and not self.watch.has_time_for(self._batches_per_step)):
            # A complete fit was resumed.
            raise CancelFitException
        self._show_epochs(None)

    def before_train(self) -> None:
        super().before_train()
        self.watch.start_epoch(self._steps.plan.announced)
        self.learn.pct_train = self.watch.share  # what fastai's own schedules follow

    def after_batch(self) -> None:
        self.watch.end_batch()
        self.learn.pct_train = self.watch.share
        if not self._steps.waiting and not self.watch.has_time_for(self._batches_per_step):
            self.end_training()

    def after_validate(self) -> None:
        self.watch.end_epoch()
        self._last = self._ends or not self.watch.has_time_for(self._batches_per_step)
        # What Resumable takes for the last epoch, and an estimate for graphs and the progress bar.
        self.learn.n_epoch = self._epoch + 1 + (0 if self._last else self.watch.epochs_left)

    def after_epoch(self) -> None:
        self.watch.end_epoch()
        if self._last or not self.watch.has_time_for(self._batches_per_step):
            raise CancelFitException
        self._show_epochs(self.learn.n_epoch)

    def fit_ends(self, failed: bool) -> None:
        super().fit_ends(failed)
        self.learn.n_epoch = self._epoch + 1

    def _show_epochs(self, epochs: int | None) -> None:
        "The number of epochs that the progress bar shows; None is unknown."
        bar = getattr(getattr(self.learn, "progress", None), "mbar", None)
        if bar is not None:
            bar.main_bar.total = epochs

    def state_dict(self) -> dict[str, Any]:
        "What a resumed fit needs to continue with the time that is left."
        return {"epochs": self._epoch + 1, "last": self._last, "watch": self.watch.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        "Make the fit that starts continue an earlier one's time."
        self._epoch, self._last = state["epochs"] - 1, state["last"]
        self.watch.load(state["watch"])


class Stopwatch:
    """The time of a fit: how much is over, and when training must end to leave time for the last validation.

    >>> now = 0.0
    >>> watch = Stopwatch(seconds=100, clock=lambda: now)
    >>> watch.start_epoch(batches=4)
    >>> for _ in range(4):
    ...     now += 5
    ...     watch.end_batch()
    >>> now += 10  # validation
    >>> watch.end_epoch()
    >>> watch.elapsed, watch.step, watch.reserve
    (30.0, 5.0, 10.0)
    """

    # A plain object: setting an attribute of a fastai Callback searches the whole model for a namesake every time.
    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.seconds, self.clock = seconds, clock
        self._began, self._before = clock(), 0.0  # seconds of earlier processes
        self.trained, self.batches = 0.0, 0  # seconds within training, and batches in them
        self.reserve = 0.0  # seconds from the end of an epoch's training to the start of the next one's
        self.share = 0.0  # of the training time that is over
        self._mark, self._in_epoch, self._left = 0.0, 0, 0  # latest end of a batch; batches of the epoch, and left

    @property
    def elapsed(self) -> float:
        "Seconds since the fit started."
        return self._before + self.clock() - self._began

    @property
    def step(self) -> float:
        "Seconds of a batch; 0 before the first."
        return self.trained / max(1, self.batches)

    @property
    def epochs_left(self) -> int:
        "About how many epochs will follow, a part of one included."
        epoch = max(self._in_epoch * self.step + self.reserve, 1e-9)
        return max(1, math.ceil((self.seconds - self.elapsed) / epoch))

    def start_epoch(self, batches: int) -> None:
        self._mark, self._in_epoch, self._left = self.elapsed, batches, batches
        self._follow()

    def end_batch(self) -> None:
        now = self.elapsed
        self.trained, self.batches, self._left = self.trained + now - self._mark, self.batches + 1, self._left - 1
        self._mark = now
        self._follow()

    def end_epoch(self) -> None:
        self.reserve = self.elapsed - self._mark

    def has_time_for(self, batches: int) -> bool:
        "Whether so many batches, and the validation after them, would end in time."
        return self.elapsed + batches * self.step + self.reserve <= self.seconds

    def _follow(self) -> None:
        end = max(self._end_of_training(), 1e-9)
        self.share = max(self.share, min(1.0, self._mark / end))

    def _end_of_training(self) -> float:
        """When the last epoch's training will end.

        That is as late as its validation allows, unless an epoch ends before and another step does not fit after it.
        """
        late, end_of_epoch = self.seconds - self.reserve, self._mark + max(0, self._left) * self.step
        if not self.batches or end_of_epoch >= late:
            return late
        spare = (late - end_of_epoch) % (self._in_epoch * self.step + self.reserve)
        return late - spare if spare < self.reserve + self.step else late

    def state(self) -> dict[str, Any]:
        names = ("trained", "batches", "reserve", "share")
        return {"_before": self.elapsed, **{name: vars(self)[name] for name in names}}

    def load(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _began=self.clock())
