"""The LR range tests of all seeds, in processes side by side where that saves time. Their results are the same.

Every recipe tests the same Learners, seeds, LRs and steps in one thread. So every recipe suggests the same LR for the
same data, model and settings.
"""

import gc
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from fastai.basics import Callback

from lrlab.callbacks import LRRange, lr_range_test
from lrlab.recipes.kitchen.data.dataloaders import train_device
from lrlab.recipes.kitchen.grid.engines import WorkerLost, compute
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.learner.quick_learner import QuickLearner
from lrlab.recipes.kitchen.machine.environment import fitting_jobs, peak_memory
from lrlab.recipes.kitchen.stage import stage
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.workloads import Workload, using_threads

SEEDS = (0, 1, 2)  # the same for all folders, so that folders with runs of different seeds can be merged
STEPS = 100
THREADS = 1  # The last bits of a sum depend on the threads, and after some steps at high LRs the whole curve does.
WORKER_START = 10.0  # seconds; loading torch and fastai takes a process 7 s of processor time on a server CPU
PROBE_STEPS = 6  # the fewest that an LR range test takes


class SeedTest(NamedTuple):
    "What an engine computes: the test of one seed."

    run_id: str
    seed: int


def range_tests(
    workload: Workload,
    data: Any,
    seeds: Sequence[int] = SEEDS,
    num_it: int = STEPS,
    place: Place = Place(),  # noqa: B008  (a tuple)
    start: float = WORKER_START,
) -> dict[int, LRRange]:
    """The LR range test of every seed, each on a fresh Learner and in one thread.

    `place` says how many may be computed at a time, and `start` what the start of worker processes costs in seconds:
    nothing, where the runs that follow need them anyway.
    """
    tests: dict[int, LRRange] = {}
    jobs = jobs_worth_it(workload, data, seeds, num_it, place, start)
    if jobs > 1:
        stage(f"{len(seeds)} LR range tests, {jobs} at a time")
        todo, task = [SeedTest(str(seed), seed) for seed in seeds], partial(one_test, workload=workload, num_it=num_it)
        try:
            tests = {int(seed): test for seed, test in compute(todo, task, data, Place(jobs=jobs))}
        except WorkerLost:  # most likely for lack of memory, which one process alone may not meet
            pass
    for n, seed in enumerate(seeds, start=1):
        if seed not in tests:
            stage(f"LR range test {n} of {len(seeds)}")
            tests[seed] = one_test(SeedTest(str(seed), seed), data, workload, num_it)
    return {seed: tests[seed] for seed in seeds}


def one_test(test: SeedTest, data: Any, workload: Workload, num_it: int) -> LRRange:
    "The LR range test of one seed, in one thread."
    try:
        with using_threads(THREADS), workload.naming_errors("testing learning rates"):
            return range_test(workload, test.seed, data, num_it)
    finally:
        gc.collect()  # a Learner and its callbacks refer to each other


def range_test(workload: Workload, seed: int, data: Any, num_it: int = STEPS) -> LRRange:
    """The LR range test of a fresh Learner, in the state in which a schedule begins: a pretrained model has its head.

    A line on stderr says if batches did not fit into memory.
    """
    learn = workload.learner(seed, data)
    with learn.no_bar(), learn.no_logging():
        workload.warm_up_head(learn)
        test = lr_range_test(learn, num_it=num_it)
    if isinstance(learn, QuickLearner):
        learn.parts.print_note()
    return test


def suggest(tests: dict[int, LRRange]) -> LRSuggestion:
    "The LR of the valley rule for every seed, as one suggestion."
    return LRSuggestion({seed: test.suggestions["valley"] for seed, test in tests.items()})


def curves(tests: dict[int, LRRange]) -> pd.DataFrame:
    "One row for every step: lr, loss, seed."
    return pd.concat([test.to_df().assign(seed=seed) for seed, test in tests.items()])


def jobs_worth_it(workload: Workload, data: Any, seeds: Sequence[int], num_it: int, place: Place, start: float) -> int:
    """How many tests to compute at a time: 1 where more would save less than `start`, the start of their processes.

    A few steps in this process tell what a test costs in processor time, which other programs do not change, and in
    memory. The tests of a GPU follow each other.
    """
    is_possible = place.engine == "local" and place.jobs != 1 and len(seeds) > 1 and train_device().type == "cpu"
    if not is_possible or (place.jobs is None and fitting_jobs(THREADS, 1.0) == 1):
        return 1
    with using_threads(THREADS):
        seconds = num_it * seconds_per_step(workload, seeds[0], data)
    gc.collect()
    jobs = min(place.jobs or fitting_jobs(THREADS, peak_memory()), len(seeds))
    rounds = -(-len(seeds) // jobs)
    return jobs if (len(seeds) - rounds) * seconds > start else 1


def seconds_per_step(workload: Workload, seed: int, data: Any) -> float:
    "Processor seconds of one step of the range test: the median, because the first one takes longer."
    learn, clock = workload.learner(seed, data), StepClock()
    naming = workload.naming_errors("testing learning rates")
    with naming, learn.no_bar(), learn.no_logging(), learn.added_cbs(clock):
        lr_range_test(learn, num_it=PROBE_STEPS, stop_div=False)
    steps = np.diff(clock.ends)
    return float(np.median(steps)) if len(steps) else 0.0  # the loss is not finite from the first step on


class StepClock(Callback):
    "Note the processor time at the end of every step."

    def __init__(self):
        self.ends: list[float] = []

    def after_step(self):
        self.ends.append(time.process_time())
