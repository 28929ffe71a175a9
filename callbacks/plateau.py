"""Lower the learning rate when training stops improving, on top of any schedule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from fastai.callback.tracker import TrackerCallback

from . import _fastai
from .arguments import number, whole
from .events import FitCallback, SavedState, check_recorder
from .hypers import read_hypers

LOWER_IS_BETTER = ("loss", "error", "mae", "mse", "rmse", "msle", "rmspe", "mape", "perplexity", "brier")
"A metric with one of these in its name gets better as it falls."


class Plateau(SavedState, FitCallback, TrackerCallback):
    "Base of the callbacks that act when a loss or metric of the fit has stopped improving."

    def __init__(
        self,
        monitor: str,
        comp: Callable[[float, float], Any] | None,
        min_delta: float,
        patience: int,
        reset_on_fit: bool = True,
    ) -> None:
        if not isinstance(monitor, str):
            raise ValueError(f"monitor must be the name of a loss or metric, got {monitor!r}")
        if comp is not None and not callable(comp):
            raise ValueError(f"comp must be a function of two numbers such as np.less, got {comp!r}")
        if comp is None:
            comp = np.less if any(word in monitor.lower() for word in LOWER_IS_BETTER) else np.greater
        min_delta = number("min_delta", min_delta, "[0, inf)")
        super().__init__(monitor=monitor, comp=comp, min_delta=min_delta, reset_on_fit=reset_on_fit)
        self.patience, self.wait = whole("patience", patience), 0
        self.best: float | None = None

    def epochs_start(self) -> None:
        check_recorder(self.learn, type(self).__name__)
        names = [name for name in self.learn.recorder.metric_names[1:] if name != "time"]
        if self.monitor not in names:
            raise ValueError(f"monitor must be one of {', '.join(names)}; got {self.monitor!r}")
        if not self.monitor.startswith("train_") and not sum(map(len, self.learn.dls.loaders[1:2])):
            raise ValueError(
                f"monitor={self.monitor!r} is measured on the validation set, and there is none or it is empty"
            )
        super().before_fit()
        if self.reset_on_fit:
            self.wait = 0

    def after_validate(self) -> None:
        # Not in after_epoch: by then another callback's `validate` may have replaced the Recorder's values.
        log = dict(zip(self.learn.recorder.metric_names, self.learn.recorder.log, strict=False))
        if (value := log.get(self.monitor)) is not None:  # None if this epoch's validation was cancelled
            self._judge(value)

    def _judge(self, value: float, rests: bool = False) -> None:
        "`rests`: this epoch does not count as one without improvement."
        self.new_best = bool(self.comp(value - self.min_delta, self.best))
        if self.new_best:
            self.best = value
        self.wait = 0 if self.new_best or rests else self.wait + 1
        if self.wait >= self.patience:
            self.wait = 0
            self.on_plateau()

    def on_plateau(self) -> None:
        "Called when the monitored value has not improved for `patience` epochs."
        raise NotImplementedError

    def after_epoch(self) -> None:
        "Nothing: the tracker of fastai's would read the Recorder here."

    def after_fit(self) -> None:
        "Nothing: `fit_ends` comes after every fit."


class ReduceOnPlateau(Plateau):
    """Divide the LR by `factor` whenever `monitor` has not improved for `patience` epochs.

    The division is on top of the schedule: each batch uses the LR that the fit, a `ScheduleLR` or fit_one_cycle has
    set, times `lr_scale`, and that LR is restored after the batch. fastai's ReduceLROnPlateau is overwritten by any
    schedule, and changes nothing in an OptimWrapper.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import ReduceOnPlateau
    >>> learn, plateau = synth_learner(), ReduceOnPlateau(min_delta=1e3, factor=2, verbose=False)
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit(4, lr=0.1, cbs=plateau)
    >>> learn.recorder.lrs[::10], plateau.lr_scale
    ([0.1, 0.1, 0.05, 0.025], 0.125)
    """

    order = 62  # after every callback that sets the LR (ParamScheduler: 60), and after the Recorder
    _saved = ("best", "wait", "cooling", "lr_scale")
    _unscaled: Sequence[float] = ()  # the LRs of the schedule, during a batch

    def __init__(
        self,
        monitor: str = "valid_loss",  # What should improve: a loss or metric of the Recorder
        comp: Callable[[float, float], Any] | None = None,  # np.less or np.greater is better; default by the name
        min_delta: float = 0.0,  # A change counts as an improvement only above this
        patience: int = 1,  # Epochs without improvement before a reduction
        factor: float = 10.0,  # What the LR is divided by
        min_scale: float = 0.0,  # The reductions stop at this share of the schedule's LR
        reset_on_fit: bool = True,  # Start every fit without a best value and without reductions
        min_lr: float = 0.0,  # No reduction lowers a group's LR below this; the schedule itself may
        cooldown: int = 0,  # Epochs after a reduction in which none is counted as one without improvement
        verbose: bool = True,  # Print a line at each reduction
    ) -> None:
        super().__init__(monitor, comp, min_delta, patience, reset_on_fit)
        self.cooldown = whole("cooldown", cooldown, least=0)
        self.factor, self.min_scale = number("factor", factor, "(1, inf)"), number("min_scale", min_scale, "[0, 1)")
        self.min_lr, self.verbose = number("min_lr", min_lr, "[0, inf)"), verbose
        self.cooling, self.lr_scale = 0, 1.0

    def epochs_start(self) -> None:
        super().epochs_start()
        if self.reset_on_fit:
            self.cooling, self.lr_scale = 0, 1.0

    def before_batch(self) -> None:
        if self.learn.training and self.lr_scale != 1:
            self._unscaled, _ = read_hypers(self.learn.opt)
            lrs = [max(lr * self.lr_scale, min(lr, self.min_lr)) for lr in self._unscaled]
            _fastai.set_hyper(self.learn.opt, "lr", lrs)

    def after_batch(self) -> None:
        if self._unscaled:
            _fastai.set_hyper(self.learn.opt, "lr", list(self._unscaled))
            self._unscaled = ()

    after_cancel_train = after_cancel_epoch = after_batch  # a batch that ended the epoch had no `after_batch`

    def _judge(self, value: float, rests: bool = False) -> None:
        rests, self.cooling = self.cooling > 0, max(0, self.cooling - 1)
        super()._judge(value, rests)

    def on_plateau(self) -> None:
        self.cooling = self.cooldown
        scale = max(self.lr_scale / self.factor, self.min_scale)
        if self.verbose and scale < self.lr_scale:
            print(f"Epoch {self._epoch}: {self.monitor} not better than {self.best:.6g}, LR now times {scale:.3g}")
        self.lr_scale = scale

    def fit_ends(self, failed: bool) -> None:
        self.after_batch()  # a batch that ended the fit had no `after_batch`
