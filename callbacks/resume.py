"""Resume an interrupted fit in a new process, bit for bit."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sized
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai.basics import Callback, L, Learner, OptimWrapper, get_model, rank_distrib, to_device
from fastai.callback.progress import CSVLogger
from fastai.callback.schedule import ParamScheduler

from . import _fastai
from .arguments import whole
from .events import FitCallback, check_recorder
from .hypers import by_group
from .random_state import random_state, set_random_state
from .schedule_lr import ScheduleHyper
from .steps import StepCallback, length_of, n_batches, plan_of

ITEMS_HASHED = 1000  # names of items that tell one data set from another


class Resumable(FitCallback):
    """Save everything after each epoch; if the file exists when the fit starts, continue from it.

    Stop a script and run it again unchanged: the weights, losses, LRs and the order of the data are those of a run that
    was not stopped, bit for bit on a CPU. The file holds model, optimizer, loss scaler, random state, Recorder, the
    position in the schedule, and the best values of trackers such as SaveModelCallback. No event is sent for the epochs
    that are done, and a complete fit does not train again. A file of another fit is refused: other epochs, data,
    loss function, metrics, optimizer, schedule, callbacks or frozen layers.

    A sampler of your own with an epoch counter, or with a list that it shuffles in place, does not resume in the same
    order, because no random generator holds that state. A callback resumes with its state if it has `state_dict` and
    `load_state_dict`; the GANTrainer of fastai has neither.

    A Resumable that stays in the Learner numbers its fits: the second one, as in `fine_tune`, is saved beside the first
    as "NAME-2.pth". The processes of a distributed fit have a file each. A crash while saving leaves the previous file,
    and reading it with `weights_only=True` can run no code.

    >>> import tempfile
    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import CosineDecay, Resumable
    >>> folder = tempfile.TemporaryDirectory()
    >>> for stop_after in 1, 3:
    ...     learn = synth_learner(path=folder.name)
    ...     with learn.no_bar(), learn.no_logging():
    ...         learn.fit_schedule(stop_after, CosineDecay(), cbs=Resumable(f"fit of {stop_after}"))
    >>> [file.name for file in sorted(learn.path.glob("models/*"))]
    ['fit of 1.pth', 'fit of 3.pth']
    """

    order = 99  # after the trackers, whose new state must be saved and whose fresh state must be replaced

    def __init__(
        self,
        file: str | Path,  # Where to save, in `learn.path/learn.model_dir` unless absolute; ".pth" is added
        every: int = 1,  # Epochs between saves; the last epoch is always saved
    ) -> None:
        self.file, self.every = check_file("file", file), whole("every", every)
        self._fits_done = 0
        self._loggers: list[CSVLogger] = []  # those that would start a new file
        self._fit: dict[str, Any] = {}
        self._path = self.file  # absolute, and of this process and fit, once a fit has begun

    def fit_starts(self) -> None:
        check_recorder(self.learn, "Resumable")
        if any(isinstance(cb, Resumable) and cb is not self for cb in self.learn.cbs):
            raise ValueError("two Resumable in one fit cannot both continue it; remove one of them")

        number = f"-{self._fits_done + 1}" if self._fits_done else ""
        self._path = path_of(self.learn, self.file, number)
        self._loggers = [cb for cb in self.learn.cbs if isinstance(cb, CSVLogger) and not cb.append]
        for cb in self._loggers if self._path.exists() else ():
            cb.append = True  # it would write over the epochs that are done

    def epochs_start(self) -> None:
        self._fit = fingerprint(self.learn)
        if self._path.exists():
            state = self._read()
            load_fit_state(self.learn, state)
            self.skip_to = state["epoch"]
        else:
            try_to_write(self._path, self._run_state(0))

    def after_epoch(self) -> None:
        done = self._epoch + 1
        if done % self.every == 0 or done == self.learn.n_epoch:
            write(self._path, self._run_state(done))

    def fit_ends(self, failed: bool) -> None:
        self._fits_done += not failed
        for cb in self._loggers:
            cb.append = False
        self._loggers = []

    def _run_state(self, done: int) -> dict[str, Any]:
        return {"fit": self._fit, "epoch": done, **fit_state(self.learn)}

    def _read(self) -> dict[str, Any]:
        "The state in the file, once everything about it is checked."
        try:
            state = unpack(torch.load(self._path, map_location="cpu", weights_only=True))
            fit, missing = state["fit"], self._run_state(0).keys() - state.keys()
        except Exception as error:  # torch.load raises errors of many types for a damaged file
            raise ValueError(f"{self._path} is damaged or no file of Resumable; delete it to start over") from error
        if missing or fit.keys() != self._fit.keys():
            raise ValueError(f"{self._path} was written by another version of lrlab; delete it to start over")
        if difference := first_difference(fit, self._fit):
            raise ValueError(
                f"{self._path} is of another fit: {difference}; "
                "give every fit a file of its own, or delete this one to start over"
            )
        return state


def fit_state(learn: Learner) -> dict[str, Any]:
    "All that decides how the fit of `learn` continues from here, apart from its position in the data."
    recorder, model, scaler = learn.recorder, get_model(learn.model), vars(learn).get("scaler")
    return {
        "train_iter": learn.train_iter,
        "model": model.state_dict(),
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "grads": [p.grad for p in model.parameters()],  # not zero in the middle of an accumulation
        "opt": learn.opt.state_dict(),
        "frozen_idx": learn.opt.frozen_idx,
        "scaler": None if scaler is None else scaler.state_dict(),
        "recorder": {name: getattr(recorder, name) for name in ("lrs", "iters", "losses", "values")},
        "steps": next((cb._steps.next for cb in _step_callbacks(learn) if cb._steps is not None), None),
        "smooth_loss": _fastai.smooth_loss_state(recorder),
        "callbacks": [_state(cb) for cb in _stateful(learn.cbs)],
        "random": random_state(learn.dls),
    }


def load_fit_state(learn: Learner, state: dict[str, Any]) -> None:
    "Bring `learn`, its callbacks and the random generators into a `fit_state`."
    recorder, model, scaler = learn.recorder, get_model(learn.model), vars(learn).get("scaler")
    device = next(model.parameters()).device
    model.load_state_dict(state["model"])
    for parameter, requires_grad, grad in zip(model.parameters(), state["requires_grad"], state["grads"], strict=True):
        parameter.requires_grad_(requires_grad)
        parameter.grad = to_device(grad, device)
    opt = to_device(state["opt"], device)
    learn.opt.load_state_dict(opt if isinstance(learn.opt, OptimWrapper) else opt | {"hypers": L(opt["hypers"])})
    learn.opt.frozen_idx = state["frozen_idx"]
    if scaler is not None and state["scaler"]:
        scaler.load_state_dict(state["scaler"])
    vars(recorder).update(state["recorder"], values=[L(row) for row in state["recorder"]["values"]])
    _fastai.set_smooth_loss_state(recorder, state["smooth_loss"])
    for cb, its_state in zip(_stateful(learn.cbs), state["callbacks"], strict=True):
        _load_state(cb, its_state)
    for cb in _step_callbacks(learn):
        cb.continue_from(state["steps"])
    learn.train_iter = state["train_iter"]
    getattr(learn.dls, "n_inp", None)  # at the first batch fastai may draw an item, with its augmentation, to find out
    set_random_state(learn.dls, state["random"])


def check_file(name: str, file: Any) -> Path:
    "`file` as a Path; `ValueError` if it is not a path or empty."
    if not isinstance(file, (str, os.PathLike)) or not str(file):
        raise ValueError(f"{name} must be a path, got {file!r}")
    return Path(file)


def path_of(learn: Learner, file: str | Path, number: str = "") -> Path:
    "Where a file of this process lies: in `learn.path/learn.model_dir` unless absolute; its name ends in .pth."
    path = Path(learn.path) / learn.model_dir / file
    path = path.with_name(f"{path.name.removesuffix('.pth')}{number}.pth")
    return path.with_name(f"{path.name}.rank{rank_distrib()}") if rank_distrib() else path


def try_to_write(path: Path, state: dict[str, Any]) -> None:
    "Raise before the fit what would otherwise be raised by the first `write`."
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".tmp")
        unfinished.touch()
        unfinished.unlink()
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error}") from error
    torch.save(pack(state), io.BytesIO())


def write(path: Path, state: dict[str, Any]) -> None:
    "Replace the file at once: a crash leaves the previous file. Raises OSError where the disk is full."
    unfinished = path.with_name(path.name + ".tmp")
    try:
        with unfinished.open("wb") as file:
            torch.save(pack(state), file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except RuntimeError as error:  # torch's own, in place of what the system said
        cause = error.__context__
        raise (cause if isinstance(cause, OSError) else error) from None
    finally:
        unfinished.unlink(missing_ok=True)


def first_difference(stored: dict[str, Any], now: dict[str, Any]) -> str:
    "The first value of `now` that differs from the one in `stored`, in words; empty if there is none."
    for name, value in now.items():
        if stored.get(name) != value:
            return f"its {name} is {stored.get(name)!r}, this one's {value!r}"
    return ""


def fingerprint(learn: Any) -> dict[str, Any]:
    "What makes two fits the same fit, in plain values that a person can compare."
    hypers, length = [dict(hyper) for hyper in learn.opt.hypers], length_of(learn)
    opt = learn.opt.opt if isinstance(learn.opt, OptimWrapper) else learn.opt
    schedules = [cb for cb in learn.cbs if isinstance(cb, ScheduleHyper)]
    # fit_one_cycle leaves the momentum of its last step in the optimizer.
    scheduled = {name for cb in learn.cbs if isinstance(cb, ParamScheduler) for name in cb.scheds}
    no_settings = scheduled | _COUNTERS
    if isinstance(learn.opt, OptimWrapper):  # what steps added to the groups
        no_settings |= {name for group in opt.param_groups for name in group if name not in opt.defaults}
    return pack(
        {
            "n_epoch": learn.n_epoch if length is None else length.in_words,
            "lr": [float(hyper.pop("lr")) for hyper in hypers],
            "batches": n_batches(learn.dls.train),
            "data": [_describe(dl) for dl in learn.dls.loaders],
            "optimizer": [type(opt).__name__, *(_name(f) for f in _fastai.step_functions(learn.opt))],
            "hypers": [{name: hyper[name] for name in hyper if name not in no_settings} for hyper in hypers],
            "groups": [[tuple(p.shape) for p in group] for group in learn.opt.param_lists],
            "loss": _name(getattr(learn.loss_func, "func", learn.loss_func)),  # within a flattened loss of fastai's
            "metrics": list(learn.recorder.metric_names),
            "frozen": [learn.opt.frozen_idx, "".join("01"[p.requires_grad] for p in learn.model.parameters())],
            "schedule": [repr(cb) for cb in schedules],
            "digest of the schedule": [_multipliers(learn, cb) for cb in schedules],
            "callbacks": [cb.name for cb in _stateful(learn.cbs)],
        }
    )


def _describe(dl: Any) -> list[Any]:
    "Items, batch size and names of a DataLoader, as far as it has them."
    dataset = getattr(dl, "dataset", None)
    return [len(dataset) if isinstance(dataset, Sized) else None, getattr(dl, "bs", None), _names_of_items(dataset)]


def _multipliers(learn: Any, cb: ScheduleHyper) -> str:
    "A digest of the values that a schedule gives: two lambdas have the same repr."
    budget = plan_of(learn).budget()
    schedules = by_group(cb.schedule, len(learn.opt.hypers))
    return _digest(b"".join(schedule.multipliers(*budget).tobytes() for schedule in schedules))


def _names_of_items(dataset: Any) -> str | None:
    "A digest of the names of the items, without the folder that they are in; None where items have no names."
    items = getattr(dataset, "items", None)
    if items is None or not hasattr(items, "__len__") or not hasattr(items, "__getitem__"):
        return None
    chosen = [int(i) for i in np.linspace(0, len(items) - 1, min(len(items), ITEMS_HASHED))]
    if hasattr(items, "iloc"):
        return _digest(items.iloc[chosen].to_csv(index=False).encode())
    names = [Path(o).name if isinstance(o, (str, Path)) else o for o in (items[i] for i in chosen)]
    return _digest(repr([o if isinstance(o, (str, int, float)) else type(o).__name__ for o in names]).encode())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def _name(f: Any) -> str:
    "The name of a function or of the function in a partial."
    return getattr(getattr(f, "func", f), "__name__", type(f).__name__)


def _step_callbacks(learn: Any) -> list[StepCallback]:
    return [cb for cb in learn.cbs if isinstance(cb, StepCallback)]


def _stateful(cbs: L) -> list[Callback]:
    "The callbacks that have a state to save. Asks the class: an instance also has the attributes of the model."
    return [cb for cb in cbs if hasattr(type(cb), "load_state_dict") or _fastai.has_state(cb)]


def _state(cb: Callback) -> dict[str, Any]:
    return cb.state_dict() if hasattr(type(cb), "load_state_dict") else _fastai.callback_state(cb)


def _load_state(cb: Callback, state: dict[str, Any]) -> None:
    if hasattr(type(cb), "load_state_dict"):
        cb.load_state_dict(state)
    else:
        vars(cb).update(state)


def pack(value: Any) -> Any:
    "`value` made of what `torch.load(weights_only=True)` accepts."
    if isinstance(value, torch.Tensor):
        return value.detach().as_subclass(torch.Tensor)
    if isinstance(value, dict):
        return {key: pack(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(pack(item) for item in value)
    if isinstance(value, (list, L)):
        return [pack(item) for item in value]
    if isinstance(value, np.ndarray):
        return {_ARRAY: value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str, bytes, torch.dtype)):
        return value
    raise ValueError(f"a checkpoint cannot hold a {type(value).__name__}: {value!r}")


def unpack(value: Any) -> Any:
    "What `pack` was given, with lists in place of fastai's L."
    if isinstance(value, dict):
        return np.array(value[_ARRAY], value["dtype"]) if _ARRAY in value else {k: unpack(o) for k, o in value.items()}
    return type(value)(map(unpack, value)) if type(value) in (list, tuple) else value


# What optimizers of torch keep among their settings: those of the packages schedulefree, pytorch_optimizer and timm.
_COUNTERS = {"k", "weight_sum", "lr_max", "scheduled_lr", "train_mode", "lookahead_step"}
_COUNTERS |= {"step", "d", "d_max", "d_hat", "d_numerator", "d_de_nom"}
_ARRAY = "array of NumPy"
