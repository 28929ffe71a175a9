"""Runs schedules x learning rates x seeds in processes and hands on every finished run. Knows nothing of plots."""

import gc
import re
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from fastai.callback.core import Callback
from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from lrlab.callbacks import HyperHistory, Schedule, StopOnDivergence
from lrlab.recipes.kitchen.data import Photos
from lrlab.recipes.kitchen.options import show_lr
from lrlab.recipes.kitchen.store import EPOCH_COLUMNS, RUN_COLUMNS, STEP_COLUMNS, RunResult
from lrlab.recipes.kitchen.workloads import Workload

MOST_TRIES = 2  # of a run whose process was killed, before it is recorded as failed


@dataclass(frozen=True)
class Run:
    "One schedule x lr_max x seed."

    schedule: str  # the label under which it is compared
    shape: Schedule
    lr_max: float | slice
    seed: int
    epochs: int

    @property
    def run_id(self) -> str:
        name = re.sub(r"[^A-Za-z0-9.]+", "_", f"{self.schedule}-{show_lr(self.lr_max)}").strip("_")
        return f"{name[:80]}-{self.epochs}ep-s{self.seed}"


def plan_runs(schedules: dict[str, Schedule], lr_max: float | slice, seeds: Iterable[int], epochs: int) -> list[Run]:
    "Seed by seed, so that a comparison that is stopped early has every schedule with the seeds it has."
    return [Run(label, shape, lr_max, seed, epochs) for seed in seeds for label, shape in schedules.items()]


def run_grid(
    runs: list[Run],
    workload: Workload,
    photos: Photos,
    on_result: Callable[[RunResult], None],
    jobs: int = 1,
    threads: int = 1,
) -> bool:
    """Train all `runs` and pass each result to `on_result` as it comes; returns False if it was stopped by Ctrl-C.

    The first Ctrl-C lets the runs in flight finish, the second stops at once. A run whose process dies is done again
    once. Results depend on `threads`, because the last bits of a sum do, but not on `jobs`.
    """
    todo = {run.run_id: run for run in runs}
    tries = dict.fromkeys(todo, 0)
    with ctrl_c_sets() as stop:
        while todo and not stop.is_set():
            tasks = (run for run in list(todo.values()) if not stop.is_set())
            try:
                for result in _results(tasks, workload, photos, min(jobs, len(todo)), threads):
                    del todo[result.row["run_id"]]
                    on_result(result)
            except TerminatedWorkerError as error:
                for run in list(todo.values())[:jobs]:  # those in flight: runs are started in order
                    tries[run.run_id] += 1
                    if tries[run.run_id] >= MOST_TRIES:
                        del todo[run.run_id]
                        on_result(failed(run, f"its process was killed {MOST_TRIES} times ({_first_line(error)})"))
        return not stop.is_set() or not todo


def _results(runs: Iterable[Run], workload: Workload, photos: Photos, jobs: int, threads: int) -> Iterator[RunResult]:
    if jobs <= 1:
        return (train(run, workload, photos, threads) for run in runs)
    # Dispatched one at a time: a stopped comparison has no queue to empty.
    pool = Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch=jobs, batch_size=1)
    return pool(delayed(_train_in_worker)(run, workload, photos, threads) for run in runs)


def _train_in_worker(run: Run, workload: Workload, photos: Photos, threads: int) -> RunResult:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent decides
    return train(run, workload, photos, threads)


def train(run: Run, workload: Workload, photos: Photos, threads: int = 1) -> RunResult:
    "One run from fresh weights; an exception in it is a result too: the row says `failed` and why."
    torch.set_num_threads(threads)
    start = time.perf_counter()
    log, history, divergence = EpochLog(), HyperHistory(), StopOnDivergence()
    try:
        learn = workload.learner(run.seed, photos)
        with learn.no_bar(), learn.no_logging():
            workload.warm_up_head(learn)
            learn.fit_schedule(run.epochs, run.shape, lr_max=run.lr_max, cbs=[log, history, divergence])
    except Exception as error:  # whatever a model, an optimizer or the memory of the machine comes up with
        return failed(run, f"{type(error).__name__}: {_first_line(error)}", time.perf_counter() - start)
    finally:
        gc.collect()  # a Learner and its callbacks refer to each other; without this, memory grows from run to run
    steps = history.to_df()
    own = {"run_id": run.run_id, "schedule": run.schedule, "lr_max": show_lr(run.lr_max), "seed": run.seed}
    epochs = log.to_df(steps).assign(**own)[EPOCH_COLUMNS]
    last = epochs.iloc[-1] if len(epochs) else {}
    best = epochs.loc[epochs.accuracy.idxmax()] if len(epochs) else {}
    finished = not divergence.diverged
    row = _row(
        run,
        status="ok" if finished else "diverged",
        epochs=len(epochs),
        steps=int(steps.step.max()) + 1 if len(steps) else 0,
        train_loss=last.get("train_loss") if finished else None,
        valid_loss=last.get("valid_loss") if finished else None,
        accuracy=last.get("accuracy") if finished else None,
        best_accuracy=best.get("accuracy"),
        best_epoch=best.get("epoch"),
        diverged_step=None if finished else divergence.step,
        seconds=round(time.perf_counter() - start, 2),
        error=None if finished else divergence.reason,
    )
    return RunResult(row, epochs, steps)


def failed(run: Run, reason: str, seconds: float = 0.0) -> RunResult:
    "The result of a run that could not be finished for another reason than divergence."
    row = _row(run, status="failed", epochs=0, steps=0, seconds=round(seconds, 2), error=reason)
    return RunResult(row, pd.DataFrame(columns=EPOCH_COLUMNS), pd.DataFrame(columns=STEP_COLUMNS))


def _row(run: Run, **values) -> dict:
    row = {"run_id": run.run_id, "schedule": run.schedule, "lr_max": show_lr(run.lr_max), "seed": run.seed, **values}
    return {column: _plain(row.get(column)) for column in RUN_COLUMNS}


def _plain(value):
    "A JSON value: numpy scalars become Python's."
    return value.item() if isinstance(value, np.generic) else value


class EpochLog(Callback):
    "The validation results, the LR of the last group and the time of every epoch."

    order, run_valid = 61, False  # after fastai's Recorder has the epoch's values

    def before_fit(self):
        self.rows = []

    def before_epoch(self):
        self.started = time.perf_counter()

    def after_epoch(self):
        _, valid_loss, accuracy = self.recorder.values[-1]
        lr, seconds = self.opt.hypers[-1]["lr"], time.perf_counter() - self.started
        self.rows.append((self.epoch, self.learn.train_iter, float(lr), valid_loss, accuracy, round(seconds, 3)))

    def to_df(self, steps: pd.DataFrame) -> pd.DataFrame:
        "One row per finished epoch, counted from 1; `steps` (HyperHistory's) give the mean training loss of each."
        table = pd.DataFrame(self.rows, columns=["epoch", "step", "lr", "valid_loss", "accuracy", "seconds"])
        losses = steps[steps.group == steps.group.max()].groupby("epoch").loss.mean()
        table.insert(3, "train_loss", table.epoch.map(losses))
        return table.assign(epoch=table.epoch + 1)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


@contextmanager
def ctrl_c_sets() -> Iterator[threading.Event]:
    "An event that the first Ctrl-C sets; from the second one on, Ctrl-C interrupts as usual."
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    usual = signal.getsignal(signal.SIGINT)

    def request_stop(signum, frame):
        stop.set()
        signal.signal(signal.SIGINT, usual)
        print("\nStopping after the runs in flight; Ctrl-C again stops at once.", flush=True)

    signal.signal(signal.SIGINT, request_stop)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, usual)
