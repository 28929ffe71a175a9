"""A project of a user of lrlab, as a type checker sees it: never run, checked by tests/test_packaging.py."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from fastai.basics import Learner
from numpy.typing import NDArray
from typing_extensions import assert_type

from lrlab.callbacks import (
    SCHEDULES,
    CosineRestarts,
    HyperHistory,
    Join,
    OneCycle,
    Schedule,
    ScheduleLR,
    SchedulePreview,
    SnapshotEnsemble,
    StopOnDivergence,
    Warmup,
    fit_schedule,
    join,
    lr_range_test,
    preview_schedule,
    warmup,
)
from lrlab.callbacks.arguments import Budget
from lrlab.callbacks.schedule import Curve
from lrlab.recipes.kitchen.workloads import ImageWorkload


@dataclass(frozen=True)
class Halving(Schedule):
    "A schedule of one's own."

    times: int = 3

    def _curve(self, budget: Budget) -> Curve:
        return lambda t: 0.5 ** np.floor(self.times * t / budget.total_steps)


def train(learn: Learner) -> pd.DataFrame:
    schedule = CosineRestarts(cycle_len="30%", cycle_mult=1.5, gamma=0.8)
    multipliers: NDArray[np.float64] = schedule.multipliers(100, 10)
    print(multipliers.max())
    assert_type(schedule.cycle_ends(100, 10), list[int])
    assert_type(warmup(schedule, "10%"), Warmup)
    assert_type(join([(OneCycle(), 3), (schedule, None)]), Join)
    assert_type(SCHEDULES["OneCycle"], type[Schedule])
    assert_type(preview_schedule(learn, 3, Halving(times=2), lr_max=slice(3e-6, 3e-3)), SchedulePreview)
    found = lr_range_test(learn, num_it=50)
    assert_type(found.suggestions, dict[str, float | None])
    history, snapshots = HyperHistory(), SnapshotEnsemble(keep=3)
    fit_schedule(learn, 3, schedule, lr_max=[1e-4, 1e-3], moms=(0.95, 0.85), cbs=[history, snapshots])
    learn.fit(3, 1e-3, cbs=[ScheduleLR(Halving()), StopOnDivergence()])
    assert_type(snapshots.steps, list[int])
    return history.to_df()


def misuse(learn: Learner) -> None:
    "What a checker should refuse: an ignore that ignores nothing is an error itself."
    CosineRestarts(cycle_len=[1])  # type: ignore[arg-type]
    OneCycle(peak=0.3)  # type: ignore[call-arg]
    fit_schedule(learn, 3, "cosine")  # type: ignore[arg-type]
    ImageWorkload(size="large")  # type: ignore[arg-type]
