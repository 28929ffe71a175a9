"""Average the weights at the cycles' minima into one model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from fastai.basics import L, Learner, get_model
from fastai.callback.tracker import SaveModelCallback
from torch import nn

from . import _fastai
from .arguments import whole
from .cycle_callback import CycleCallback
from .events import FitCallback, SavedState
from .random_state import kept_random_state

BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class ReplacesWeights(FitCallback):
    "Base of callbacks that put other weights into the model than those of training. A fit has one of them."

    def fit_starts(self) -> None:
        super().fit_starts()
        for cb in self.learn.cbs:
            if isinstance(cb, ReplacesWeights) and cb is not self:
                raise ValueError(
                    f"{type(self).__name__} and {type(cb).__name__} in one fit would both replace the weights of "
                    "training; remove one of them"
                )


class CycleAverage(SavedState, ReplacesWeights, CycleCallback):
    """At the end of the fit, put the mean of the weights at every cycle's minimum into the model.

    Stochastic weight averaging: Izmailov et al. 2018 (arXiv:1803.05407). The statistics of batch-norm layers cannot be
    averaged, so they are measured again over one pass of the training data. Layers that were frozen (in eval mode)
    during training keep their statistics. `n_averaged` counts the minima in the mean, `missing` lists the cycles that
    are not in it because training was cut before their minimum.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import CosineRestarts, CycleAverage
    >>> learn, average = synth_learner(), CycleAverage()
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit_schedule(3, CosineRestarts(cycle_mult=1), lr_max=0.1, cbs=average)
    >>> average.n_averaged
    3
    """

    _saved = ("n_averaged", "_seen", "_mean", "_modes", "missing")

    def __init__(
        self,
        every: int | None = None,  # Epochs between minima; default: the ends of the cycles of the fit's ScheduleLR
        skip: int = 0,  # Leave out this many of the first minima: early ones may be far away from later ones
    ) -> None:
        super().__init__(every)
        self.skip = whole("skip", skip, least=0)
        self.n_averaged, self._seen = 0, 0
        self._mean: dict[str, torch.Tensor] = {}
        self._modes: list[bool] = []  # of all modules, in training

    def begin(self) -> None:
        super().begin()
        if any(isinstance(cb, SaveModelCallback) and not (cb.at_end or cb.every_epoch) for cb in self.learn.cbs):
            raise ValueError(
                "CycleAverage and SaveModelCallback would both replace the weights at the end of the fit; "
                "use SaveModelCallback(at_end=True) to save the average, or every_epoch=True"
            )
        if not self._resumed:
            if self.skip >= len(self._cycles):
                raise ValueError(f"skip must be below the fit's {len(self._cycles)} cycle ends, got {self.skip!r}")
            self.n_averaged, self._seen, self._mean = 0, 0, {}

    def cycle_end(self) -> None:
        self._seen += 1
        if self._seen <= self.skip:
            return
        self.n_averaged += 1
        self._modes = [module.training for module in get_model(self.learn.model).modules()]
        with torch.no_grad():
            for name, parameter in get_model(self.learn.model).named_parameters():
                now = parameter.detach().to("cpu", torch.float64)
                mean = self._mean.setdefault(name, torch.zeros_like(now))
                mean += (now - mean) / self.n_averaged

    def after_fit(self) -> None:
        super().after_fit()
        if self.n_averaged:
            with torch.no_grad():
                for name, parameter in get_model(self.learn.model).named_parameters():
                    parameter.copy_(self._mean[name])
            measure_batchnorm(self.learn, self._modes)


def measure_batchnorm(
    learn: Learner,
    modes: list[bool] | None = None,
    batches: Sequence[Any] | None = None,
    limit: int | None = None,
) -> None:
    """Measure the running statistics of batch-norm layers again, over one pass of the training data, or `batches`.

    `modes` has the training flag of every module of the model, by default all True. A batch-norm layer in eval mode
    keeps its statistics. `limit` is the number of batches to measure them on, by default all. Batches pass the
    callbacks that prepare batches for prediction, as in `learn.get_preds`.
    """
    modules = list(get_model(learn.model).modules())
    modes = modes or [True] * len(modules)
    trained = [module for module, training in zip(modules, modes, strict=True) if training]
    layers = [layer for layer in trained if isinstance(layer, BATCH_NORM) and layer.running_mean is not None]
    if not layers:
        return
    dl = learn.dls.train if batches is None else batches
    with _settings_kept(learn, modules, layers), torch.no_grad(), kept_random_state(learn.dls):
        # Not model.train(): a model may keep some of its layers in eval mode, and others must not be switched on.
        for module, training in zip(modules, modes, strict=True):
            module.training = training
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the plain mean over all batches
        learn.cbs = L(cb for cb in learn.cbs if cb.run_valid and hasattr(type(cb), "before_batch"))
        learn.loss_func = _no_loss  # a callback that prepares predictions for the loss may be missing
        learn.training, learn.dl, learn.n_iter = False, dl, len(dl)
        for i, batch in enumerate(islice(dl, limit)):
            learn.one_batch(i, batch)


@contextmanager
def _settings_kept(learn: Learner, modules: list[nn.Module], layers: list[nn.Module]) -> Iterator[None]:
    "Restore on exit the Learner's attributes, the modes of all modules and the momenta of the batch-norm layers."
    momenta, modes_before, learner = [m.momentum for m in layers], [m.training for m in modules], dict(vars(learn))
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, training in zip(modules, modes_before, strict=True):
            module.training = training
        vars(learn).clear()
        vars(learn).update(learner)
        _fastai.forget_iteration(learn.dls.train)


def _no_loss(*_: Any, **__: Any) -> torch.Tensor:
    return torch.zeros(())
