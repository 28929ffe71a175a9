"""A fit on scikit-learn's digits that can be killed and run again."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import torch
from fastai.basics import (
    Adam,
    Callback,
    CrossEntropyLossFlat,
    DataLoaders,
    Learner,
    TfmdDL,
    accuracy,
    nn,
    noop,
    set_seed,
)
from fastai.callback.mixup import MixUp
from fastai.callback.progress import ProgressCallback
from fastai.callback.tracker import EarlyStoppingCallback, SaveModelCallback
from sklearn.datasets import load_digits

from lrlab.callbacks import SGDR, HyperHistory, Resumable, SnapshotEnsemble


class KillAfter(Callback):
    "Ends the process the hard way once this epoch is saved."

    order = 1000

    def __init__(self, epoch):
        self.last_epoch = epoch

    def after_epoch(self):
        if self.learn.epoch == self.last_epoch:
            os._exit(9)


@cache
def items() -> list[tuple[torch.Tensor, torch.Tensor]]:
    x, y = load_digits(return_X_y=True)
    return list(zip(torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y), strict=True))


def digits(bs: int = 64, num_workers: int = 0, **kwargs) -> DataLoaders:
    train, valid = (
        TfmdDL(items()[:600], bs=bs, shuffle=True, num_workers=num_workers, **kwargs),
        TfmdDL(items()[600:800], bs=64, num_workers=num_workers),
    )
    return DataLoaders(train, valid, device="cpu")


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 10))


def main(folder: Path, kill_after: int | None) -> None:
    torch.set_num_threads(1)
    set_seed(5)
    loss = CrossEntropyLossFlat()
    learn = Learner(digits(), net(), loss_func=loss, opt_func=Adam, metrics=accuracy, path=folder)
    learn.remove_cbs(ProgressCallback)
    learn.logger = noop
    history, snapshots = HyperHistory(), SnapshotEnsemble()
    trackers = [SaveModelCallback(monitor="accuracy"), EarlyStoppingCallback(patience=3)]
    cbs = [history, snapshots, MixUp(), *trackers, Resumable("fit")]
    cbs += [] if kill_after is None else [KillAfter(kill_after)]
    learn.fit_schedule(7, SGDR(), lr_max=3e-2, moms=(0.95, 0.85), cbs=cbs)
    result = {
        "model": learn.model.state_dict(),
        "snapshots": snapshots.snapshots,
        "history": history.to_df().to_dict("list"),
        "losses": torch.stack(learn.recorder.losses),
        "values": [row[:3] for row in map(list, learn.recorder.values)],
        "best": [tracker.best for tracker in trackers],
        "best model": torch.load(folder / "models/model.pth", weights_only=True),
    }
    torch.save(result, folder / "result.pth")
