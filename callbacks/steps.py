"""Which optimizer step a fit makes: schedules, histories and snapshots must agree on it.

A step is one *attempt* to update the weights. Several batches may share a step (`GradientAccumulation`, or a callback
that cancels batches). A step that is cancelled, such as one that overflows in mixed precision, still counts.

A schedule needs more: a *position*, in planned steps, that ends with the run whatever happens on the way. It is the
number of steps that the plan has before the first batch of the step. So batches without a step, epochs cut short and
loaders that change do not shift the schedule.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sized
from typing import Any

from fastai.basics import CancelTrainException, Learner, Recorder
from fastai.callback.training import GradientAccumulation

from . import _fastai
from .arguments import Budget, TimeBudget
from .events import FitCallback, find


class StepCallback(FitCallback):
    "Base of the callbacks that count optimizer steps, in `self._steps`; it is None outside a fit."

    # After GradientAccumulation, which cancels the batches that make no step; before MixedPrecision, which cancels the
    # steps that overflow.
    order, run_valid = GradientAccumulation.order + 1, False
    _steps: Steps | None = None
    _resumed = False  # whether the fit continues an earlier one
    _first_step: int | None = None  # of a resumed fit

    def before_train(self) -> None:
        if self._steps is None:
            self._steps = self._count_steps()
            if self._first_step is not None:
                self._steps.next = self._first_step
            self.begin()

    def _count_steps(self) -> Steps:
        return Steps(StepPlan(self.learn, self._epoch, self._epoch).firsts[-1] if self._epoch else 0)

    def begin(self) -> None:
        "Called once per fit, before its first batch; `self._steps` is ready."

    def after_step(self) -> None:
        self._steps.next += 1

    def continue_from(self, step: int | None) -> None:
        "Continue the count of an earlier fit, which would make this step next."
        self._resumed, self._first_step = True, step
        if self._steps is not None and step is not None:
            self._steps.next = step

    def fit_ends(self, failed: bool) -> None:
        self._steps, self._resumed, self._first_step = None, False, None


class PlannedCallback(StepCallback):
    "Base of the callbacks that follow the position in the plan of the run."

    _steps: PlannedSteps | None = None

    def _count_steps(self) -> PlannedSteps:
        return PlannedSteps(plan_of(self.learn, self._epoch), self._epoch)

    def before_train(self) -> None:
        super().before_train()
        self._steps.enter(self._epoch)

    def before_batch(self) -> None:
        self._steps.start_batch(self.learn)

    def before_backward(self) -> None:
        self._steps.waiting = True

    def after_step(self) -> None:
        super().after_step()
        self._steps.waiting = False


class FitLength(PlannedCallback):
    "Base of the callbacks that give a fit another length than whole epochs."

    order = 10_000  # every other callback has had its `after_batch` when this one ends an epoch
    in_words = ""  # the length
    _ends = False  # whether this callback ends the training of the epoch

    def plan(self, learn: Learner, start_epoch: int) -> Plan:
        raise NotImplementedError

    def end_training(self) -> None:
        "End the training of the epoch, which is the last one, here."
        self._ends = True
        raise CancelTrainException

    def after_cancel_train(self) -> None:
        if self._ends and (recorder := find(self.learn, Recorder)) is not None:
            _fastai.keep_train_metrics(recorder)

    def fit_ends(self, failed: bool) -> None:
        super().fit_ends(failed)
        self._ends = False


class Steps:
    "Counts the optimizer steps of a fit."

    # A plain object: setting an attribute of a fastai Callback searches the whole model for a namesake every time.
    __slots__ = ("next",)

    def __init__(self, first: int) -> None:
        self.next = first

    @property
    def step(self) -> int:
        "The 0-based number of the latest step."
        return self.next - 1


class PlannedSteps(Steps):
    "Counts the optimizer steps of a fit and follows its plan."

    __slots__ = ("plan", "epoch", "position", "waiting", "first_of_epoch", "batch", "batches", "start", "even_below")

    def __init__(self, plan: Plan, epoch: int) -> None:
        super().__init__(plan.first_of(epoch))
        self.plan, self.position, self.waiting = plan, float(self.next), False
        self.enter(epoch)

    def enter(self, epoch: int) -> None:
        self.epoch, self.batch, self.batches, self.first_of_epoch = epoch, -1, 1, self.next
        self.start, self.even_below = self.plan.first_of(epoch), 0

    def start_batch(self, learn: Learner) -> float:
        "The position of a batch: a new one, unless earlier batches wait for the same step."
        batch = learn.iter
        if batch < self.even_below and not self.waiting:  # the common case, as fast as can be
            self.batch = batch
            self.position = position = self.start + batch
            return position
        if self.batch < 0:
            self.batches = learn.n_iter
            self.even_below = self.batches if self.plan.is_even and self.batches == self.plan.announced else 0
        if self.batch < 0 or not self.waiting:
            self.position = self.plan.position(self.epoch, min(batch, self.batches - 1), self.batches)
        self.batch = batch
        return self.position

    @property
    def next_position(self) -> float:
        "The position after the current batch."
        return self.plan.position(self.epoch, min(self.batch + 1, self.batches), self.batches)

    @property
    def per_epoch(self) -> int:
        return self.plan.per_epoch


class StepPlan:
    "How many optimizer steps a fit will make before each of its batches, as far as this is known before the fit."

    def __init__(self, learn: Learner, n_epoch: int, start_epoch: int = 0, limit: int | None = None) -> None:
        self.batches, self.announced = n_batches(learn.dls.train), len(learn.dls.train)
        accumulation = find(learn, GradientAccumulation)
        sizes = None if accumulation is None else batch_sizes(learn.dls.train)
        self.firsts, self._before = [0], []
        count: float = 0
        for epoch in range(n_epoch):
            if sizes is None:
                self.firsts.append(self.firsts[-1] + self.batches)
                continue
            # Items that make no step yet are carried over to the next epoch, so epochs may differ by a step.
            count = getattr(accumulation, "count", 0) if epoch == start_epoch else count
            before = [self.firsts[-1]]
            for size in sizes:
                steps, count = (1, 0) if count + size >= accumulation.n_acc else (0, count + size)
                before.append(before[-1] + steps)
            self._before.append(before)
            self.firsts.append(before[-1])
        self._whole = self.firsts[-1]  # of whole epochs; the fit may end within the last one
        if limit is not None:
            self.firsts = [min(first, limit) for first in self.firsts]

    def first_of(self, epoch: int) -> int:
        "Planned steps before an epoch."
        return self.firsts[epoch]

    @property
    def is_even(self) -> bool:
        "Whether every batch is planned to make a step."
        return not self._before and self.batches == self.announced

    @property
    def per_epoch(self) -> int:
        "Whole steps per epoch; the nearest number where accumulation makes epochs differ."
        return max(1, round(self._whole / (len(self.firsts) - 1)))

    def budget(self) -> Budget:
        "The planned length of the fit."
        if not self.firsts[-1]:
            raise ValueError(
                f"n_epoch={len(self.firsts) - 1} makes no optimizer step: the training data "
                "give no full batch to step on"
            )
        return Budget(self.firsts[-1], self.per_epoch)

    def position(self, epoch: int, batch: int, batches: int) -> float:
        "Planned steps before a batch. If the epoch has another number of batches than planned, its share counts."
        first = self.firsts[epoch]
        if batches != self.announced:
            following = self.firsts[epoch + 1] if epoch + 2 < len(self.firsts) else self._whole
            return first + (following - first) * batch / batches
        return self._before[epoch][batch] if self._before else first + batch


class TimePlan:
    "The plan of a fit that ends with its time. A position is a share of the time, counted in `SHARES` steps."

    SHARES = 100_000
    is_even = False

    def __init__(self, learn: Learner, share: Callable[[], float]) -> None:
        self.per_epoch, self.announced = max(1, n_batches(learn.dls.train)), len(learn.dls.train)
        self._share = share

    def first_of(self, epoch: int) -> int:
        "Not known before: 0."
        return 0

    def budget(self) -> Budget:
        "The length of the fit, in shares of its time."
        if not self.announced:
            raise ValueError("a fit of `minutes` would make no step: the training data give no full batch to step on")
        return TimeBudget(self.SHARES, self.SHARES)

    def position(self, epoch: int, batch: int, batches: int) -> float:
        "How much of the time is over."
        return self._share() * self.SHARES


Plan = StepPlan | TimePlan


def plan_of(learn: Learner, start_epoch: int = 0) -> Plan:
    "The plan of the fit that runs."
    length = length_of(learn)
    return StepPlan(learn, learn.n_epoch, start_epoch) if length is None else length.plan(learn, start_epoch)


def plan_in_steps(learn: Learner, name: str) -> StepPlan:
    "The plan of the fit that runs, for the callback `name`, which cannot follow a time."
    plan = plan_of(learn)
    if not isinstance(plan, StepPlan):
        raise ValueError(
            f"{name} counts epochs or steps, and how many a fit of `minutes` has is not known before; give n_epoch or "
            "steps instead of minutes"
        )
    return plan


def length_of(learn: Learner) -> FitLength | None:
    "What ends the fit that runs, if it has another length than whole epochs."
    # A fit within a fit has the outer one's callbacks, too.
    return next((cb for cb in learn.cbs if isinstance(cb, FitLength) and not cb._nested), None)


def epochs_for(learn: Learner, steps: int) -> int:
    "The fewest epochs that make so many optimizer steps, at the start of a fit."
    epochs = 1
    while (plan := StepPlan(learn, epochs, start_epoch=-1)).firsts[-1] < steps:
        if not plan.batches:
            plan.budget()  # raises
        epochs *= 2
    return bisect_left(plan.firsts, steps)


def n_batches(dl: Any) -> int:
    "Batches in an epoch of `dl`."
    try:
        batches = len(dl)
    except TypeError:
        raise ValueError(f"the training DataLoader {type(dl).__name__} has no length, so a run has no end") from None
    # fastai's DistributedDL shares whole batches out, yet drops the remaining items of this process.
    items = _fastai.items_per_process(dl)
    return batches if items is None or not dl.drop_last else items // dl.bs


def batches_per_step(learn: Learner) -> int:
    "Batches that share an optimizer step, rounded up."
    accumulation = find(learn, GradientAccumulation)
    sizes = None if accumulation is None else batch_sizes(learn.dls.train)
    return -(-accumulation.n_acc * len(sizes) // sum(sizes)) if sizes else 1


def batch_sizes(dl: Any) -> list[int] | None:
    "Items in every batch of an epoch of `dl`; None if they cannot be known."
    batches, sampler = n_batches(dl), getattr(dl, "batch_sampler", None)
    bs = getattr(dl, "bs", None) or getattr(dl, "batch_size", None) or getattr(sampler, "batch_size", None)
    if bs is None:
        return None
    last = next((items - bs * (batches - 1) for items in _n_items(dl) if 0 < items - bs * (batches - 1) <= bs), bs)
    return [bs] * (batches - 1) + [last] if batches else []


def _n_items(dl: Any) -> list[int]:
    "Numbers that may be the number of items in an epoch of `dl`, the most reliable first."
    found = [_fastai.items_per_process(dl), getattr(dl, "partial_n", None), getattr(dl, "n", None)]
    for sampler in (getattr(dl, "sampler", None), getattr(getattr(dl, "batch_sampler", None), "sampler", None)):
        found += [len(sampler)] if isinstance(sampler, Sized) else []
    return [items for items in found if isinstance(items, int) and not isinstance(items, bool)]
