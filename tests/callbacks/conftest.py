"""Quiet Learners on one thread, and a witness of what their optimizers really did."""

from __future__ import annotations

import pytest
import torch
from fastai.basics import Callback, Learner, noop, set_seed
from fastai.callback.progress import ProgressCallback
from fastai.test_utils import synth_learner

torch.set_num_threads(1)


class Witness(Callback):
    "Notes every group's LR and momentum from the optimizer itself, at every step that it really makes."

    order = 1000

    def before_fit(self):
        self.lrs, self.momenta, self.skipped = [], [], False

    def before_step(self):
        self.skipped = False

    def after_cancel_step(self):
        self.skipped = True

    def after_step(self):
        if not self.skipped:
            self.lrs.append([hyper["lr"] for hyper in self.learn.opt.hypers])
            self.momenta.append([hyper.get("mom") for hyper in self.learn.opt.hypers])


class Stopped(Exception):
    "The end of a process."


class StopAfter(Callback):
    "Ends the fit after one epoch, as the end of a process does."

    order = 1000

    def __init__(self, epoch):
        self.last_epoch = epoch

    def after_epoch(self):
        if self.learn.epoch == self.last_epoch:
            raise Stopped("here")


def three_groups() -> torch.nn.Module:
    "A regression from 1 to 1 number, in three layer groups and with batch-norm."
    return torch.nn.Sequential(
        torch.nn.Linear(1, 4), torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.ReLU()), torch.nn.Linear(4, 1)
    )


def split(model: torch.nn.Module) -> list[list[torch.nn.Parameter]]:
    return [list(layer.parameters()) for layer in model]


@pytest.fixture
def make_learner(tmp_path):
    "fastai's synthetic regression, silent; `groups=3` gives it three parameter groups."

    def make(groups: int = 1, seed: int = 0, **kwargs) -> Learner:
        set_seed(seed)
        opt_func = kwargs.pop("opt_func", None)  # synth_learner would take no other
        if groups == 3:
            kwargs |= {"model": three_groups(), "splitter": split}
        learn = synth_learner(path=tmp_path, **kwargs)
        if opt_func is not None:
            learn.opt_func = opt_func
        learn.remove_cbs(ProgressCallback)
        learn.logger = noop
        return learn

    return make


@pytest.fixture
def witness():
    return Witness()
