"""Unfreeze a pretrained model group by group."""

from __future__ import annotations

from typing import Any

from .arguments import whole
from .events import FitCallback


class GradualUnfreeze(FitCallback):
    """Train the last `start` parameter groups first, and one more after every `every` epochs.

    Howard & Ruder 2018 (arXiv:1801.06146, section 3.3). Unlike `learn.freeze_to` it keeps the optimizer's averages of
    the groups that train already. After the fit, what it has unfrozen stays unfrozen. After an exception, the same
    groups are frozen as before the fit.

    >>> from fastai.basics import nn
    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import GradualUnfreeze
    >>> model = nn.Sequential(nn.Linear(1, 4), nn.Linear(4, 4), nn.Linear(4, 1))
    >>> learn = synth_learner(model=model, splitter=lambda m: [list(layer.parameters()) for layer in m])
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit(2, cbs=GradualUnfreeze())
    >>> [layer.weight.requires_grad for layer in model]
    [False, True, True]
    """

    def __init__(
        self,
        every: int = 1,  # Epochs until the next group is unfrozen
        start: int = 1,  # Groups that train from the first epoch on
    ) -> None:
        self.every, self.start = whole("every", every), whole("start", start)
        self._before: tuple[int, list[bool]] | None = None

    def epochs_start(self) -> None:
        self._before = self.learn.opt.frozen_idx, [p.requires_grad for p in self.learn.model.parameters()]

    def before_train(self) -> None:
        opt = self.learn.opt
        groups = len(opt.param_lists)
        if groups < 2:
            raise ValueError("GradualUnfreeze needs a Learner with a splitter that gives at least 2 parameter groups")
        opt.freeze_to(max(0, groups - self.start - self._epoch // self.every))
        _drop_frozen_grads(opt)

    def fit_ends(self, failed: bool) -> None:
        if failed and self._before is not None:
            self.learn.opt.frozen_idx, requires_grad = self._before
            for parameter, flag in zip(self.learn.model.parameters(), requires_grad, strict=True):
                parameter.requires_grad_(flag)
        self._before = None


def _drop_frozen_grads(opt: Any) -> None:
    "Delete the gradients of frozen parameters: fastai's optimizers update every parameter that has one."
    for group in opt.param_lists:
        for parameter in group:
            if not parameter.requires_grad:
                parameter.grad = None
