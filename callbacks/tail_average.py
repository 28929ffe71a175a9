"""Average the weights along the last part of a fit, and evaluate the average."""

from __future__ import annotations

from typing import Any

import torch
from fastai.basics import get_model, to_device
from fastai.callback.tracker import SaveModelCallback

from . import arguments
from .arguments import Length
from .evaluation_weights import EvaluationWeights
from .events import SavedState
from .steps import PlannedCallback


class TailAverage(SavedState, EvaluationWeights, PlannedCallback):
    """Average the weights of every step from `start` on. Validation, saving and the end of the fit use the average.

    Polyak and Juditsky 1992. Along a constant LR an average does much of what a cooldown would: Hägele et al. 2024
    (arXiv:2405.18392). The plain mean imitates a linear cooldown over the averaged part (Tian et al. 2025, WSM,
    arXiv:2507.17634). So `Constant` can be read at its end: `fit_schedule(8, Constant(), cbs=TailAverage())`.

    With `decay` it is an exponential moving average: step n enters with the weight max(1 - decay, 1 / n), so it begins
    as the plain mean. The statistics of batch-norm layers are measured again for the average after every epoch.
    Training itself does not change. `n_averaged` counts the steps in the average.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import Constant, TailAverage
    >>> learn, average = synth_learner(), TailAverage(start="25%")
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit_schedule(4, Constant(), lr_max=0.1, cbs=average)
    >>> average.n_averaged
    30
    """

    order = PlannedCallback.order
    _saved = ("n_averaged", "_mean", "_trained")

    def __init__(
        self,
        start: Length = "50%",  # Where averaging begins: epochs, or "300 steps", or "50%" of the fit; 0 is its start
        decay: float | None = None,  # Of an exponential moving average, such as 0.999; None: the plain mean
        batches: int | None = 50,  # Training batches to measure batch-norm statistics on; None: all of an epoch
        keep: bool = True,  # Leave the average in the model after the fit; False: the weights of training
    ) -> None:
        self.start = arguments.length("start", start, zero=True)
        self.decay = None if decay is None else arguments.number("decay", decay, "(0, 1)")
        self.batches, self.keep = arguments.whole_or_none("batches", batches), keep
        self.n_averaged = 0
        self._first = 0.0  # position from which steps are averaged
        self._mean: list[torch.Tensor] = []  # of the parameters, in float32 at least
        self._trained: list[torch.Tensor] = []  # parameters and buffers of training, while the model has the average

    def fit_starts(self) -> None:
        super().fit_starts()
        saves = any(isinstance(cb, SaveModelCallback) and not (cb.at_end or cb.every_epoch) for cb in self.learn.cbs)
        if saves and not self.keep:
            raise ValueError(
                "TailAverage(keep=False) and SaveModelCallback would both replace the weights at the end of the fit; "
                "use TailAverage(), whose average SaveModelCallback saves and loads"
            )

    def begin(self) -> None:
        budget = self._steps.plan.budget()
        self._first = arguments.in_steps("start", self.start, budget)
        if self._first >= budget.total_steps:
            raise ValueError(f"start={self.start!r} must lie before the end of the fit of {budget.total_steps} steps")
        if not self._resumed:
            self.n_averaged, self._mean, self._trained = 0, [], []

    def before_train(self) -> None:
        PlannedCallback.before_train(self)
        EvaluationWeights.before_train(self)

    def after_step(self) -> None:
        PlannedCallback.after_step(self)
        if self._steps.position >= self._first:
            self._add()

    @torch.no_grad()
    def _add(self) -> None:
        now = [p.detach().to(torch.promote_types(p.dtype, torch.float32)) for p in self._parameters()]
        self.n_averaged += 1
        if self.n_averaged == 1:
            self._mean = [value.clone() for value in now]
        else:
            weight = 1 / self.n_averaged if self.decay is None else max(1 - self.decay, 1 / self.n_averaged)
            torch._foreach_lerp_(self._mean, now, weight)

    @torch.no_grad()
    def to_evaluation(self) -> bool:
        if not self.n_averaged or self._trained:
            return False
        self._trained = [value.detach().clone() for value in self._values()]
        for parameter, mean in zip(self._parameters(), self._mean, strict=True):
            parameter.copy_(mean)
        return True

    @torch.no_grad()
    def to_training(self) -> None:
        for value, trained in zip(self._values() if self._trained else [], self._trained, strict=True):
            value.copy_(trained)
        self._trained = []

    def fit_ends(self, failed: bool) -> None:
        if failed or not self.keep:
            self._trains, self._modes = False, None
            self.to_training()
        else:
            EvaluationWeights.fit_ends(self, failed)
        self._mean, self._trained = [], []
        PlannedCallback.fit_ends(self, failed)

    def _parameters(self) -> list[torch.Tensor]:
        return list(get_model(self.learn.model).parameters())

    def _values(self) -> list[torch.Tensor]:
        return [*self._parameters(), *get_model(self.learn.model).buffers()]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(to_device(state, self._parameters()[0].device))
