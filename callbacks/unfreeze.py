"""Thaw a pretrained model group by group."""

from __future__ import annotations

from typing import Any

from fastai.basics import Callback

from .hypers import check_whole
from .steps import in_lr_find


class GradualUnfreeze(Callback):
    """Train the last `start` parameter groups first, and one more after every `every` epochs.

    Howard & Ruder 2018 (arXiv:1801.06146, section 3.3). Unlike `learn.freeze_to` it keeps the optimizer's averages of
    the groups that train already. The fit ends with the model as far thawed as it got.

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
        every: int = 1,  # Epochs between thaws
        start: int = 1,  # Groups that train from the first epoch on
    ) -> None:
        self.every, self.start = check_whole("every", every), check_whole("start", start)

    def before_train(self) -> None:
        if in_lr_find(self.learn):
            return
        opt = self.learn.opt
        groups = len(opt.param_lists)
        if groups < 2:
            raise ValueError("GradualUnfreeze needs a Learner with a splitter that gives at least 2 parameter groups")
        frozen = max(0, groups - self.start - self.learn.epoch // self.every)
        opt.freeze_to(frozen)
        _drop_frozen_grads(opt)


def _drop_frozen_grads(opt: Any) -> None:
    "fastai's optimizers update whatever has a gradient, and a frozen parameter may still have one from before."
    for group in opt.param_lists:
        for parameter in group:
            if not parameter.requires_grad:
                parameter.grad = None
