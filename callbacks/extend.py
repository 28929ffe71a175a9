"""Train for longer than was asked for at first, and cool one run down at several lengths: both bit for bit.

A schedule such as `Trapezoid` is the same at first for every length of the run: its *trunk*. `Extendable` keeps the
state of a fit where the trunk of its length ends, that is where the cooldown begins. From there `learn.extend`
continues the trunk, and `learn.cool_down` gives the run of another length.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from fastai.basics import Callback, L, Learner, get_model, noop, to_device
from fastai.callback.fp16 import NonNativeMixedPrecision
from fastai.callback.progress import CSVLogger, ProgressCallback, ShowGraphCallback
from fastai.callback.schedule import ParamScheduler
from fastai.callback.training import GradientAccumulation

from . import _fastai
from .arguments import items, whole
from .cooldown import CooldownOnPlateau
from .events import FitCallback, check_callbacks, check_recorder, find
from .hypers import n_groups
from .random_state import random_state, set_random_state
from .resume import (
    Resumable,
    check_file,
    fingerprint,
    first_difference,
    fit_state,
    load_fit_state,
    path_of,
    try_to_write,
    unpack,
    write,
)
from .schedule_lr import ScheduleLR
from .start_at import StartAt
from .steps import PlannedCallback, StepPlan, length_of
from .stored_schedule import from_plain, to_plain
from .trunk import curves_of_run, end_of_trunk, name_schedules, shared_steps
from .unfreeze import GradualUnfreeze

_latest: WeakKeyDictionary[Learner, Path] = WeakKeyDictionary()  # the file of a Learner's latest Extendable


class CannotContinue(ValueError):
    "The file of an Extendable cannot be continued by this fit. Nothing was trained."


class Extendable(PlannedCallback):
    """Keep the state of a fit where its cooldown begins, so that `learn.extend` can make the fit longer.

    The fit must follow a schedule with a trunk: one whose multipliers are the same at first for every length of the
    run, such as `Trapezoid(warmup=1)`. A warm-up in percent grows with the run and is refused, as are `CosineDecay`,
    `OneCycle` and others that depend on the length from the start. A decay may be given in percent.

    The state is everything that decides how the fit continues: model, optimizer, loss scaler, Recorder, trackers, all
    random generators and the order of the data. The cooldown may begin within an epoch. Then a continued fit loads the
    batches before it once more, without training on them.

    `budgets` are shorter lengths of the run, in epochs. The state where the cooldown of each would begin is kept as
    well; `learn.cool_down(budget)` continues from there. The file holds one state for each budget and one for the fit:
    with Adam, about three times the model each. It is replaced at once: a crash while saving leaves the previous file.
    It can be read with `weights_only=True`, so reading it can run no code.

    >>> import tempfile
    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import Extendable, Trapezoid
    >>> folder = tempfile.TemporaryDirectory()
    >>> learn = synth_learner(path=folder.name)
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit_schedule(4, Trapezoid(warmup=1, decay="25%"), lr_max=0.1, cbs=Extendable("run.pth"))
    ...     learn.extend(4)
    >>> [round(float(lr), 3) for lr in learn.recorder.lrs[::10]]
    [0.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.05]
    """

    order = 97  # after the trackers, whose new state must be saved; before `_Continue` and Resumable, which load one

    def __init__(
        self,
        file: str | Path,  # Where to save, in `learn.path/learn.model_dir` unless absolute; ".pth" is added
        budgets: Sequence[int] = (),  # Shorter lengths of the run in epochs, whose states are kept too
    ) -> None:
        self.file = check_file("file", file)
        given = items("budgets", budgets, "numbers of epochs")
        self.budgets = [whole(f"budgets[{i}]", budget) for i, budget in enumerate(given)]
        self._path = self.file  # absolute, and of this process, once a fit has begun
        self._header: dict[str, Any] = {}
        self._targets: list[int] = []  # steps that a state is kept before, and that are still to come
        self._kept: set[int] = set()
        self._at_epoch: dict[str, Any] = {}

    def epochs_start(self) -> None:
        learn, self._path = self.learn, path_of(self.learn, self.file)
        self._header = _header(learn, self.budgets)
        steps = _steps_to_keep(learn, self.budgets)
        self._targets, self._kept = sorted(steps), steps
        _latest[learn] = self._path
        try_to_write(self._path, {**self._header, "states": [fit_state(learn)]})

    def begin(self) -> None:
        # A resumed fit begins beyond some of them.
        self._targets = [step for step in self._targets if step > self._steps.plan.first_of(self._epoch)]

    def continue_after(self, step: int) -> None:
        "The fit starts from the state before this step."
        self._targets = [target for target in self._targets if target > step]
        if not self._targets:
            write(self._path, {**self._header, "states": _read(self._path)["states"]})

    def before_train(self) -> None:
        super().before_train()
        accumulated = getattr(find(self.learn, GradientAccumulation), "count", None)
        self._at_epoch = {"random_of_epoch": random_state(self.learn.dls), "accumulated": accumulated}

    def _within_epoch(self) -> dict[str, Any]:
        return {**self._at_epoch, "recurrent": _fastai.recurrent_state(get_model(self.learn.model))}

    def after_batch(self) -> None:
        batch = self.learn.iter + 1
        if self._targets and batch < self._steps.batches:
            self._keep_if_due(self._steps.next_position, self._epoch, batch)

    def after_epoch(self) -> None:
        if self._targets and self._steps is not None:  # None: fastai's start_epoch skips this epoch
            done = self._epoch + 1
            self._keep_if_due(self._steps.plan.first_of(done), done, 0)

    def _keep_if_due(self, position: float, epoch: int, batch: int) -> None:
        if position < self._targets[0]:
            return
        target = self._targets.pop(0)
        if position != target or self._steps.waiting:
            warnings.warn(
                f"Extendable keeps no state before step {target}: the fit made other steps than were planned",
                stacklevel=2,
            )
            return
        where = {"step": target, "epoch": epoch, "batch": batch, **(self._within_epoch() if batch else {})}
        states = [*self._earlier_states(), {**where, **fit_state(self.learn)}]
        write(self._path, {**self._header, "states": states})

    def _earlier_states(self) -> list[dict[str, Any]]:
        "The states in the file that belong to this trunk: their losses are those of this fit."
        if len(self._kept) == 1 or not self._path.exists():
            return []
        now = self.learn.recorder.losses

        def is_of_this_fit(state: dict[str, Any]) -> bool:
            losses = state["recorder"]["losses"]
            return len(losses) <= len(now) and all(map(torch.equal, losses, now))

        states = _read(self._path)["states"]
        return [state for state in states if state["step"] in self._kept and is_of_this_fit(state)]


class _Continue(FitCallback):
    "Start a fit from the file of an Extendable: from its latest state before the cooldown of this fit."

    order = 98  # after Extendable, which looks at the optimizer before; before Resumable, whose state may be later

    def __init__(self, path: Path, stored: dict[str, Any]) -> None:
        self.path, self.stored = path, stored
        self._start: dict[str, Any] = {}
        self._stop_skipping: Callable[[], None] = noop

    def epochs_start(self) -> None:
        learn = self.learn
        if difference := first_difference(self.stored["fit"], _fit_of(learn)):
            raise CannotContinue(f"{self.path} is of another fit: {difference}; continue it with what it began with")
        self._start = self._choose()
        self.skip_to = self._start["epoch"]
        for cb in learn.cbs:
            if isinstance(cb, Extendable):
                cb.continue_after(self._start["step"])
        if not self._start["batch"]:
            load_fit_state(learn, self._start)
        elif (counter := find(learn, GradientAccumulation)) is not None:
            counter.count = self._start["accumulated"]

    def before_train(self) -> None:
        if self._start["batch"] and self._epoch == self._start["epoch"]:
            set_random_state(self.learn.dls, self._start["random_of_epoch"])
            self._skip_batches()

    def fit_ends(self, failed: bool) -> None:
        self._stop_skipping()
        self._start, self.stored = {}, {}

    def _skip_batches(self) -> None:
        "Draw those batches of the epoch that come before the state, without training on them; then load the state."
        learn, original = self.learn, vars(self.learn).get("one_batch")

        def stop() -> None:
            del learn.one_batch
            if original is not None:  # the user's own
                learn.one_batch = original
            self._stop_skipping = noop

        def one_batch(i: int, b: Any) -> None:
            if "pct_train" in vars(learn):
                learn.pct_train += 1.0 / (learn.n_iter * learn.n_epoch)
            if i == self._start["batch"] - 1:
                stop()
                load_fit_state(learn, self._start)
                model = get_model(learn.model)
                recurrent = to_device(self._start["recurrent"], next(model.parameters()).device)
                _fastai.set_recurrent_state(model, recurrent)

        learn.one_batch, self._stop_skipping = one_batch, stop

    def _choose(self) -> dict[str, Any]:
        before, now = self.stored["n_epoch"], self.learn.n_epoch
        shared = shared_steps(curves_of_run(self.learn, before), curves_of_run(self.learn, now))
        states = self.stored["states"]
        usable = [state for state in states if state["step"] <= shared]
        if not usable:
            earliest = min(state["step"] for state in states)
            raise CannotContinue(
                f"{name_schedules(self.learn)} with n_epoch={now} differs from the fit with n_epoch={before} from "
                f"step {shared} on, and the earliest state in {self.path} is of step {earliest}; a fit with "
                f"Extendable({str(self.path.name)!r}, budgets=[{now}]) keeps an earlier one"
            )
        # A copy, because the file is mapped and may be replaced while the fit runs.
        return copy.deepcopy(max(usable, key=lambda state: state["step"]))


def extend(
    learn: Learner,
    n_epoch: int,  # Epochs to add
    path: str | Path | None = None,  # The file of the Extendable; default that of this Learner's latest fit
    cbs: Callback | Sequence[Callback] | None = None,  # The callbacks that the fit had beside the Extendable
) -> None:
    """Make the fit with an `Extendable` longer. Also `learn.extend(...)`.

    Model, history and all else are then what they would be if the longer fit had been asked for at first, bit for bit
    on a CPU. The fit continues where its first cooldown began. The new cooldown's state replaces the old one in the
    file, so a fit can be extended again.

    In a new process, make the Learner by the same code and name the file: `learn.extend(4, "run.pth")`. Schedule,
    learning rates and weight decay are read from it. Callbacks are not: pass them again. A Learner that differs in
    data, optimizer or callbacks is refused.

    >>> import tempfile
    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import Extendable, Trapezoid
    >>> folder = tempfile.TemporaryDirectory()
    >>> learn = synth_learner(path=folder.name)
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit_schedule(3, Trapezoid(warmup=1, decay=1), cbs=Extendable("run.pth"))
    ...     learn.extend(2)
    >>> learn.n_epoch, len(learn.recorder.values)
    (5, 5)
    """
    n_epoch, cbs = whole("n_epoch", n_epoch), check_callbacks(cbs)
    path, stored = _stored(learn, path)
    _fit(learn, stored["n_epoch"] + n_epoch, path, stored, L(Extendable(path, stored["budgets"])) + cbs)


def cool_down(
    learn: Learner,
    n_epoch: int,  # Epochs of the whole run, its trunk included
    path: str | Path | None = None,  # The file of the Extendable; default that of this Learner's latest fit
    cbs: Callback | Sequence[Callback] | None = None,  # The callbacks that the fit had beside the Extendable
) -> None:
    """Give the run of `n_epoch` epochs from a trunk that is trained already. Also `learn.cool_down(...)`.

    Hägele et al. 2024 (arXiv:2405.18392): one trunk, many cooldowns. A fit with `Extendable(path, budgets=[1, 2, 4])`
    keeps the states. Each call continues from the latest of them that is not past the cooldown of `n_epoch` epochs. The
    result is that of a separate `fit_schedule(n_epoch, ...)` with the same seed, bit for bit on a CPU. The file is only
    read: processes may use it at the same time. The run may also be longer than the file's; an Extendable of another
    file among its `cbs` keeps its state. As for the rest, see `extend`.

    >>> import tempfile
    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import Extendable, Trapezoid
    >>> folder = tempfile.TemporaryDirectory()
    >>> learn = synth_learner(path=folder.name)
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit_schedule(4, Trapezoid(warmup="5 steps"), cbs=Extendable("trunk.pth", budgets=[1, 2]))
    ...     learn.cool_down(2)
    >>> learn.n_epoch, len(learn.recorder.values)
    (2, 2)
    """
    n_epoch, cbs = whole("n_epoch", n_epoch), check_callbacks(cbs)
    path, stored = _stored(learn, path)
    _fit(learn, n_epoch, path, stored, cbs)


def _fit(learn: Learner, n_epoch: int, path: Path, stored: dict[str, Any], cbs: L) -> None:
    if (groups := n_groups(learn)) != len(stored["lr"]):  # before the LRs are set
        raise CannotContinue(
            f"{path} is of another fit: its number of parameter groups is {len(stored['lr'])}, this one's {groups}; "
            "continue it with what it began with"
        )
    scheduler = ScheduleLR(from_plain(stored["schedule"]), stored["moms"])
    wd = None if None in stored["wd"] else stored["wd"]
    kept_in_learner = L(cb for cb in learn.cbs if isinstance(cb, Extendable))
    learn.remove_cbs(kept_in_learner)
    try:
        learn.fit(n_epoch, lr=stored["lr"], wd=wd, cbs=L(_Continue(path, stored), scheduler) + cbs)
    finally:
        learn.add_cbs(kept_in_learner)


def _stored(learn: Learner, path: str | Path | None) -> tuple[Path, dict[str, Any]]:
    "The file of an Extendable and what it holds."
    if path is None and learn not in _latest:
        raise CannotContinue('this Learner has had no fit with an Extendable; name its file: path="run.pth"')
    file = _latest[learn] if path is None else path_of(learn, check_file("path", path))
    if not file.exists():
        raise CannotContinue(
            f"there is no {file}: fit with Extendable({file.name!r}) first; it saves when the cooldown begins"
        )
    return file, _read(file)


def _read(path: Path) -> dict[str, Any]:
    try:
        stored = unpack(torch.load(path, map_location="cpu", weights_only=True, mmap=True))
        missing = {"fit", "n_epoch", "schedule", "lr", "moms", "wd", "budgets", "states"} - stored.keys()
    except Exception as error:  # torch.load raises errors of many types for a damaged file
        raise CannotContinue(f"{path} is damaged or no file of Extendable") from error
    if missing or "metrics" not in stored["fit"]:
        raise CannotContinue(f"{path} is no file of Extendable, or of another version of lrlab")
    return stored


_CANNOT_EXTEND: dict[type[Callback], str] = {
    ParamScheduler: "follows the share of the run that is done, which an extension would change",
    NonNativeMixedPrecision: "keeps master weights of its own",
    CooldownOnPlateau: "ends the trunk before the epochs that an extension would add",
}


def _header(learn: Learner, budgets: list[int]) -> dict[str, Any]:
    "What the file says about the fit, beside its states."
    check_recorder(learn, "Extendable")
    if (scheduler := find(learn, ScheduleLR)) is None:
        raise ValueError("Extendable needs a schedule in the same fit: call learn.fit_schedule")
    if (length := length_of(learn)) is not None:
        raise ValueError(f"Extendable extends a fit by epochs, and this one has {length.in_words}; give it n_epoch")
    for kind, reason in _CANNOT_EXTEND.items():
        if (cb := find(learn, kind)) is not None:
            raise ValueError(f"Extendable cannot extend a fit with {type(cb).__name__}, which {reason}")
    return {
        "fit": _fit_of(learn),
        "n_epoch": learn.n_epoch,
        "schedule": to_plain(scheduler.schedule),
        "moms": scheduler.moms,
        "lr": [float(lr) for lr in _fastai.read_hyper(learn.opt, "lr")],
        "wd": _fastai.read_hyper(learn.opt, "wd"),
        "budgets": budgets,
    }


def _fit_of(learn: Learner) -> dict[str, Any]:
    "What a continued fit must have in common with the fit before, in plain values."
    fit = fingerprint(learn)
    changes = ["n_epoch", "digest of the schedule"]
    if any(isinstance(cb, GradualUnfreeze) for cb in learn.cbs):
        changes.append("frozen")
    ours = (Extendable, _Continue, Resumable, StartAt, ProgressCallback, CSVLogger, ShowGraphCallback)
    others = sorted(type(cb).__name__ for cb in learn.cbs if not isinstance(cb, ours))
    return {name: value for name, value in fit.items() if name not in changes} | {"list of callbacks": others}


def _steps_to_keep(learn: Learner, budgets: list[int]) -> set[int]:
    "The steps at which the cooldowns begin: of the fit itself and of its budgets."
    epochs, run = learn.n_epoch, curves_of_run(learn, learn.n_epoch)
    try:
        longer = curves_of_run(learn, epochs + 1)
    except ValueError as error:
        raise ValueError(f"{name_schedules(learn)} cannot be extended: {error}") from error
    steps = {end_of_trunk(learn, run, longer)}
    for budget in budgets:
        if budget >= epochs:
            raise ValueError(f"budgets must be below the n_epoch={epochs} of the fit, got {budget}")
        steps.add(end_of_trunk(learn, curves_of_run(learn, budget), run))
    within = steps - set(StepPlan(learn, epochs).firsts)
    if within and learn.recorder.train_metrics:
        raise ValueError(
            f"Extendable cannot keep a state within an epoch, at step {min(within)}, under train_metrics=True; "
            "let the cooldown begin with an epoch"
        )
    return steps


# Assigned rather than patched: `@patch` would leave None under the functions' names.
Learner.extend = extend
Learner.cool_down = cool_down
