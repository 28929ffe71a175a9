"""What one update of LR and momentum over four parameter groups costs: lrlab, torch, timm and fastai side by side.

All take turns in one process, and the fastest round of each counts, so that a busy machine slows all of them or none.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from itertools import count
from time import perf_counter

import torch
from fastai.basics import SGD, CancelFitException, noop
from fastai.basics import Callback as FastaiCallback
from fastai.callback.progress import ProgressCallback
from fastai.callback.schedule import ParamScheduler, combined_cos
from fastai.test_utils import synth_learner
from torch.optim import lr_scheduler

from lrlab.callbacks import OneCycle, ScheduleLR
from lrlab.recipes.kitchen.machine.optional_packages import is_installed
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision

GROUPS, UPDATES, ROUNDS = 4, 100, 60
LR_MAX = 0.1


class RaceInFit(FastaiCallback):
    "Runs `race` in the middle of a real fit, where the callbacks beside it are set up as in training, then ends it."

    order = 1000

    def __init__(self, race: Callable[[], None]) -> None:
        self.race = race

    def before_batch(self) -> None:
        self.race()
        raise CancelFitException


def in_fit(scheduler: FastaiCallback, race: Callable[[], None]) -> None:
    layers = torch.nn.Sequential(*(torch.nn.Linear(1, 1) for _ in range(GROUPS)))
    learn = synth_learner(n_trn=20, model=layers, splitter=lambda model: [list(layer.parameters()) for layer in model])
    learn.opt_func = partial(SGD, mom=0.95)
    learn.remove_cbs(ProgressCallback)
    learn.logger = noop
    learn.fit(5, lr=LR_MAX, cbs=[scheduler, RaceInFit(race)])


def optimizer() -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(GROUPS)]
    return torch.optim.SGD(groups, lr=LR_MAX, momentum=0.95)


def torch_schedulers() -> dict[str, lr_scheduler.LRScheduler]:
    "Whichever of these is cheapest is the one to beat; all but the last two leave momentum alone."
    schedulers = {
        "StepLR": lr_scheduler.StepLR(optimizer(), 30),
        "MultiStepLR": lr_scheduler.MultiStepLR(optimizer(), [30, 60]),
        "ConstantLR": lr_scheduler.ConstantLR(optimizer()),
        "LinearLR": lr_scheduler.LinearLR(optimizer()),
        "ExponentialLR": lr_scheduler.ExponentialLR(optimizer(), 0.9999),
        "PolynomialLR": lr_scheduler.PolynomialLR(optimizer(), 10**6),
        "CosineAnnealingLR": lr_scheduler.CosineAnnealingLR(optimizer(), 10**6),
        "CosineAnnealingWarmRestarts": lr_scheduler.CosineAnnealingWarmRestarts(optimizer(), 10**6),
        "LambdaLR": lr_scheduler.LambdaLR(optimizer(), lambda step: 1.0),
        "CyclicLR": lr_scheduler.CyclicLR(optimizer(), LR_MAX / 10, LR_MAX),
        "OneCycleLR": lr_scheduler.OneCycleLR(optimizer(), LR_MAX, 10**6),
    }
    for scheduler in schedulers.values():
        scheduler.optimizer.step()  # or the first scheduler.step() warns
    return schedulers


def timm_scheduler() -> Callable[[], None]:
    "timm's cosine schedule, by the number of the update as timm has it."
    prepare_torchvision()  # timm imports torchvision
    from timm.scheduler import CosineLRScheduler

    scheduler, updates = CosineLRScheduler(optimizer(), t_initial=10**6, t_in_epochs=False), count()
    return lambda: scheduler.step_update(next(updates))


def microseconds_per_update() -> dict[str, float]:
    "The fastest of many short rounds of each contender, in turns."
    ours = ScheduleLR(OneCycle(), moms=(0.95, 0.85))
    fastai = ParamScheduler(
        {"lr": combined_cos(0.25, LR_MAX / 25, LR_MAX, LR_MAX / 1e5), "mom": combined_cos(0.25, 0.95, 0.85, 0.95)}
    )
    contenders = {"lrlab ScheduleLR": ours.before_batch, "fastai ParamScheduler": fastai.before_batch} | {
        f"torch {name}": scheduler.step for name, scheduler in torch_schedulers().items()
    }
    if is_installed("timm"):
        contenders["timm CosineLRScheduler"] = timm_scheduler()
    best = dict.fromkeys(contenders, float("inf"))

    def race() -> None:
        for _ in range(ROUNDS):
            for name, update in contenders.items():
                begin = perf_counter()
                for _ in range(UPDATES):
                    update()
                best[name] = min(best[name], (perf_counter() - begin) / UPDATES * 1e6)

    gc.disable()
    try:
        in_fit(ours, lambda: in_fit(fastai, race))
    finally:
        gc.enable()
    return best
