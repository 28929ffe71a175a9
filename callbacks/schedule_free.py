"""Schedule-free AdamW and SGD: an average of the weights takes the place of a schedule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastai.basics import Callback, OptimWrapper
from fastai.callback.schedule import ParamScheduler

from . import _fastai
from .arguments import whole_or_none
from .evaluation_weights import EvaluationWeights
from .events import answers
from .schedule_lr import ScheduleLR


class ScheduleFree(EvaluationWeights):
    """Switch a schedule-free optimizer between training and evaluation, wherever fastai evaluates or saves.

    Defazio et al. 2024 (arXiv:2405.15682): the gradient is taken at y, between the weights z of plain SGD or AdamW and
    their average x. The model has y only while it trains, and x at all other times: in `validate`, `get_preds`, `save`,
    `export` and checkpoints. Statistics of batch-norm layers are measured anew for x after every epoch.

    Train with a constant LR, 1 to 10 times that of AdamW with a schedule, and with a warm-up:
    `fit_schedule(5, warmup(Constant(), "5%"))`. A fit can be made longer by another fit.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import ScheduleFree, schedule_free_adamw
    >>> learn = synth_learner(cbs=ScheduleFree())
    >>> learn.opt_func = schedule_free_adamw  # or Learner(..., opt_func=schedule_free_adamw, cbs=ScheduleFree())
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit(2, 0.1)
    >>> learn.opt.hypers[0]["train_mode"]  # the model has the averaged weights
    False
    """

    def __init__(
        self,
        batches: int | None = 50,  # Training batches to measure batch-norm statistics on; None: all of an epoch
    ) -> None:
        self.batches = whole_or_none("batches", batches)

    def __call__(self, event_name: str) -> Any:
        return Callback.__call__(self, event_name) if answers(self, event_name) else None  # range tests train too

    def fit_starts(self) -> None:
        super().fit_starts()
        for cb in self.learn.cbs:
            if (isinstance(cb, ScheduleLR) and cb.moms) or (isinstance(cb, ParamScheduler) and "mom" in cb.scheds):
                raise ValueError(
                    f"{type(cb).__name__} changes the momentum, which a schedule-free optimizer needs constant; use "
                    "learn.fit, or learn.fit_schedule without moms"
                )

    def to_training(self) -> None:
        if not hasattr(self._optimizer(), "eval"):
            raise ValueError(
                "ScheduleFree needs an optimizer of the package schedulefree, such as opt_func=schedule_free_adamw; "
                f"got {type(self._optimizer()).__name__}"
            )
        self._optimizer().train()

    def to_evaluation(self) -> bool:
        opt = self._optimizer()
        trained = getattr(opt, "param_groups", [{}])[0].get("train_mode", False)
        if trained:
            opt.eval()
        return trained

    def after_fit(self) -> None:
        if _fastai.in_range_test(self.learn):  # which has no `fit_ends`, and restores the weights itself
            self.to_evaluation()
            self._trains, self._modes = False, None

    def _optimizer(self) -> Any:
        "torch's optimizer, out of fastai's wrapper; None before the first fit."
        return self.learn.opt.opt if isinstance(self.learn.opt, OptimWrapper) else self.learn.opt


class _Wrapper(OptimWrapper):
    def step(self) -> None:
        if not self.opt.param_groups[0]["train_mode"]:
            raise ValueError("a schedule-free optimizer needs its callback: Learner(..., cbs=ScheduleFree())")
        self.opt.step()


def schedule_free_adamw(params: Iterable, lr: float, **kwargs: Any) -> OptimWrapper:
    """AdamW without a schedule, for `Learner(..., opt_func=schedule_free_adamw, cbs=ScheduleFree())`.

    `AdamWScheduleFree` of the package schedulefree, by the authors of Defazio et al. 2024 (arXiv:2405.15682,
    algorithm 1). `kwargs` are its arguments: `partial(schedule_free_adamw, betas=(0.95, 0.999))`.

    >>> import torch
    >>> schedule_free_adamw([torch.nn.Parameter(torch.zeros(1))], lr=0.1, warmup_steps=9).hypers[0]["mom"]
    0.9
    """
    return _wrapped("AdamWScheduleFree", params, lr=lr, **kwargs)


def schedule_free_sgd(params: Iterable, lr: float, **kwargs: Any) -> OptimWrapper:
    """SGD without a schedule, for `Learner(..., opt_func=schedule_free_sgd, cbs=ScheduleFree())`.

    `SGDScheduleFree` of the package schedulefree (Defazio et al. 2024, arXiv:2405.15682, equations 3 to 5). `kwargs`
    are its arguments. Its LR is larger than that of SGD with momentum: times 10 to 50.

    >>> import torch
    >>> schedule_free_sgd([torch.nn.Parameter(torch.zeros(1))], lr=1.0).hypers[0]["mom"]
    0.9
    """
    return _wrapped("SGDScheduleFree", params, lr=lr, **kwargs)


def _wrapped(name: str, params: Iterable, **kwargs: Any) -> OptimWrapper:
    try:
        import schedulefree
    except ImportError as error:
        raise ImportError(
            "a schedule-free optimizer needs the package schedulefree: pip install 'lrlab[schedulefree]'"
        ) from error
    return _Wrapper(params, getattr(schedulefree, name), **kwargs)
