"""Go on with a fit that was stopped, in another process, as if it never had been."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai.basics import Callback, L, OptimWrapper, get_model, join_path_file, rank_distrib, to_device
from fastai.callback.schedule import ParamScheduler
from fastai.callback.tracker import TrackerCallback
from fastai.callback.training import GradientAccumulation

from .hypers import check_whole, read_hypers
from .random_state import random_state, set_random_state
from .schedule_lr import ScheduleLR
from .start_at import skip_epochs
from .steps import in_lr_find, n_batches

KEPT = {TrackerCallback: ("best", "new_best", "wait"), GradientAccumulation: ("count",), ParamScheduler: ("hps",)}
"What to keep of fastai's callbacks. Any other callback says so itself, with `state_dict` and `load_state_dict`."


class Resumable(Callback):
    """Save everything after each epoch; if the file is there when the fit starts, go on from it.

    Stop a script and run it again unchanged: the weights, losses, LRs and the order of the data are, bit for bit on a
    CPU, those of a run without the stop. Model, optimizer, loss scaler, random state, Recorder, the position in the
    schedule and the best values of trackers such as SaveModelCallback are all kept. No event is sent for the epochs
    already done. A fit that was complete does not train again. The file is replaced in one move, so a crash while
    saving leaves the one before, and it is read with `weights_only=True`, so it can run no code. Processes of a
    distributed fit keep a file each.

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

    order = 99  # After the trackers, whose new state is to be kept and whose fresh one to be replaced.

    def __init__(
        self,
        file: str | Path,  # Where to save, in `learn.path/learn.model_dir` unless absolute; one fit, one file
        every: int = 1,  # Epochs between saves; the last one always is
    ) -> None:
        if not isinstance(file, (str, os.PathLike)) or not str(file):
            raise ValueError(f"file must be a path, got {file!r}")
        self.file, self.every = file, check_whole("every", every)
        self._fit: dict[str, Any] | None = None
        self._path = Path(file)  # of this process, absolute, once a fit has begun

    def before_fit(self) -> None:
        self._fit = None
        # validate() and get_preds() send this event too, and hold the Learner's lock.
        if in_lr_find(self.learn) or self.learn.lock.locked():
            return
        self._path = join_path_file(self.file, self.learn.path / self.learn.model_dir, ext=".pth")
        if rank_distrib():
            self._path = self._path.with_name(f"{self._path.name}.rank{rank_distrib()}")
        lrs, _ = read_hypers(self.learn.opt)
        self._fit = {
            "n_epoch": self.learn.n_epoch,
            "lr": _plain(lrs),
            "batches": n_batches(self.learn.dls.train),
            "schedule": [repr(cb) for cb in self.learn._grab_cbs(ScheduleLR)],
            "callbacks": [cb.name for cb in _stateful(self.learn.cbs)],
        }
        if self._path.exists():
            self._load(torch.load(self._path, map_location="cpu", weights_only=True))

    def after_epoch(self) -> None:
        done = self.learn.epoch + 1
        if self._fit is not None and (done % self.every == 0 or done == self.learn.n_epoch):
            self._save(done)

    def after_fit(self) -> None:
        skip_epochs(self.learn, 0)
        self._fit = None

    def _save(self, done: int) -> None:
        learn, recorder = self.learn, self.learn.recorder
        model, scaler = get_model(learn.model), vars(learn).get("scaler")
        state = {
            "fit": self._fit,
            "epoch": done,
            "train_iter": learn.train_iter,
            "model": model.state_dict(),
            "requires_grad": [p.requires_grad for p in model.parameters()],
            "grads": [p.grad for p in model.parameters()],  # not zero in the midst of an accumulation
            "opt": learn.opt.state_dict(),
            "frozen_idx": learn.opt.frozen_idx,
            "scaler": None if scaler is None else scaler.state_dict(),
            "recorder": {name: getattr(recorder, name) for name in ("lrs", "iters", "losses", "values")},
            "smooth_loss": [recorder.smooth_loss.count, recorder.smooth_loss.val],
            "callbacks": [_state(cb) for cb in _stateful(learn.cbs)],
            "random": random_state(learn.dls),
        }
        unfinished = self._path.with_name(self._path.name + ".tmp")
        with unfinished.open("wb") as file:
            torch.save(_plain(state), file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._path)

    def _load(self, state: dict[str, Any]) -> None:
        for name, now in self._fit.items():
            if state["fit"][name] != now:
                raise ValueError(
                    f"{self._path} is of another fit: its {name} is {state['fit'][name]!r}, this one's {now!r}; "
                    "give every fit a file of its own, or delete this one to start over"
                )
        learn, recorder = self.learn, self.learn.recorder
        model, scaler = get_model(learn.model), vars(learn).get("scaler")
        device = next(model.parameters()).device
        model.load_state_dict(state["model"])
        for parameter, requires_grad, grad in zip(
            model.parameters(), state["requires_grad"], state["grads"], strict=True
        ):
            parameter.requires_grad_(requires_grad)
            parameter.grad = to_device(grad, device)
        opt = to_device(state["opt"], device)
        learn.opt.load_state_dict(opt if isinstance(learn.opt, OptimWrapper) else opt | {"hypers": L(opt["hypers"])})
        learn.opt.frozen_idx = state["frozen_idx"]
        if scaler is not None and state["scaler"]:
            scaler.load_state_dict(state["scaler"])
        vars(recorder).update(state["recorder"], values=[L(row) for row in state["recorder"]["values"]])
        recorder.smooth_loss.count, recorder.smooth_loss.val = state["smooth_loss"]
        for cb, own in zip(_stateful(learn.cbs), state["callbacks"], strict=True):
            _load_state(cb, own)
        learn.train_iter = state["train_iter"]
        set_random_state(learn.dls, state["random"])
        skip_epochs(learn, state["epoch"])


def _stateful(cbs: L) -> list[Callback]:
    "The callbacks that have something to keep. Asks the classes: a callback answers for the model's attributes too."
    return [cb for cb in cbs if hasattr(type(cb), "load_state_dict") or isinstance(cb, tuple(KEPT))]


def _state(cb: Callback) -> dict[str, Any]:
    if hasattr(type(cb), "load_state_dict"):
        return cb.state_dict()
    names = next(names for kind, names in KEPT.items() if isinstance(cb, kind))
    return {name: vars(cb)[name] for name in names if name in vars(cb)}


def _load_state(cb: Callback, state: dict[str, Any]) -> None:
    if hasattr(type(cb), "load_state_dict"):
        cb.load_state_dict(state)
    else:
        vars(cb).update(state)


def _plain(value: Any) -> Any:
    "`value` made of what `torch.load(weights_only=True)` accepts."
    if isinstance(value, torch.Tensor):
        return value.detach().as_subclass(torch.Tensor)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, (list, L)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be kept for a resume: {value!r}")
