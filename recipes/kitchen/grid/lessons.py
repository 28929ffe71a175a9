"""Runs that need more than a schedule on a Learner: trained by a function of their own, kept like all others."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd

from lrlab.callbacks import StopOnDivergence
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.grid.engines import Place
from lrlab.recipes.kitchen.grid.progress import show_progress
from lrlab.recipes.kitchen.grid.runner import EpochLog, Run, run_tasks, was_killed
from lrlab.recipes.kitchen.options import show_lr
from lrlab.recipes.kitchen.runs.train import attempted
from lrlab.recipes.kitchen.store.store import RUN_COLUMNS, RunResult, Store


@dataclass
class LessonRun(RunResult):
    "A finished run with tables of its own: `extra` maps their file names to DataFrames."

    extra: dict[str, pd.DataFrame] = field(default_factory=dict)

    def tables(self) -> dict[str, pd.DataFrame]:
        return super().tables() | self.extra


def train_missing(store: Store, runs: list[Run], task: Callable, image_set: ImageSet, jobs: int, bs: int) -> None:
    """Compute `task(run, image_set, parts)` for those of `runs` that the store lacks, and keep each as it comes.

    `parts` is 1, or more after a run with batches of `bs` has run out of memory. What fails, and what kills its process
    twice, is a row as well. Raises KeyboardInterrupt on Ctrl-C, when the runs in flight are finished and kept.
    """
    store.write_config(store.config | {"plan": [run.run_id for run in runs]})
    done = {run_id for run_id, row in store.complete().items() if not was_killed(row)}
    todo = [run for run in runs if run.run_id not in done]
    if not todo:
        return
    jobs = min(jobs, len(todo))
    print(f"To do: {len(todo)} of {len(runs)} runs on {image_set.name}, {jobs} at a time", flush=True)
    with show_progress(todo, len(runs) - len(todo), jobs) as progress:

        def keep(result):
            store.write_run(result)
            progress.advance(result)

        finished = run_tasks(todo, partial(_attempted, task=task, bs=bs), image_set, keep, Place(jobs=jobs))
    if not finished:
        raise KeyboardInterrupt


def _attempted(run: Run, image_set: ImageSet, task: Callable, bs: int) -> RunResult:
    return attempted(run, lambda parts: task(run, image_set, parts=parts), bs)


def why_diverged(divergence: StopOnDivergence, log: EpochLog) -> str | None:
    "The reason if the fit that both have seen diverged."
    if divergence.diverged:
        return divergence.reason
    return None if math.isfinite(log.rows[-1][3]) else "the validation loss after the last step is not finite"


def run_row(run: Run, epochs: pd.DataFrame, steps: pd.DataFrame, seconds: float, diverged: str | None = None) -> dict:
    "The row of runs.csv; `diverged` is the reason if the run did."
    last, best = epochs.iloc[-1] if len(epochs) else {}, epochs.loc[epochs.accuracy.idxmax()] if len(epochs) else {}
    row = {
        **{"run_id": run.run_id, "schedule": run.schedule, "lr_max": show_lr(run.lr_max), "seed": run.seed},
        **{"status": "diverged" if diverged else "ok", "epochs": len(epochs), "budget": run.epochs},
        "steps": int(steps.step.nunique()),
        **({} if diverged else {name: last.get(name) for name in ("train_loss", "valid_loss", "accuracy")}),
        **{"best_accuracy": best.get("accuracy"), "best_epoch": best.get("epoch")},
        **{"diverged_step": int(steps.step.max()) if diverged else None, "seconds": round(seconds, 2)},
        "error": diverged,
    }
    return {column: _plain(row.get(column)) for column in RUN_COLUMNS}


def _plain(value):
    "numpy scalars as Python's."
    return value.item() if isinstance(value, np.generic) else value
