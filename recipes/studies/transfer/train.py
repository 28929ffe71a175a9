"""Trains one arm of `lrlab transfer`, and measures how far it moves the weights."""

import time
from collections.abc import Sequence

import pandas as pd
import torch

from lrlab.callbacks import GradualUnfreeze, HyperHistory, OneCycle, StopOnDivergence
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.grid.lessons import LessonRun, run_row, why_diverged
from lrlab.recipes.kitchen.grid.runner import EpochLog, Run
from lrlab.recipes.kitchen.models.layer_groups import group_names, layer_groups
from lrlab.recipes.kitchen.options import LR, show_lr
from lrlab.recipes.kitchen.runs.frozen_body import head_learner
from lrlab.recipes.kitchen.runs.out_of_memory import split_batches
from lrlab.recipes.kitchen.store.store import EPOCH_COLUMNS
from lrlab.recipes.kitchen.workloads import Workload

MOMS = (0.95, 0.85)  # as fastai's fit_one_cycle cycles them


def plan(arms: Sequence[str], lr: slice, low: float, epochs: int, seeds: list[int]) -> list[Run]:
    "Every arm with every seed; from scratch also gets the epoch that the others spend on the head."
    lrs: dict[str, LR] = {"slice": lr, "gradual": lr, "one_low_lr": low}
    return [
        Run(arm, OneCycle(), lrs.get(arm, lr.stop), seed, epochs + (arm == "scratch")) for seed in seeds for arm in arms
    ]


def train_arm(
    run: Run, image_set: ImageSet, workload: Workload, head_lr: float, threads: int = 1, parts: int = 1
) -> LessonRun:
    "The head stage (but for `scratch`), then the arm's own epochs; every batch of images in `parts`."
    torch.set_num_threads(threads)
    start = time.perf_counter()
    log, history, divergence = EpochLog(), HyperHistory(), StopOnDivergence()
    learn = split_batches(workload.learner(run.seed, image_set), parts)
    before = [weights.clone() for weights in _flat(learn.model)]
    cbs = [log, history, divergence]
    with learn.no_bar(), learn.no_logging():
        if run.schedule == "scratch":
            learn.fit_schedule(run.epochs, run.shape, lr_max=run.lr_max, moms=MOMS, cbs=cbs)
        else:
            head = head_learner(learn, run.seed)
            with head.no_bar(), head.no_logging():
                head.fit_one_cycle(1, head_lr)
                before[-1] = _flat(learn.model)[-1].clone()
                if run.schedule == "head_only":
                    head.fit_schedule(run.epochs, run.shape, lr_max=run.lr_max, moms=MOMS, cbs=cbs)
            if run.schedule != "head_only":
                thaw = [GradualUnfreeze()] if run.schedule == "gradual" else []
                learn.fit_schedule(run.epochs, run.shape, lr_max=run.lr_max, moms=MOMS, cbs=[*cbs, *thaw])
    moved = movement(before, _flat(learn.model))
    steps = history.to_df()
    if run.schedule == "head_only":  # its one group is the head
        steps = steps.assign(group=len(moved) - 1)
    elif run.schedule == "scratch":
        steps = pd.concat([steps.assign(group=group) for group in range(len(moved))], ignore_index=True)
    elif run.schedule == "gradual":
        frozen = len(moved) - 1 - steps.epoch
        steps.loc[steps.group < frozen, "lr"] = 0.0
    epochs = log.to_df(steps)
    own = {"run_id": run.run_id, "schedule": run.schedule, "lr_max": show_lr(run.lr_max), "seed": run.seed}
    groups = pd.DataFrame(own | {"group": group_names(len(moved)), "moved": moved})
    row = run_row(run, epochs, steps, time.perf_counter() - start, why_diverged(divergence, log))
    return LessonRun(row, epochs.assign(**own)[EPOCH_COLUMNS], steps, extra={"movement.csv": groups})


def movement(before: list[torch.Tensor], after: list[torch.Tensor]) -> list[float]:
    "||after - before|| / ||before|| of every layer group (L2, over all its weights)."
    return [float((b - a).norm() / a.norm()) for a, b in zip(before, after, strict=True)]


def _flat(model: torch.nn.Module) -> list[torch.Tensor]:
    "Every layer group's weights as one vector."
    return [torch.cat([p.detach().flatten().float() for p in group]) for group in layer_groups(model)]
