"""Apply schedules to a Learner: `fit_schedule`, the callbacks that it uses, and the preview that does not train."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from fastai.basics import Callback, L, Learner, OptimWrapper, Recorder
from fastai.callback.schedule import ParamScheduler
from fastai.callback.tracker import EarlyStoppingCallback, ReduceLROnPlateau

from . import _fastai
from .arguments import Budget, is_number, number, plain, whole, whole_or_none
from .events import check_callbacks, find
from .fit_length import StepLimit, TimeLimit
from .hypers import (
    LR,
    Plan,
    Schedules,
    Track,
    WrappedPlan,
    check_lr,
    check_schedules,
    check_settable,
    default_lr,
    n_groups,
    per_group,
    spread_lr,
    uses,
)
from .preview import SchedulePreview
from .schedule import Curve, Schedule
from .start_at import StartAt
from .steps import FitLength, PlannedCallback, StepPlan, epochs_for


class ScheduleHyper(PlannedCallback):
    """Multiply a hyper-parameter of every parameter group by a schedule, step by step: weight decay, for example.

    The group's own value at the start of the fit is what the multiplier 1 means. It is restored after the fit.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import CosineDecay, PolynomialDecay, ScheduleHyper
    >>> learn = synth_learner()
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit_schedule(2, CosineDecay(), lr_max=0.1, wd=0.2, cbs=ScheduleHyper("wd", PolynomialDecay()))
    >>> learn.opt.hypers[0]["wd"]
    0.2
    """

    _plan: Plan | None = None  # outside a fit

    def __init__(
        self,
        hyper: str,  # Its name in the optimizer: "wd", "eps", "sqr_mom", ...
        schedule: Schedules,  # How it changes over the run; a dict gives parameter groups schedules of their own
    ) -> None:
        if not isinstance(hyper, str):
            raise ValueError(f"hyper must be the name of a hyper-parameter such as 'wd', got {hyper!r}")
        self.hyper, self.schedule = hyper, check_schedules(schedule)
        self._before: dict[str, list[Any]] = {}
        self._set: tuple[Any, dict[str, list[Any]]] | None = None  # the optimizer, and the values that it was left with
        self._warned = False

    def epochs_start(self) -> None:
        # Before a checkpoint may restore the optimizer of the middle of a run.
        self._before = self._read()

    def begin(self) -> None:
        "Plan the whole run. An error of the schedule, the values or the other callbacks is raised here."
        self._refuse_rivals()
        check_settable(self.learn.opt)
        budget = self._steps.plan.budget()
        kind = WrappedPlan if isinstance(self.learn.opt, OptimWrapper) else Plan
        self._plan = kind(self._tracks(budget), budget.total_steps)
        if not self._resumed:
            self._set = self.learn.opt, self._before

    def continue_from(self, step: int | None) -> None:
        super().continue_from(step)
        self._set = None  # a checkpoint has brought the values of its step

    def before_train(self) -> None:
        super().before_train()
        self._plan.hypers = None  # another callback may have added parameter groups

    def before_batch(self) -> None:
        learn = self.learn
        if self._set is not None:  # at the first batch of an epoch
            self._warn_of_values_without_effect(*self._set)
        self._plan.write(learn.opt, self._steps.start_batch(learn))

    def after_train(self) -> None:
        self._set = self.learn.opt, self._read()
        planned = self._steps.plan.first_of(self._epoch + 1) - self._steps.start
        made = self._steps.next - self._steps.first_of_epoch
        if planned and planned != made and not self._warned:  # a fit of `minutes` plans 0
            self._warned = True
            warnings.warn(
                f"epoch {self._epoch} made {made} optimizer steps, and {planned} were planned; {self!r} follows the "
                "fraction of the run that is done",
                stacklevel=2,
            )

    def fit_ends(self, failed: bool) -> None:
        # Also where nothing was trained: a complete fit that was resumed has loaded the values of its last step.
        bases = {track.name: track.bases or [] for track in self._plan.tracks} if self._plan else {}
        for name, before in self._before.items():
            now = _fastai.read_hyper(self.learn.opt, name)
            joined = (bases.get(name) or now)[len(before) :]  # groups that came during the fit
            if None not in (values := [*before, *joined][: len(now)]):
                _fastai.set_hyper(self.learn.opt, name, values)
        self._before, self._plan, self._set, self._warned = {}, None, None, False
        super().fit_ends(failed)

    def _names(self) -> list[str]:
        return [self.hyper]

    def _read(self) -> dict[str, list[Any]]:
        return {name: _fastai.read_hyper(self.learn.opt, name) for name in self._names()}

    def _warn_of_values_without_effect(self, opt: Any, left: dict[str, list[Any]]) -> None:
        "A callback of the user's that sets the LR before this one does would otherwise do so for nothing, unnoticed."
        self._set = None
        for name, values in self._read().items() if opt is self.learn.opt else ():
            changed = [now for now, before in zip(values, left[name], strict=False) if now != before]
            if changed:
                warnings.warn(
                    f"{name} was set to {changed[-1]} during the fit, which has no effect: {self!r} sets it at every "
                    "batch; change the schedule or lr_max instead",
                    stacklevel=2,
                )

    def _tracks(self, budget: Budget) -> list[Track]:
        values = self._before[self.hyper]
        if not all(map(is_number, values)):
            numbers = [name for name, value in self.learn.opt.hypers[0].items() if is_number(value)]
            raise ValueError(f"hyper must be one of {', '.join(numbers)}; got {self.hyper!r}")
        return [Track(self.hyper, values, per_group(self.schedule, lambda schedule: schedule._curve(budget)))]

    def _refuse_rivals(self) -> None:
        "Two callbacks that set the same value would overwrite each other; the last one in order would win."
        for cb in self.learn.cbs:
            if isinstance(cb, ScheduleHyper) and cb is not self and (same := set(cb._names()) & set(self._names())):
                raise ValueError(
                    f"two schedules in one fit set {', '.join(same)}: {self!r} and {cb!r}; remove one of them"
                )
            if isinstance(cb, ParamScheduler) and (same := set(cb.scheds) & set(self._names())):
                raise ValueError(
                    f"{type(self).__name__} and fastai's {type(cb).__name__} (fit_one_cycle, fit_flat_cos, fit_sgdr, "
                    f"fine_tune) both set the {' and '.join(name.upper() if name == 'lr' else name for name in same)}; "
                    f"call learn.fit or learn.fit_schedule, or remove one: learn.remove_cb({type(self).__name__})"
                )

    def __repr__(self) -> str:
        return f"ScheduleHyper({self.hyper!r}, {self.schedule!r})"


class ScheduleLR(ScheduleHyper):
    """Multiply the LR of every parameter group by a schedule, step by step.

    The group's own LR at the start of the fit is its lr_max. It is restored after the fit.

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
        schedule: Schedules,  # How the LR changes over the run; a dict gives parameter groups schedules of their own
        moms: tuple[float, float] | None = None,  # Momentum (beta1) at the LR's low and top; None does not change it
    ) -> None:
        super().__init__("lr", schedule)
        self.moms = check_moms(moms)

    def fit_ends(self, failed: bool) -> None:
        # For `learn.recorder.plot_sched()`, with one value per batch. After `after_fit`, in which a ParamScheduler of
        # fastai's replaces what is there by its own values.
        if not failed and self._in_epochs and (recorder := find(self.learn, Recorder)) is not None:
            recorder.hps = {"lr": list(recorder.lrs)}
            if self.moms is not None and self._plan is not None:
                momentum = self._plan.table("mom", len(self.learn.opt.hypers))[:, -1]
                batches = np.linspace(0, len(momentum), len(recorder.lrs), endpoint=False).astype(int)
                recorder.hps["mom"] = momentum[batches].tolist()
            for cb in self.learn.cbs:
                recorder.hps.update(cb.hps if isinstance(cb, ParamScheduler) else {})
        super().fit_ends(failed)

    def begin(self) -> None:
        super().begin()
        self._warn_of_early_stopping()

    def _warn_of_early_stopping(self) -> None:
        patience = [cb.patience for cb in self.learn.cbs if isinstance(cb, EarlyStoppingCallback)]
        if not patience or min(patience) + 1 >= self.learn.n_epoch:
            return
        lrs = self._plan.table("lr", len(self.learn.opt.hypers))[:, -1]
        if lrs[-1] < lrs.max() / 2:
            warnings.warn(
                f"EarlyStoppingCallback may end the fit while the LR of {self.schedule!r} is still high, and so lose "
                "what the schedule is for; Trapezoid() with CooldownOnPlateau() ends early with its cooldown",
                stacklevel=2,
            )

    def _names(self) -> list[str]:
        return ["lr"] if self.moms is None else ["lr", "mom"]

    def _tracks(self, budget: Budget) -> list[Track]:
        if self.moms is not None and not uses(self.learn.opt, "mom"):
            raise ValueError(f"moms={self.moms} needs an optimizer with momentum (beta1), and this one has none")
        return lr_tracks(self.schedule, [check_lr("lr_max", lr) for lr in self._before["lr"]], self.moms, budget)

    def _refuse_rivals(self) -> None:
        super()._refuse_rivals()
        if any(isinstance(cb, ReduceLROnPlateau) for cb in self.learn.cbs):
            raise ValueError(
                "ScheduleLR and fastai's ReduceLROnPlateau both set the LR, and the schedule would undo every "
                "reduction; use lrlab.callbacks.ReduceOnPlateau, which works on top of a schedule"
            )
        # By its name: importing its class would import all of fastai.vision.
        if any(type(cb).__name__ == "GANDiscriminativeLR" for cb in self.learn.cbs):
            raise ValueError(
                "ScheduleLR and fastai's GANDiscriminativeLR both set the LR, and the schedule would undo that of the "
                "critic; give the critic parameter groups of its own by `splitter`, and lr_max one LR for each group"
            )

    def __repr__(self) -> str:
        return f"ScheduleLR({self.schedule!r}" + (f", moms={self.moms})" if self.moms else ")")


def lr_tracks(
    schedules: Schedules, lr_max: list[float], moms: tuple[float, float] | None, budget: Budget
) -> list[Track]:
    "The LR over a run, and the momentum if it moves: moms[0] - (moms[0] - moms[1]) * shape."
    tracks = [Track("lr", lr_max, per_group(schedules, lambda schedule: schedule._curve(budget)))]
    if moms is None:
        return tracks

    def momentum(schedule: Schedule) -> Curve:
        shape = schedule._shape(budget)
        return lambda t: moms[0] - (moms[0] - moms[1]) * shape(t)

    return [*tracks, Track("mom", None, per_group(schedules, momentum))]


def fit_schedule(
    learn: Learner,
    n_epoch: int | None = None,  # Epochs to train
    schedule: Schedules | None = None,  # How the LR changes; a dict gives parameter groups schedules of their own
    lr_max: LR | None = None,  # LR at the schedule's multiplier 1, for each parameter group; default `learn.lr`
    moms: tuple[float, float] | None = None,  # Momentum (beta1) at the LR's low and top; None does not change it
    wd: float | None = None,  # Weight decay; default `learn.wd`
    cbs: Callback | Sequence[Callback] | None = None,  # More callbacks for this fit
    reset_opt: bool = False,  # Start with a new optimizer
    start_epoch: int = 0,  # Skip the epochs before this one, in the schedule too
    steps: int | None = None,  # In place of `n_epoch`: optimizer steps to train
    minutes: float | None = None,  # In place of `n_epoch`: time to train and validate
) -> None:
    """Fit `learn` for `n_epoch` epochs under `schedule`. Also `learn.fit_schedule(...)`.

    `fit_schedule(steps=3000, schedule=...)` makes exactly 3000 optimizer steps. The last epoch is cut there, and
    validated.

    `fit_schedule(minutes=10, schedule=...)` trains for ten minutes, validation included. The schedule follows the share
    of the time that is over, so it ends when the time does, at any speed. Its lengths must be percentages. Training
    ends early enough for the last validation, as long as the epochs before took; only a fit that has no time for a
    second epoch ends later, by its validation. Two such fits are never exactly the same.

    `lr_max` is the LR where the multiplier is 1: a number, fastai's `slice` over the parameter groups, or a list with
    one LR for each; by default `learn.lr`. The momentum changes only with `moms`, its values where the LR is low and at
    its top: `moms=(0.95, 0.85)` is what `fit_one_cycle` does by default. `wd` is by default that of the Learner.

    `{0: Constant(), -1: CosineDecay()}` gives parameter groups different schedules. A group without one follows the
    nearest group before it that has one. Afterwards `learn.recorder.plot_sched()` draws LR and momentum.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import CosineDecay
    >>> learn = synth_learner()
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit_schedule(2, CosineDecay(), lr_max=0.1)
    >>> [round(float(lr), 4) for lr in learn.recorder.lrs[::5]]
    [0.1, 0.0854, 0.05, 0.0146]
    """
    n_epoch, length = _length_of_fit(n_epoch, steps, minutes)
    if length is not None and start_epoch:
        raise ValueError(f"start_epoch={start_epoch!r} needs a fit of n_epoch, and this one has {length.in_words}")
    n_epoch, start_epoch = check_epochs(n_epoch, start_epoch)
    scheduler = ScheduleLR(check_schedules(schedule), moms)
    if wd is not None:
        wd = number("wd", wd, "[0, inf)")
    if lr_max is not None:
        lr_max = spread_lr("lr_max", lr_max, n_groups(learn, reset_opt))  # fastai's own spreading fails for one group
    cbs = L(StartAt(start_epoch), scheduler) + L(length) + check_callbacks(cbs)
    learn.fit(n_epoch, lr=lr_max, wd=wd, cbs=cbs, reset_opt=reset_opt)


def preview_schedule(
    learn: Learner,
    n_epoch: int | None = None,  # Epochs of the run
    schedule: Schedules | None = None,  # As in `fit_schedule`
    lr_max: LR | None = None,  # As in `fit_schedule`
    moms: tuple[float, float] | None = None,  # As in `fit_schedule`
    steps: int | None = None,  # In place of `n_epoch`: optimizer steps of the run
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
    n_epoch = whole("n_epoch", _length_of_fit(n_epoch, steps)[0])
    limit, schedule, moms = whole_or_none("steps", steps), check_schedules(schedule), check_moms(moms)
    groups = n_groups(learn)
    lrs = spread_lr("lr_max", default_lr(learn) if lr_max is None else lr_max, groups)
    n_epoch = n_epoch if limit is None else epochs_for(learn, limit)
    run = StepPlan(learn, n_epoch, start_epoch=-1, limit=limit)  # a fit forgets what an earlier one has accumulated
    budget = run.budget()
    plan = Plan(lr_tracks(schedule, lrs, moms, budget), budget.total_steps)
    momenta = None if moms is None else plan.table("mom", groups)
    return SchedulePreview(schedule, run.firsts, plan.table("lr", groups), momenta, budget.steps_per_epoch)


def _length_of_fit(n_epoch: Any, steps: Any, minutes: Any = None) -> tuple[Any, FitLength | None]:
    "The number of epochs, 1 if it is not known yet, and what ends the fit otherwise."
    lengths = {"n_epoch": n_epoch, "steps": steps, "minutes": minutes}
    given = [f"{name}={value!r}" for name, value in lengths.items() if value is not None]
    if len(given) != 1:
        got = " and ".join(given) or "none of them"
        raise ValueError(f"the length of a fit must be one of n_epoch, steps and minutes; got {got}")
    if steps is not None:
        return 1, StepLimit(steps)
    return (1, TimeLimit(minutes)) if minutes is not None else (n_epoch, None)


def check_moms(moms: Any) -> tuple[float, float] | None:
    "`moms` as two Python floats, or None."
    if moms is None:
        return None
    pair = tuple(plain(mom) for mom in moms) if np.shape(moms) == (2,) else ()
    if len(pair) != 2 or not all(is_number(mom) and 0 <= mom < 1 for mom in pair):
        raise ValueError(f"moms must be two numbers in [0, 1), momentum at the LR's low and top, or None; got {moms!r}")
    return float(pair[0]), float(pair[1])


def check_epochs(n_epoch: Any, start_epoch: Any) -> tuple[int, int]:
    "Both as ints, if 0 <= start_epoch < n_epoch."
    n_epoch, start_epoch = whole("n_epoch", n_epoch), whole("start_epoch", start_epoch, least=0)
    if start_epoch >= n_epoch:
        raise ValueError(f"start_epoch must be below n_epoch={n_epoch}, got {start_epoch!r}")
    return n_epoch, start_epoch


# Assigned rather than patched: `@patch` would leave None under the functions' names.
Learner.fit_schedule = fit_schedule
Learner.preview_schedule = preview_schedule
