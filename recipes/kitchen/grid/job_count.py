"""How many runs at a time make the most steps per second: measured, because cores share caches and memory."""

import os
import time

from fastai.callback.core import Callback, CancelFitException
from joblib import Parallel, delayed

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.grid import worker
from lrlab.recipes.kitchen.grid.engines import ctrl_c_waits
from lrlab.recipes.kitchen.workloads import Workload, using_threads

SECONDS, TIMES = 1.0, 3  # of training for one measurement; the best of so many, for others may use the machine too
ENOUGH = 0.95  # of the most steps per second: fewer processes take less memory


def fastest_jobs(most: int, workload: Workload, image_set: ImageSet, threads: int) -> int:
    "The fewest of 1, 2, 4, ... and `most` runs at a time that together make (almost) the most steps per second."
    rates = {jobs: together(jobs, workload, image_set, threads) for jobs in counts(most)}
    return min(jobs for jobs, rate in rates.items() if rate >= ENOUGH * max(rates.values()))


def counts(most: int) -> list[int]:
    """1, 2, 4, ... and `most`.

    >>> counts(6)
    [1, 2, 4, 6]
    """
    return sorted({2**power for power in range(most.bit_length()) if 2**power <= most} | {most})


def together(jobs: int, workload: Workload, image_set: ImageSet, threads: int) -> float:
    "Training steps per second of `jobs` runs at a time, each in a process of its own unless it is only one."
    if jobs == 1:
        return max(steps_per_second(workload, image_set, threads, SECONDS) for _ in range(TIMES))
    pool = Parallel(n_jobs=jobs, backend="loky", initializer=worker.start, initargs=(os.getpid(),), batch_size=1)
    with ctrl_c_waits():
        pool(delayed(steps_per_second)(workload, image_set, threads, 0.0) for _ in range(jobs))  # the processes start
    one = delayed(steps_per_second)
    return max(sum(pool(one(workload, image_set, threads, SECONDS) for _ in range(jobs))) for _ in range(TIMES))


def steps_per_second(workload: Workload, image_set: ImageSet, threads: int, seconds: float) -> float:
    "What one run makes on its own in about `seconds`, its first step not counted."
    clock = StopAfter(seconds)
    with using_threads(threads):
        learn = workload.learner(0, image_set)
        with learn.no_bar(), learn.no_logging():
            learn.fit(10_000, 1e-6, cbs=clock)
    return clock.steps / max(clock.took, 1e-9)


class StopAfter(Callback):
    "Ends a fit after so many seconds; counts the steps after the first."

    def __init__(self, seconds: float):
        self.seconds, self.steps, self.took = seconds, 0, 0.0
        self._start: float | None = None

    def after_step(self):
        if self._start is None:
            self._start = time.perf_counter()
        else:
            self.steps += 1
            self.took = time.perf_counter() - self._start
        if self.took >= self.seconds:
            raise CancelFitException
