"""Which optimizer step comes next: what a schedule, a history and a snapshot have to agree on.

A step is one *attempt* to update the weights. `GradientAccumulation` makes several batches share a step; a step that
the loss scaler of mixed precision skips still counts, so that a schedule reaches its end exactly when the run does.
"""

from __future__ import annotations

import math
from typing import Any

from fastai.basics import Learner
from fastai.callback.training import GradientAccumulation

from .events import QuickCallback


class StepCallback(QuickCallback):
    "Base of the callbacks that follow optimizer steps: `self._steps.step` is the 0-based step being made."

    # Right after GradientAccumulation, which cancels the batches that make no step, and before MixedPrecision, which
    # cancels the steps that overflow.
    order, run_valid = GradientAccumulation.order + 1, False

    def __init__(self) -> None:
        self._steps: StepCounter | None = None
        self._resumed = False  # whether `load_state_dict` was called for this fit

    def before_fit(self) -> None:
        # Not yet the place to count: validate() and get_preds() send this event too, and a resume is still to come.
        self._steps, self._resumed = None, False

    def before_train(self) -> None:
        if in_lr_find(self.learn):
            return
        if self._steps is None:
            self._steps = StepCounter(self.learn)
            self.begin()
        self._steps.enter(self.learn.epoch)

    def begin(self) -> None:
        "Called once a fit, before its first batch and with `self._steps` ready."

    def before_step(self) -> None:
        if self._steps is not None:
            self._steps.next += 1


class StepCounter:
    "Counts the optimizer steps of a run of `learn`, and knows in advance how many there will be."

    # A plain object: setting an attribute of a fastai Callback searches the whole model for a namesake, every time.
    __slots__ = ("firsts", "next")

    def __init__(self, learn: Learner) -> None:
        self.firsts = first_steps(learn, learn.n_epoch, learn.epoch)
        self.next = 0

    def enter(self, epoch: int) -> None:
        "Start `epoch` on its own first step, whatever batches an earlier one left out."
        self.next = self.firsts[epoch]

    @property
    def step(self) -> int:
        "The step made last (from `before_step` on: the one being made)."
        return self.next - 1

    @property
    def total(self) -> int:
        return self.firsts[-1]

    @property
    def per_epoch(self) -> int:
        return steps_per_epoch(self.firsts)


def in_lr_find(learn: Learner) -> bool:
    "Whether this fit is an LR range test, in which callbacks that the learner carries stand aside."
    return hasattr(learn, "lr_finder")


def first_steps(learn: Learner, n_epoch: int, start_epoch: int = 0) -> list[int]:
    """The number of optimizer steps made before each epoch, and in all: n_epoch + 1 numbers.

    `GradientAccumulation` carries samples over from one epoch to the next, so epochs may differ by a step. A run that
    begins at `start_epoch` begins with what the callback holds by then.
    """
    accumulation = next(iter(learn._grab_cbs(GradientAccumulation)), None)
    if accumulation is None:
        batches = n_batches(learn.dls.train)
        firsts = [epoch * batches for epoch in range(n_epoch + 1)]
    else:
        sizes = batch_sizes(learn.dls.train)
        firsts, steps, count = [0], 0, 0
        for epoch in range(n_epoch):
            if epoch == start_epoch:
                count = getattr(accumulation, "count", 0)
            for size in sizes:
                count += size
                if count >= accumulation.n_acc:
                    steps, count = steps + 1, 0
            firsts.append(steps)
    if firsts[-1] == 0:
        raise ValueError(f"n_epoch={n_epoch} makes no optimizer step: the training data give no full batch to step on")
    return firsts


def steps_per_epoch(firsts: list[int]) -> int:
    "Whole steps per epoch, the nearest number where accumulation makes epochs differ."
    return max(1, round(firsts[-1] / (len(firsts) - 1)))


def n_batches(dl: Any) -> int:
    "Batches in an epoch of `dl`."
    try:
        batches = len(dl)
    except TypeError:
        raise ValueError(f"the training DataLoader {type(dl).__name__} has no length, so a run has no end") from None
    if hasattr(dl, "world_size") and dl.drop_last:
        # fastai's DistributedDL shares whole batches out, yet drops what is left of this process's items.
        batches = math.ceil(dl.dl.n / dl.world_size) // dl.bs
    return batches


def batch_sizes(dl: Any) -> list[int]:
    "Items in every batch of an epoch of `dl`."
    bs = getattr(dl, "bs", None) or getattr(dl, "batch_size", None)
    if bs is None:
        raise ValueError(f"GradientAccumulation counts items, and {type(dl).__name__} has no batch size (bs)")
    batches = n_batches(dl)
    items = _n_items(dl)
    last = bs if items is None or dl.drop_last else items - bs * (batches - 1)
    return [bs] * (batches - 1) + [last] if batches else []


def _n_items(dl: Any) -> int | None:
    if hasattr(dl, "world_size"):
        return math.ceil(dl.dl.n / dl.world_size)
    if hasattr(dl, "n"):
        return dl.n
    return len(dl.sampler) if hasattr(dl, "sampler") else None
