"""Train one run: a fresh Learner, one fit under its schedule. A run that fails is a result too."""

import gc
import time
from collections.abc import Callable
from typing import Any

import torch
from fastai.basics import Learner

from lrlab.recipes.kitchen.learner.no_validation import validate_on
from lrlab.recipes.kitchen.learner.out_of_memory import is_out_of_memory
from lrlab.recipes.kitchen.learner.quick_learner import QuickLearner
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.recording import Recording, failed_run
from lrlab.recipes.kitchen.store.tables import RunResult, by_column
from lrlab.recipes.kitchen.text import described
from lrlab.recipes.kitchen.workloads import Workload, using_threads

Task = Callable[[Run, Any], RunResult]  # train one run on the workload's data


def train_run(run: Run, image_set: Any, workload: Workload, **fit: Any) -> RunResult:
    """The fit of every comparison: a fresh Learner under the run's schedule. Raises whatever the training raises.

    `fit` goes to `fit_schedule`, such as `wd=0.1`.
    """
    recording = Recording()
    learn = fit_run(run, image_set, workload, recording, **fit)
    return recording.result(run, test=test_measures(learn, recording))


def fit_run(run: Run, image_set: Any, workload: Workload, recording: Recording, **fit: Any) -> Learner:
    "The Learner of a run, trained."
    learn = workload.learner(run.seed, image_set)
    per_epoch = len(learn.dls.train)
    has_cycles = (
        isinstance(learn, QuickLearner) and run.schedule.cycle_ends(run.epochs * per_epoch, per_epoch)[:-1] != []
    )
    with learn.no_bar(), learn.no_logging():
        workload.warm_up_head(learn)
        cbs = recording.callbacks(cyclic=has_cycles)
        learn.fit_schedule(run.epochs, run.schedule, lr_max=run.lr_max.to_fastai(), cbs=cbs, **fit)
    return learn


def test_measures(learn: Learner, recording: Recording) -> dict[str, float]:
    "Loss and metrics on the third loader, by the names of their columns; nothing without one, or if the run diverged."
    if recording.why_diverged is not None or len(learn.dls.loaders) < 3:
        return {}
    return measures_on(learn, learn.dls[2])


def measures_on(learn: Learner, loader: Any) -> dict[str, float]:
    "Loss and metrics on the items of a loader, by the names of their columns."
    loss, *values = validate_on(learn, loader)
    return by_column(loss, learn.metrics.attrgot("name"), values)


def attempt(run: Run, image_set: Any, task: Task, threads: int | None = 1) -> RunResult:
    "The result of `task(run, image_set)`. An exception is a result too: a row with status `failed` and the reason."
    start = time.perf_counter()
    try:
        with using_threads(threads):
            return task(run, image_set)
    except Exception as error:  # a model, an optimizer or the memory of the machine may raise anything
        reason = "out of memory, with smaller batches too: " * is_out_of_memory(error)
        # all lines: fastai puts the cause of a callback's error on a new one
        return failed_run(run, f"{reason}{described(error, 400)}", time.perf_counter() - start)
    finally:
        gc.collect()  # a Learner and its callbacks refer to each other; without this, memory grows from run to run
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # after an out-of-memory error the next run starts from nothing
