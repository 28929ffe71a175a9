"""The trunk of a run: its first steps, in which the schedules are the same as in a run of another length."""

from __future__ import annotations

import numpy as np
from fastai.basics import Learner

from .hypers import by_group
from .schedule_lr import ScheduleHyper, ScheduleLR
from .steps import StepPlan


def end_of_trunk(learn: Learner, run: list[np.ndarray], longer: list[np.ndarray]) -> int:
    "The latest step at which the state of `run` is surely that of the longer run: where its cooldown begins."
    shared = shared_steps(run, longer)
    if shared == len(run[0]):
        return shared
    if shared < 2:  # the first step of a run tells nothing: many schedules begin at 0 or 1
        raise ValueError(f"{name_schedules(learn)} cannot be extended exactly: {_why(learn)}")
    return shared - 1  # the cooldown's first step still has the LR of the trunk


def shared_steps(a: list[np.ndarray], b: list[np.ndarray]) -> int:
    "How many steps two runs have in common, from the first on."
    steps = min(len(a[0]), len(b[0]))
    different = [np.flatnonzero(x[:steps] != y[:steps]) for x, y in zip(a, b, strict=True)]
    return min((int(found[0]) for found in different if len(found)), default=steps)


def curves_of_run(learn: Learner, n_epoch: int) -> list[np.ndarray]:
    "The multipliers and momenta of all schedules of the fit, if it had this many epochs."
    budget, groups = StepPlan(learn, n_epoch).budget(), len(learn.opt.hypers)
    arrays = []
    for cb in schedule_callbacks(learn):
        schedules = by_group(cb.schedule, groups)
        arrays += [schedule.multipliers(*budget) for schedule in schedules]
        if isinstance(cb, ScheduleLR) and cb.moms is not None:
            arrays += [schedule.momentum_shape(*budget) for schedule in schedules]
    return arrays


def schedule_callbacks(learn: Learner) -> list[ScheduleHyper]:
    return [cb for cb in learn.cbs if isinstance(cb, ScheduleHyper)]


def name_schedules(learn: Learner) -> str:
    return " and ".join(repr(cb.schedule) for cb in schedule_callbacks(learn))


def _why(learn: Learner) -> str:
    growing = [
        f"{name}={length!r}"
        for cb in schedule_callbacks(learn)
        for schedule in by_group(cb.schedule, len(learn.opt.hypers))
        for part, _ in schedule._parts(StepPlan(learn, learn.n_epoch).budget())
        for name, length in part._lengths().items()
        if name in ("warmup", "length") and isinstance(length, str) and "%" in length
    ]
    if growing:
        return f"{growing[0]} grows with the run; give the warm-up in epochs or steps, such as 1 or '300 steps'"
    return (
        "it depends on the length of the run from its first steps; use Trapezoid(warmup=1), which does so only from "
        "its cooldown on, or start another fit: a rewarmed restart, which is not the longer run"
    )
