"""Apply a schedule to a Learner: the callback, the `fit_schedule` that uses it, and the preview that does not train."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from fastai.basics import Callback, L, Learner, OptimWrapper
from fastai.callback.schedule import LRFinder, ParamScheduler
from fastai.callback.tracker import ReduceLROnPlateau

from .arguments import number
from .hypers import LR, check_lr, check_whole, n_groups, spread_lr
from .schedule import Schedule
from .start_at import StartAt
from .steps import StepCallback, first_steps, in_lr_find, steps_per_epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ScheduleLR(StepCallback):
    """Multiply the LR of every parameter group by a schedule, step by step.

    The group's own LR at the start of the fit is its lr_max, and is back in place after it.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import OneCycle, ScheduleLR
    >>> learn = synth_learner()
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit(2, lr=0.1, cbs=ScheduleLR(OneCycle()))
    >>> [round(float(lr), 4) for lr in learn.recorder.lrs[::5]], learn.opt.hypers[0]["lr"]
    ([0.004, 0.1, 0.075, 0.025], 0.1)
    """

    def __init__(
        self,
        schedule: Schedule,  # How the LR changes over the run
        moms: tuple[float, float] | None = None,  # Momentum (beta1) at the LR's low and top; None leaves it alone
    ) -> None:
        super().__init__()
        if not isinstance(schedule, Schedule):
            raise ValueError(f"schedule must be a Schedule such as CosineDecay(), got {schedule!r}")
        self.schedule, self.moms = schedule, check_moms(moms)
        self._base: list[dict[str, Any]] | None = None
        self._plan: Plan | None = None

    def before_fit(self) -> None:
        super().before_fit()
        self._base = self._plan = None
        if self.learn.opt is None or in_lr_find(self.learn):
            return
        # Before anything else may touch them, such as a checkpoint that restores the optimizer.
        self._base = [{name: hyper[name] for name in ("lr", "mom") if name in hyper} for hyper in self.learn.opt.hypers]

    def begin(self) -> None:
        "Compute the whole run; whatever is wrong with the schedule, the LRs or the other callbacks raises here."
        _refuse_rivals(self, self.learn.cbs)
        lr_max = [check_lr("lr_max", hyper["lr"]) for hyper in self._base]
        if self.moms is not None and not all("mom" in hyper for hyper in self._base):
            raise ValueError(f"moms={self.moms} needs an optimizer with momentum (beta1), and this one has none")
        kind = WrappedPlan if isinstance(self.learn.opt, OptimWrapper) else Plan
        self._plan = kind(self.schedule, lr_max, self.moms, self._steps.total, self._steps.per_epoch)

    def before_batch(self) -> None:
        if self._plan is not None:
            self._plan.write(self.learn.opt, self._steps.next)

    def after_fit(self) -> None:
        if self._plan is not None:
            for name in ("lr", "mom"):
                if name == "lr" or self.moms is not None:
                    self.learn.opt.set_hyper(name, [hyper[name] for hyper in self._base])
        self._steps = self._base = self._plan = None

    def __repr__(self) -> str:
        return f"ScheduleLR({self.schedule!r}" + (f", moms={self.moms})" if self.moms else ")")


class Plan:
    "The LR and momentum of every group at every step of one run."

    __slots__ = ("lr_max", "multipliers", "momentum", "last", "hypers", "pairs")

    def __init__(
        self,
        schedule: Schedule,
        lr_max: list[float],
        moms: tuple[float, float] | None,
        total_steps: int,
        steps_per_epoch: int,
    ) -> None:
        self.lr_max, self.last = lr_max, total_steps - 1
        self.hypers: Any = None
        self.pairs: list[tuple[dict[str, Any], float]] = []
        self.multipliers = schedule.multipliers(total_steps, steps_per_epoch)
        self.momentum = None
        if moms is not None:
            self.momentum = moms[0] - (moms[0] - moms[1]) * schedule.momentum_shape(total_steps, steps_per_epoch)

    def write(self, opt: Any, step: int) -> None:
        "Set the optimizer for `step`; beyond the last step of the plan its last values hold."
        if step > self.last:
            step = self.last
        # The last line of fastai's set_hyper, without the 30 microseconds before it.
        if opt.hypers is not self.hypers:  # at the first step, and after a checkpoint was loaded in mid-fit
            self.hypers, self.pairs = opt.hypers, list(zip(opt.hypers, self.lr_max, strict=True))
        multiplier = self.multipliers.item(step)
        if self.momentum is None:
            for hyper, lr in self.pairs:
                hyper["lr"] = lr * multiplier
        else:
            mom = self.momentum.item(step)
            for hyper, lr in self.pairs:
                hyper["lr"] = lr * multiplier
                hyper["mom"] = mom


class WrappedPlan(Plan):
    "The same for an optimizer of torch's in an OptimWrapper, which knows under what names it keeps LR and momentum."

    __slots__ = ()

    def write(self, opt: OptimWrapper, step: int) -> None:
        step = min(step, self.last)
        opt._set_hyper("lr", [lr * self.multipliers.item(step) for lr in self.lr_max])
        if self.momentum is not None:
            opt._set_hyper("mom", [self.momentum.item(step)] * len(self.lr_max))


def fit_schedule(
    learn: Learner,
    n_epoch: int,  # Epochs to train
    schedule: Schedule,  # How the LR changes over them
    lr_max: LR | None = None,  # What the schedule's multiplier 1 means, for each parameter group; default `learn.lr`
    moms: tuple[float, float] | None = None,  # Momentum (beta1) at the LR's low and top; None leaves it alone
    wd: float | None = None,  # Weight decay; default `learn.wd`
    cbs: Callback | Sequence[Callback] | None = None,  # More callbacks for this fit
    reset_opt: bool = False,  # Start with a new optimizer
    start_epoch: int = 0,  # Skip the epochs before this one, in the schedule too
) -> None:
    """Fit `learn` for `n_epoch` epochs under `schedule`. Also `learn.fit_schedule(...)`.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import CosineDecay
    >>> learn = synth_learner()
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit_schedule(2, CosineDecay(), lr_max=0.1)
    >>> [round(float(lr), 4) for lr in learn.recorder.lrs[::5]]
    [0.1, 0.0854, 0.05, 0.0146]
    """
    check_epochs(n_epoch, start_epoch)
    if wd is not None:
        number("wd", wd, "[0, inf)")
    if lr_max is not None:
        lr_max = spread_lr("lr_max", lr_max, n_groups(learn))  # fastai's own spreading fails for one group
    scheduler = ScheduleLR(schedule, moms)
    learn.fit(n_epoch, lr=lr_max, wd=wd, cbs=L(StartAt(start_epoch), scheduler) + L(cbs), reset_opt=reset_opt)


def preview_schedule(
    learn: Learner,
    n_epoch: int,  # Epochs of the run
    schedule: Schedule,  # How the LR changes over them
    lr_max: LR | None = None,  # As in `fit_schedule`
    moms: tuple[float, float] | None = None,  # As in `fit_schedule`
) -> SchedulePreview:
    """What `fit_schedule` would do with these arguments, without training: every group's LR and momentum at every step.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import CosineDecay
    >>> synth_learner().preview_schedule(2, CosineDecay(), lr_max=0.1).to_df().round(4).iloc[[0, 10, 19]]
        step  epoch  group      lr  mom
    0      0      0      0  0.1000  NaN
    10    10      1      0  0.0500  NaN
    19    19      1      0  0.0006  NaN
    """
    check_epochs(n_epoch)
    moms = ScheduleLR(schedule, moms).moms  # which checks both
    lrs = spread_lr("lr_max", learn.lr if lr_max is None else lr_max, n_groups(learn))
    firsts = first_steps(learn, n_epoch)
    return SchedulePreview(schedule, Plan(schedule, lrs, moms, firsts[-1], steps_per_epoch(firsts)), firsts)


class SchedulePreview:
    "The curves of a run that was not made: `to_df()`, `plot()`; a notebook shows the plot."

    def __init__(self, schedule: Schedule, plan: Plan, firsts: list[int]) -> None:
        self.schedule, self.plan, self.firsts = schedule, plan, firsts

    def to_df(self) -> pd.DataFrame:
        "One row for every step and parameter group: step, epoch, group, lr, mom (NaN where momentum is left alone)."
        groups, steps = len(self.plan.lr_max), self.firsts[-1]
        epochs = np.repeat(np.arange(len(self.firsts) - 1), np.diff(self.firsts))
        momentum = np.full(steps, np.nan) if self.plan.momentum is None else self.plan.momentum
        return pd.DataFrame(
            {
                "step": np.repeat(np.arange(steps), groups),
                "epoch": np.repeat(epochs, groups),
                "group": np.tile(np.arange(groups), steps),
                "lr": np.outer(self.plan.multipliers, self.plan.lr_max).ravel(),
                "mom": np.repeat(momentum, groups),
            }
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        "Draw the LR of every group against epochs, on a log axis where the groups are decades apart."
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        epochs = np.arange(self.firsts[-1]) * (len(self.firsts) - 1) / self.firsts[-1]
        for group, lr in enumerate(self.plan.lr_max):
            ax.plot(epochs, lr * self.plan.multipliers, label=f"group {group}")
        if max(self.plan.lr_max) >= 10 * min(self.plan.lr_max) > 0:
            ax.set_yscale("log")
        ax.set(xlabel="epoch", ylabel="learning rate", title=repr(self.schedule))
        if len(self.plan.lr_max) > 1:
            ax.legend()
        return ax

    def _repr_png_(self) -> bytes:
        import matplotlib.pyplot as plt

        figure, png = self.plot().figure, io.BytesIO()
        figure.savefig(png, format="png", dpi=150)
        plt.close(figure)
        return png.getvalue()


def check_moms(moms: Any) -> tuple[float, float] | None:
    "`moms` as two Python floats, or None."
    if moms is None:
        return None
    pair = tuple(float(mom) for mom in moms) if np.shape(moms) == (2,) else ()
    if len(pair) != 2 or not all(0 <= mom < 1 for mom in pair):
        raise ValueError(f"moms must be two numbers in [0, 1), momentum at the LR's low and top, or None; got {moms!r}")
    return pair


def check_epochs(n_epoch: Any, start_epoch: Any = 0) -> None:
    "Raise unless both are whole numbers with 0 <= start_epoch < n_epoch."
    check_whole("n_epoch", n_epoch)
    if check_whole("start_epoch", start_epoch, least=0) >= n_epoch:
        raise ValueError(f"start_epoch must be below n_epoch={n_epoch}, got {start_epoch!r}")


def _refuse_rivals(own: ScheduleLR, cbs: Sequence[Callback]) -> None:
    "Two callbacks that both set the LR would fight silently; the last one in order would win."
    for cb in cbs:
        if isinstance(cb, ReduceLROnPlateau):
            raise ValueError(
                "ScheduleLR and fastai's ReduceLROnPlateau both set the LR, and the schedule would undo every "
                "reduction; use lrlab.callbacks.ReduceOnPlateau, which works on top of a schedule"
            )
        if isinstance(cb, ParamScheduler) and not isinstance(cb, LRFinder):
            raise ValueError(
                f"ScheduleLR and fastai's {type(cb).__name__} (fit_one_cycle, fit_flat_cos, fit_sgdr, fine_tune) both "
                "set the LR; call learn.fit or learn.fit_schedule, or remove one: learn.remove_cb(ScheduleLR)"
            )
        if isinstance(cb, ScheduleLR) and cb is not own:
            raise ValueError(f"two schedules in one fit, {own.schedule!r} and {cb.schedule!r}; remove one of them")


# Assigned rather than patched: `@patch` would leave None under the functions' names.
Learner.fit_schedule = fit_schedule
Learner.preview_schedule = preview_schedule
