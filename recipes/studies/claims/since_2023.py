"""The groups of runs about methods since 2023: cooldowns, averages along a constant LR, schedule-free, Prodigy."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd
from fastai.basics import Callback

from lrlab.callbacks import Constant, ScheduleFree, TailAverage, Trapezoid, warmup
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.optimizer_names import OWN_LR
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.schedule_names import named_schedule
from lrlab.recipes.kitchen.workloads import ImageWorkload
from lrlab.recipes.studies.claims.bench import Bench

# Without a warm-up, which the cosine does not have either.
COOLDOWNS = {
    "cooldown_sqrt": Trapezoid(warmup=0, decay="20%", shape="1-sqrt"),
    "cooldown_linear": Trapezoid(warmup=0, decay="20%"),
}
AVERAGED = {"tail_average": Constant()}
AVERAGE = partial(TailAverage, start="50%")  # of the weights of the second half of a fit
FREE = {"schedule_free": warmup(Constant(), "5%")}  # the authors advise a warm-up
WEIGHT_DECAY = 0.01  # of fastai's Adam, which all others have


@dataclass(frozen=True)
class WithCallback(ImageWorkload):
    "A workload whose Learner has one more callback, which `make_callback` makes."

    make_callback: Callable[[], Callback] = ScheduleFree

    def learner(self, seed: int = 0, images: ImageSet | None = None) -> Any:
        learn = super().learner(seed, images)
        learn.add_cb(self.make_callback())
        return learn


def cooldowns(bench: Bench) -> list[pd.DataFrame]:
    "A constant LR with a cooldown of either shape, and one cosine decay."
    shapes = {label: shape for label, shape in COOLDOWNS.items() if label in bench.wanted}
    lrs = bench.tune(bench.scale.epochs, COOLDOWNS)
    return [*_runs(bench, shapes, lrs), *_cosine(bench)]


def tail(bench: Bench) -> list[pd.DataFrame]:
    "The average along a constant LR, and a 1-sqrt cooldown, each tuned."
    workload = WithCallback(**vars(bench.study.workload), make_callback=AVERAGE)
    lrs = bench.tune(bench.scale.epochs, AVERAGED, workload=workload)
    return [*_runs(bench, AVERAGED, lrs, workload=workload), *cooldowns(bench)]


def schedule_free(bench: Bench) -> list[pd.DataFrame]:
    "Schedule-free AdamW and a cosine decay, each tuned."
    own = replace(bench.study.workload, opt="lrlab.callbacks:schedule_free_adamw", wd=WEIGHT_DECAY)
    workload = WithCallback(**vars(own), make_callback=ScheduleFree)
    lrs = bench.tune(bench.scale.epochs, FREE, workload=workload)
    return [*_runs(bench, FREE, lrs, workload=workload), *_cosine(bench)]


def prodigy(bench: Bench) -> list[pd.DataFrame]:
    "Prodigy as it comes, with the cosine decay that its authors advise, and Adam with a tuned one."
    shape = named_schedule("cosine", bench.scale.epochs)
    workload, lrs = replace(bench.study.workload, opt="prodigy"), {"prodigy": LearningRate(OWN_LR["prodigy"])}
    return [*_runs(bench, {"prodigy": shape}, lrs, workload=workload), *_cosine(bench)]


def _runs(bench: Bench, shapes: dict, lrs: dict, **options: Any) -> list[pd.DataFrame]:
    "The readings of schedules at their own lr_max, by their labels."
    epochs = bench.scale.epochs
    own = {a: [Run(a, shape, lrs[a], seed, epochs) for seed in bench.seeds] for a, shape in shapes.items()}
    if own:
        bench.train([run for runs in zip(*own.values(), strict=True) for run in runs], **options)
    return [bench.final(label, runs) for label, runs in own.items()]


def _cosine(bench: Bench) -> list[pd.DataFrame]:
    "The cosine of the other claims, if it is wanted."
    if "cosine" not in bench.wanted:
        return []
    return _runs(bench, {"cosine": named_schedule("cosine", bench.scale.epochs)}, {"cosine": bench.lr_of("cosine")})
