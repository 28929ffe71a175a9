"""Average the weights of the cycles' minima into one model."""

from __future__ import annotations

from typing import Any

import torch
from fastai.basics import Learner, get_model, to_device
from fastai.callback.tracker import SaveModelCallback
from torch.nn.modules.batchnorm import _BatchNorm

from .hypers import check_whole
from .random_state import kept_random_state
from .snapshots import CycleCallback


class CycleAverage(CycleCallback):
    """At the end of the fit, put the mean of the weights at every cycle's minimum into the model.

    Stochastic weight averaging: Izmailov et al. 2018 (arXiv:1803.05407). Batch-norm statistics belong to no average of
    weights, so they are measured again over one pass of the training data. `n_averaged` tells how many minima went in.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import CosineRestarts, CycleAverage
    >>> learn, average = synth_learner(), CycleAverage()
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit_schedule(3, CosineRestarts(cycle_mult=1), lr_max=0.1, cbs=average)
    >>> average.n_averaged
    3
    """

    def __init__(
        self,
        every: int | None = None,  # Epochs between minima; default: the ends of the cycles of the fit's ScheduleLR
        skip: int = 0,  # Leave out the first so many: an early cycle may be far away from the later ones
    ) -> None:
        super().__init__(every)
        self.skip = check_whole("skip", skip, least=0)
        self.n_averaged, self._seen = 0, 0
        self._mean: dict[str, torch.Tensor] = {}

    def begin(self) -> None:
        super().begin()
        if any(isinstance(cb, SaveModelCallback) and not (cb.at_end or cb.every_epoch) for cb in self.learn.cbs):
            raise ValueError(
                "CycleAverage and SaveModelCallback would both replace the weights at the end of the fit; "
                "use SaveModelCallback(at_end=True) to save the average, or every_epoch=True"
            )
        if not self._resumed:
            if self.skip >= len(self._ends):
                raise ValueError(f"skip must be below the fit's {len(self._ends)} cycle ends, got {self.skip!r}")
            self.n_averaged, self._seen, self._mean = 0, 0, {}

    def cycle_end(self) -> None:
        self._seen += 1
        if self._seen <= self.skip:
            return
        self.n_averaged += 1
        with torch.no_grad():
            for name, parameter in get_model(self.learn.model).named_parameters():
                now = parameter.detach().to("cpu", torch.float64)
                mean = self._mean.setdefault(name, torch.zeros_like(now))
                mean += (now - mean) / self.n_averaged

    def after_fit(self) -> None:
        if (self._steps is not None or self._resumed) and self.n_averaged:
            model = get_model(self.learn.model)
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    parameter.copy_(self._mean[name])
            measure_batchnorm(self.learn)
        self._steps, self._resumed = None, False

    def state_dict(self) -> dict[str, Any]:
        "What a resumed fit needs to go on with this average."
        return {"n_averaged": self.n_averaged, "seen": self._seen, "mean": self._mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        "Let the fit that is starting go on with an earlier average."
        self._resumed = True
        self.n_averaged, self._seen, self._mean = state["n_averaged"], state["seen"], state["mean"]


def measure_batchnorm(learn: Learner) -> None:
    "Measure the running statistics of batch-norm layers anew, over one pass of the training data."
    model = get_model(learn.model)
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not layers:
        return
    momenta, modes = [layer.momentum for layer in layers], [(module, module.training) for module in model.modules()]
    device, n_inp = next(model.parameters()).device, getattr(learn.dls, "n_inp", 1)
    try:
        model.train()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the plain mean over all batches
        with torch.no_grad(), kept_random_state(learn.dls):
            for batch in learn.dls.train:
                model(*to_device(batch, device)[:n_inp])
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, training in modes:
            module.training = training
