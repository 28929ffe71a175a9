"""fastai's Learner and loss with less Python per step, in any precision, and for batches that memory cannot hold."""

from collections.abc import Iterator
from functools import cached_property
from operator import attrgetter

import torch
from fastai.callback.core import CancelBackwardException, CancelStepException, event
from fastai.callback.training import GradientAccumulation
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.torch_core import find_bs, find_device, to_concat, to_detach, to_float

from lrlab.callbacks.events import answers
from lrlab.recipes.kitchen.learner import private_names
from lrlab.recipes.kitchen.learner.out_of_memory import BatchParts, is_out_of_memory, next_parts
from lrlab.recipes.kitchen.learner.precision import LossScaling, autocast

private_names.check()


class QuickLearner(Learner):
    """fastai's Learner, which at an event calls only those callbacks that have a method for it, in the same order.

    The forward pass is computed in `precision`: "fp32", "bf16" or "fp16".

    Where a batch does not fit into memory, `parts` says into how many parts it and all later ones are split. The
    optimizer still makes one step per batch, with the mean gradient of its images. Batch norm sees the parts.
    """

    precision = "fp32"
    xb: tuple
    yb: tuple

    def __init__(self, dls, model, *args, precision: str = "fp32", **kwargs):
        self.precision, self.parts = precision, BatchParts()
        super().__init__(dls, model, *args, **kwargs)
        if precision == "fp16":
            self.add_cb(LossScaling())

    @cached_property
    def parts(self) -> BatchParts:
        "Of a Learner that was not made by `__init__`, such as an exported one."
        return BatchParts()

    def __call__(self, event_name: str | list[str]) -> None:
        for name in [event_name] if isinstance(event_name, str) else event_name:
            self._call_one(name)

    def _call_one(self, event_name: str) -> None:
        if not hasattr(event, event_name):
            raise AttributeError(f"fastai has no event {event_name}")
        for cb in sorted(self.cbs, key=attrgetter("order")):
            if answers(cb, event_name):
                cb(event_name)

    def _do_one_batch(self) -> None:
        xb, yb = self.xb, self.yb
        try:
            while not self._fits(xb, yb):
                self.parts.grow(find_bs(xb))
        finally:
            self.xb, self.yb = xb, yb
        if self._is_training_on(yb):
            self._with_events(self._step, "step", CancelStepException)
            self.opt.zero_grad()

    def _fits(self, xb: tuple, yb: tuple) -> bool:
        "Compute the batch. False if memory has run out and smaller parts are possible."
        try:
            self._compute(xb, yb)
            return True
        except Exception as error:
            # The gradients of earlier batches that are accumulated cannot be told from those of this one.
            accumulates = any(isinstance(cb, GradientAccumulation) for cb in self.cbs)
            if accumulates or not is_out_of_memory(error) or next_parts(find_bs(xb), self.parts.count) is None:
                raise
        if self._is_training_on(yb):
            self.opt.zero_grad()
        return False

    def _compute(self, xb: tuple, yb: tuple) -> None:
        "Predictions and loss of a batch, and in training its gradients, part by part."
        preds, losses = [], []
        for part in self._split_batch(xb, yb):
            self.xb, self.yb = part
            self.pred = self._predict()
            self("after_pred")
            if len(yb):
                self.loss_grad = self.loss_func(self.pred, *self.yb)
                if self.parts.count > 1:
                    self.loss_grad = self.loss_grad * (find_bs(self.yb) / find_bs(yb))
                self.loss = self.loss_grad.clone()
                losses.append(self.loss)
            self("after_loss")
            if self._is_training_on(yb):
                self._with_events(self._backward, "backward", CancelBackwardException)
            preds.append(self.pred)
        if self.parts.count > 1:
            self.pred = to_concat([to_detach(pred, cpu=False) for pred in preds])
            self.loss = sum(losses)

    def _predict(self):
        if self.precision == "fp32":
            return self.model(*self.xb)
        with autocast(self.precision, find_device(self.xb)):
            return to_float(self.model(*self.xb))

    def _split_batch(self, xb: tuple, yb: tuple) -> Iterator[tuple[tuple, tuple]]:
        if self.parts.count == 1:
            yield xb, yb
            return
        count = min(self.parts.count, find_bs(xb))
        columns = [torch.tensor_split(column, count) for column in (*xb, *yb)]
        for part in zip(*columns, strict=True):
            yield part[: len(xb)], part[len(xb) :]

    def _is_training_on(self, yb: tuple) -> bool:
        return self.training and len(yb) > 0


class PlainCrossEntropy(CrossEntropyLossFlat):
    "fastai's loss for scores [n, classes] only: nothing is flattened, and the backward pass gets a plain tensor."

    def __call__(self, inp: torch.Tensor, targ: torch.Tensor, **kwargs) -> torch.Tensor:
        return self.func(inp, targ, **kwargs)
