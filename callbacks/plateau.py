"""Lower the learning rate when training stops getting better, on top of whatever schedule runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastai.callback.tracker import TrackerCallback

from .arguments import number
from .hypers import check_whole, read_hypers
from .steps import in_lr_find


class ReduceOnPlateau(TrackerCallback):
    """Divide the LR by `factor` whenever `monitor` has not improved for `patience` epochs.

    The division is on top of the schedule: each batch runs at the LR that the fit, a `ScheduleLR` or fit_one_cycle has
    set, times `lr_scale`, and gets that LR back afterwards. fastai's ReduceLROnPlateau is overwritten by any schedule,
    and changes nothing in an OptimWrapper.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import ReduceOnPlateau
    >>> learn, plateau = synth_learner(), ReduceOnPlateau(min_delta=1e3, factor=2)
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit(4, lr=0.1, cbs=plateau)
    >>> learn.recorder.lrs[::10], plateau.lr_scale
    ([0.1, 0.1, 0.05, 0.025], 0.125)
    """

    order = 62  # After every callback that sets the LR (ParamScheduler: 60), and after the trackers' Recorder.

    def __init__(
        self,
        monitor: str = "valid_loss",  # What should get better: a loss or metric of the Recorder
        comp: Callable[[float, float], Any] | None = None,  # Whether better is np.less or np.greater; default by name
        min_delta: float = 0.0,  # How much better counts
        patience: int = 1,  # Epochs without improvement before a reduction
        factor: float = 10.0,  # What the LR is divided by
        min_scale: float = 0.0,  # The reductions stop at this part of the schedule's LR
        reset_on_fit: bool = True,  # Begin every fit without a best value and without reductions
    ) -> None:
        if not isinstance(monitor, str):
            raise ValueError(f"monitor must be the name of a loss or metric, got {monitor!r}")
        if comp is not None and not callable(comp):
            raise ValueError(f"comp must be a function of two numbers such as np.less, got {comp!r}")
        number("min_delta", min_delta, "[0, inf)")
        super().__init__(monitor=monitor, comp=comp, min_delta=min_delta, reset_on_fit=reset_on_fit)
        self.patience = check_whole("patience", patience)
        self.factor, self.min_scale = number("factor", factor, "(1, inf)"), number("min_scale", min_scale, "[0, 1)")
        self.wait, self.lr_scale = 0, 1.0
        self._unscaled: list[float] = []

    def before_fit(self) -> None:
        names = list(self.learn.recorder.metric_names[1:])
        if self.monitor not in names and not in_lr_find(self.learn):
            raise ValueError(f"monitor must be one of {', '.join(names)}; got {self.monitor!r}")
        super().before_fit()
        self._unscaled.clear()
        if self.run and self.reset_on_fit:
            self.wait, self.lr_scale = 0, 1.0

    def before_batch(self) -> None:
        if self.learn.training and self.lr_scale != 1:
            self._unscaled[:], _ = read_hypers(self.learn.opt)
            self.learn.opt.set_hyper("lr", [lr * self.lr_scale for lr in self._unscaled])

    def after_batch(self) -> None:
        if self._unscaled:
            self.learn.opt.set_hyper("lr", self._unscaled)
            self._unscaled.clear()

    def after_epoch(self) -> None:
        super().after_epoch()
        self.wait = 0 if self.new_best else self.wait + 1
        if self.wait >= self.patience:
            self.wait, self.lr_scale = 0, max(self.lr_scale / self.factor, self.min_scale)

    def after_fit(self) -> None:
        self.after_batch()  # A batch that ended the fit had no `after_batch`.
        super().after_fit()

    def state_dict(self) -> dict[str, Any]:
        "What a resumed fit needs to go on with these reductions."
        return {"best": self.best, "wait": self.wait, "lr_scale": self.lr_scale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        "Let the fit that is starting go on with earlier reductions."
        self.best, self.wait, self.lr_scale = state["best"], state["wait"], state["lr_scale"]
