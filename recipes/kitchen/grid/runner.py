"""Runs schedules x learning rates x seeds and hands on every finished run. Knows nothing of plots."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.grid.engines import Place, WorkerLost, compute
from lrlab.recipes.kitchen.runs.plan import Run, plan_runs
from lrlab.recipes.kitchen.runs.train import EpochLog, failed, train
from lrlab.recipes.kitchen.store.store import RunResult
from lrlab.recipes.kitchen.workloads import Workload

__all__ = ["EpochLog", "Run", "ctrl_c_sets", "failed", "plan_runs", "run_grid", "run_tasks", "train", "was_killed"]

MOST_TRIES = 2  # of a run that was alone in flight when its process died, before it is recorded as failed
KILLED = "its process was killed"


def run_grid(
    runs: list[Run],
    workload: Workload,
    image_set: ImageSet,
    on_result: Callable[[RunResult], None],
    jobs: int | None = 1,
    threads: int = 1,
    place: Place | None = None,
) -> bool:
    "Train all `runs` and pass each result to `on_result` as it comes; False, and all else, as in `run_tasks`."
    task = partial(_train, workload=workload, threads=threads)
    return run_tasks(runs, task, image_set, on_result, place or Place(jobs=jobs))


def run_tasks(
    runs: list[Run],
    task: Callable[[Run, ImageSet], RunResult],
    image_set: ImageSet,
    on_result: Callable[[RunResult], None],
    place: Place,
) -> bool:
    """Compute `task(run, image_set)` for all `runs`, each result to `on_result` as it comes; False after Ctrl-C.

    The first Ctrl-C lets the runs in flight finish, the second stops at once. When a process dies, the runs that may
    have been in it are done again one at a time, so that it shows which of them kills its process: only that one is
    recorded as failed. Results depend on the threads, because the last bits of a sum do, but not on the jobs.
    """
    todo = {run.run_id: run for run in runs}
    suspects: dict[str, int] = {}  # of killing their process: how often they did when they were alone in flight
    with ctrl_c_sets() as stop:
        while todo and not stop.is_set():
            alone = next((run_id for run_id in suspects if run_id in todo), None)
            batch = [todo[alone]] if alone else list(todo.values())
            started: list[str] = []
            few = place if alone or place.jobs is None else place._replace(jobs=min(place.jobs, len(batch)))
            try:
                for run_id, result in compute(_until(stop, batch, started), task, image_set, few):
                    run = todo.pop(run_id)
                    on_result(failed(run, f"{KILLED} ({result})") if isinstance(result, Exception) else result)
            except WorkerLost as lost:
                for run_id in started:
                    suspects.setdefault(run_id, 0)
                if alone:
                    suspects[alone] += 1
                    if suspects[alone] >= MOST_TRIES:
                        on_result(failed(todo.pop(alone), f"{KILLED} {MOST_TRIES} times ({lost})"))
        return not stop.is_set()


def was_killed(row: dict) -> bool:
    "Whether a row of runs.csv failed for a reason that another attempt may not meet: a killed process."
    return row["status"] == "failed" and str(row["error"]).startswith(KILLED)


def _train(run: Run, image_set: ImageSet, workload: Workload, threads: int) -> RunResult:
    return train(run, workload, image_set, threads)


def _until(stop: threading.Event, runs: list[Run], started: list[str]) -> Iterator[Run]:
    "The runs, as long as nobody stops; `started` collects the ids of those handed out."
    for run in runs:
        if stop.is_set():
            return
        started.append(run.run_id)
        yield run


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
        # A process begun in the background of a shell ignores Ctrl-C, and would go on ignoring it.
        signal.signal(signal.SIGINT, signal.default_int_handler if usual == signal.SIG_IGN else usual)
        print("\nStopping after the runs in flight; Ctrl-C again stops at once.", flush=True)

    signal.signal(signal.SIGINT, request_stop)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, usual)
