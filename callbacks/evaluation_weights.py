"""The base of callbacks that train one set of weights and evaluate another."""

from __future__ import annotations

from fastai.basics import TrainEvalCallback, get_model

from . import _fastai
from .averaging import ReplacesWeights, measure_batchnorm


class EvaluationWeights(ReplacesWeights):
    """Give the model one set of weights while an epoch trains, and another at all other times.

    So validation, predictions, and saved and exported models all use the weights to evaluate. Before each validation
    the statistics of batch-norm layers are measured again, for these weights.
    """

    order = TrainEvalCallback.order + 1
    batches: int | None = None  # of the training data, to measure batch-norm statistics on
    _trains = False  # whether an epoch's training runs
    _modes: list[bool] | None = None  # of the modules, in training; None once the statistics are measured

    def to_training(self) -> None:
        "Give the model the weights of training."
        raise NotImplementedError

    def to_evaluation(self) -> bool:
        "Give the model the weights to evaluate. Returns whether batch-norm statistics must be measured for them."
        raise NotImplementedError

    def before_train(self) -> None:
        self.to_training()
        self._trains = True

    def after_train(self) -> None:
        self._trains = False
        self._evaluate()

    def before_validate(self) -> None:
        self._evaluate()
        if not self._trains:  # a training that runs has the loader in use
            self._measure_batchnorm()

    def fit_ends(self, failed: bool) -> None:
        self._trains = False
        self._evaluate()
        if not failed:
            self._measure_batchnorm()
        self._modes = None

    def _evaluate(self) -> None:
        modes = [module.training for module in get_model(self.learn.model).modules()]
        if self.to_evaluation():
            self._modes = modes

    def _measure_batchnorm(self) -> None:
        if self._modes is not None and not _fastai.in_range_test(self.learn):
            measure_batchnorm(self.learn, self._modes, limit=self.batches)
            self._modes = None
