"""A fit with an Extendable on scikit-learn's digits."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import numpy as np
import torch
from fastai.basics import Adam, CrossEntropyLossFlat, Learner, accuracy, noop, set_seed
from fastai.callback.mixup import MixUp
from fastai.callback.progress import ProgressCallback
from fastai.callback.tracker import SaveModelCallback

from lrlab.callbacks import Extendable, HyperHistory, Trapezoid
from tests.callbacks.resumable_fit import digits, net


def jitter(x):
    "Random augmentation from every global generator; labels stay."
    return x + 0.1 * torch.randn_like(x) + random.uniform(0, 0.1) + np.random.uniform(0, 0.1) if x.ndim > 1 else x


def make_learner(folder: Path, seed: int = 5, opt_func=Adam, **kwargs) -> Learner:
    torch.set_num_threads(1)
    set_seed(seed)
    dls = digits(after_batch=jitter, **kwargs)
    learn = Learner(dls, net(), loss_func=CrossEntropyLossFlat(), opt_func=opt_func, metrics=accuracy, path=folder)
    learn.remove_cbs(ProgressCallback)
    learn.logger = noop
    return learn


def outcome(learn: Learner, history: HyperHistory) -> dict:
    "All that a fit leaves behind, the state of the random generators too."
    return {
        "model": {name: value.clone() for name, value in learn.model.state_dict().items()},
        "history": history.to_df().to_dict("list"),
        "losses": torch.stack(learn.recorder.losses),
        "lrs": learn.recorder.lrs,
        "iters": list(learn.recorder.iters),
        "values": [list(row) for row in learn.recorder.values],
        "train_iter": learn.train_iter,
        "next random numbers": (torch.rand(1), random.random(), np.random.rand(), learn.dls.train.rng.random()),
    }


def kill(*_) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, action: str, epochs: int) -> None:
    "`action`: fit; extend; or kill, which ends the process the hard way in the middle of writing the file."
    learn, history = make_learner(folder, seed=5 if action == "fit" else 6), HyperHistory()
    cbs = [history, MixUp(), SaveModelCallback(monitor="accuracy")]
    if action == "fit":
        schedule = Trapezoid(warmup=1, decay="27%", shape="1-sqrt")
        learn.fit_schedule(epochs, schedule, lr_max=1e-2, moms=(0.95, 0.85), cbs=[*cbs, Extendable("run")])
    else:
        if action == "kill":
            os.fsync = kill
        learn.extend(epochs, "run", cbs=cbs)
    torch.save(outcome(learn, history) | {"pct_train": learn.pct_train}, folder / "result.pth")
