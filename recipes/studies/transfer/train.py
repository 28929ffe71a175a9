"""Train one arm of `lrlab transfer`, and measure how far it moves the weights."""

from collections.abc import Sequence

import pandas as pd
import torch

from lrlab.callbacks import GradualUnfreeze, OneCycle
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.models.layer_groups import group_names, layer_groups
from lrlab.recipes.kitchen.runs.frozen_body import head_learner
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.recording import Recording
from lrlab.recipes.kitchen.store.tables import RunResult
from lrlab.recipes.kitchen.workloads import ImageWorkload

MOMS = (0.95, 0.85)  # as fastai's fit_one_cycle cycles them


def plan(arms: Sequence[str], lr: LearningRate, low: float, epochs: int, seeds: list[int]) -> list[Run]:
    "Every arm with every seed. From scratch also gets the epoch that the others spend on the head."
    one = LearningRate(lr.peak)
    lrs = {"slice": lr, "gradual": lr, "one_low_lr": LearningRate(low)}
    return [
        Run(arm, OneCycle(), lrs.get(arm, one), seed, epochs + (arm == "scratch")) for seed in seeds for arm in arms
    ]


def train_arm(run: Run, image_set: ImageSet, workload: ImageWorkload, head_lr: float) -> RunResult:
    "The head stage, which `scratch` skips, then the epochs of the arm."
    recording = Recording()
    learn = workload.learner(run.seed, image_set)
    before = _weights_of_groups(learn.model)
    fit = {"lr_max": run.lr_max.to_fastai(), "moms": MOMS}
    with learn.no_bar(), learn.no_logging():
        if run.arm == "scratch":
            learn.fit_schedule(run.epochs, run.schedule, **fit, cbs=recording.callbacks())
        else:
            head = head_learner(learn, run.seed)
            with head.no_bar(), head.no_logging():
                head.fit_one_cycle(1, head_lr)
                before[-1] = _weights_of_groups(learn.model)[-1]
                if run.arm == "head_only":
                    head.fit_schedule(run.epochs, run.schedule, **fit, cbs=recording.callbacks())
            if run.arm != "head_only":
                unfreeze = [GradualUnfreeze()] if run.arm == "gradual" else []
                learn.fit_schedule(run.epochs, run.schedule, **fit, cbs=[*recording.callbacks(), *unfreeze])
    moved = movement(before, _weights_of_groups(learn.model))
    table = pd.DataFrame({"group": group_names(len(moved)), "moved": moved})
    steps = _by_layer_group(recording.history.to_df(), run.arm, len(moved))
    return recording.result(run, steps=steps, extra={"movement.csv": table})


def _by_layer_group(steps: pd.DataFrame, arm: str, groups: int) -> pd.DataFrame:
    "The recorded steps by the layer groups of the whole model, with an LR of 0 for a frozen group."
    if arm == "head_only":  # its only group is the head
        return steps.assign(group=groups - 1)
    if arm == "scratch":  # one group for all layers
        return pd.concat([steps.assign(group=group) for group in range(groups)], ignore_index=True)
    if arm == "gradual":
        frozen = steps.group < groups - 1 - steps.epoch
        return steps.assign(lr=steps.lr.mask(frozen, 0.0))
    return steps


def movement(before: list[torch.Tensor], after: list[torch.Tensor]) -> list[float]:
    "||after - before|| / ||before|| of every layer group (L2, over all its weights)."
    return [float((b - a).norm() / a.norm()) for a, b in zip(before, after, strict=True)]


def _weights_of_groups(model: torch.nn.Module) -> list[torch.Tensor]:
    "A copy of the weights of every layer group, as one vector."
    return [torch.cat([p.detach().flatten().float() for p in group]) for group in layer_groups(model)]
