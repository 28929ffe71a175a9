"""Runs that need more than a schedule on a Learner: trained by a function of their own, kept like all others."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.data import Photos
from lrlab.recipes.kitchen.engines import Place, compute
from lrlab.recipes.kitchen.grid import Run
from lrlab.recipes.kitchen.options import show_lr
from lrlab.recipes.kitchen.progress import show_progress
from lrlab.recipes.kitchen.store import RUN_COLUMNS, RunResult, Store


@dataclass
class LessonRun(RunResult):
    "A finished run with tables of its own: `extra` maps their file names to DataFrames."

    extra: dict[str, pd.DataFrame] = field(default_factory=dict)

    def tables(self) -> dict[str, pd.DataFrame]:
        return super().tables() | self.extra


def train_missing(store: Store, runs: list[Run], task: Callable, photos: Photos, jobs: int) -> None:
    "Compute `task(run, photos)` for those of `runs` that the store does not hold yet, and keep each as it comes."
    store.write_config(store.config | {"plan": [run.run_id for run in runs]})
    done = store.complete()
    todo = [run for run in runs if run.run_id not in done]
    if not todo:
        return
    jobs = min(jobs, len(todo))
    print(f"To do: {len(todo)} of {len(runs)} runs on {photos.name}, {jobs} at a time", flush=True)
    with show_progress(todo, len(runs) - len(todo), jobs) as progress:
        for _, result in compute(todo, task, photos, Place(jobs=jobs)):
            store.write_run(result)
            progress.advance(result)


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


def extra_table(store: Store, runs: pd.DataFrame, name: str) -> pd.DataFrame:
    "One of the runs' own tables, of all runs together."
    return pd.concat([pd.read_csv(store.runs / run_id / name) for run_id in runs.run_id], ignore_index=True)


def _plain(value):
    "numpy scalars as Python's."
    return value.item() if isinstance(value, np.generic) else value
