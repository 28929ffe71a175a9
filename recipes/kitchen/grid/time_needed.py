"""How long a comparison takes on this machine, and how many seeds there is time for."""

import math
import time
from dataclasses import dataclass, replace

from lrlab.recipes.kitchen.grid.range_tests import SEEDS, STEPS, seconds_per_step
from lrlab.recipes.kitchen.grid.study import Study
from lrlab.recipes.kitchen.machine.environment import fitting_jobs, peak_memory
from lrlab.recipes.kitchen.workloads import ImageWorkload, using_threads

FIRST_SEEDS = 3  # of a comparison that adds seeds while there is time
VALIDATION = 1 / 3  # of the time of a training step on as many images: forward, without the backward pass of twice that


@dataclass(frozen=True)
class Cost:
    """What training costs: seconds of a `step`, `steps` of an epoch, and `valid` images to validate per training image.

    >>> cost = Cost(step=0.1, steps=30, valid=0.0, size=96, head_epochs=1, jobs=2)
    >>> cost.seconds(runs=10, epochs=40)  # two rounds of range tests of 13 s, and 50 epochs of 3 s on two cores
    101.0
    >>> cost.at(48).seconds(10, 40)
    25.25
    """

    step: float
    steps: int
    valid: float
    size: int  # of the images
    head_epochs: int
    jobs: int

    def seconds(self, runs: int, epochs: int) -> float:
        "Of the LR range tests and of `runs` with so many `epochs` in all."
        epoch = self.step * self.steps * (1 + VALIDATION * self.valid)
        tests = math.ceil(len(SEEDS) / self.jobs) * (STEPS * self.step + self.head_epochs * epoch)
        return tests + (epochs + runs * self.head_epochs) * epoch / self.jobs

    def at(self, size: int) -> "Cost":
        "For images of another size: the time grows with the number of pixels."
        return replace(self, step=self.step * (size / self.size) ** 2, size=size)


def measure_cost(workload: ImageWorkload, threads: int = 1, jobs: int | None = None) -> Cost:
    "Train a few steps. Raises UserError for data or a model that cannot be used."
    images = workload.load()
    workload = workload.resolve(images)
    with using_threads(threads):
        step = seconds_per_step(workload, 0, images) / threads
    n_train, n_valid = len(images.splits["train"]), len(images.splits["valid"])
    steps = max(1, n_train // workload.batch_size(images))
    jobs = jobs or fitting_jobs(threads, peak_memory())
    return Cost(step, steps, n_valid / n_train, images.size, workload.head_epochs * workload.pretrained, jobs)


def seeds_in_time(study: Study, left: dict[int, int], minutes: float, started: float) -> list[int]:
    "Those of the seeds `left`, each with its number of runs, that the `minutes` since `started` leave time for."
    runs, _ = study.store.tables()
    seconds_per_run = runs.seconds.mean() / (study.place.jobs or 1)
    room = 60 * minutes - (time.monotonic() - started)
    seeds = []
    for seed, count in left.items():
        room -= count * seconds_per_run
        if room < 0:
            break
        seeds.append(seed)
    return seeds
