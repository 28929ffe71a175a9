"""Run a task for every run of a grid, and pass on every result as it comes. Knows nothing of figures."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.grid.engines import Place, WorkerLost, compute, ctrl_c_calls
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.recording import failed_run
from lrlab.recipes.kitchen.runs.train import attempt, train_run
from lrlab.recipes.kitchen.store.tables import RunResult, RunRow
from lrlab.recipes.kitchen.workloads import Workload

MOST_CRASHES = 2  # of a run alone in its process, before it is recorded as failed
KILLED = "its process was killed"


def run_grid(
    runs: list[Run],
    workload: Workload,
    image_set: ImageSet,
    on_result: Callable[[RunResult], None],
    place: Place = Place(),  # noqa: B008  (a tuple)
    threads: int = 1,
) -> bool:
    "Train all `runs` and pass each result to `on_result` as it comes. Returns False if Ctrl-C stopped it."
    task = partial(attempt, task=partial(train_run, workload=workload), threads=threads)
    return run_tasks(runs, task, image_set, on_result, place)


def run_tasks(
    runs: list[Run],
    task: Callable[[Run, ImageSet], RunResult],
    image_set: ImageSet,
    on_result: Callable[[RunResult], None],
    place: Place,
) -> bool:
    """Compute `task(run, image_set)` for all `runs` and pass each result to `on_result`. Returns False after Ctrl-C.

    The first Ctrl-C lets the runs in flight finish, the second stops at once. When a process dies, the runs that may
    have been in it are repeated one at a time, which shows the run that kills its process: only that one is recorded
    as failed. Results depend on the threads, because the last bits of a sum do, but not on the jobs.
    """
    todo = {run.run_id: run for run in runs}
    crashes: dict[str, int] = {}  # run id -> crashes while it ran alone
    with ctrl_c_sets() as stop:
        while todo and not stop.is_set():
            alone = next((run_id for run_id in crashes if run_id in todo), None)
            batch = [todo[alone]] if alone else list(todo.values())
            started: list[str] = []
            few = place if alone or place.jobs is None else place._replace(jobs=min(place.jobs, len(batch)))
            try:
                for run_id, result in compute(_until(stop, batch, started), task, image_set, few):
                    run = todo.pop(run_id)
                    on_result(failed_run(run, f"{KILLED} ({result})") if isinstance(result, Exception) else result)
            except WorkerLost as lost:
                for run_id in started:
                    crashes.setdefault(run_id, 0)
                if alone:
                    crashes[alone] += 1
                    if crashes[alone] >= MOST_CRASHES:
                        on_result(failed_run(todo.pop(alone), f"{KILLED} {MOST_CRASHES} times ({lost})"))
        return not stop.is_set()


def was_killed(row: RunRow) -> bool:
    "Whether a run failed for a reason that another attempt may not meet: a killed process."
    return row.status == "failed" and str(row.error).startswith(KILLED)


def _until(stop: threading.Event, runs: list[Run], started: list[str]) -> Iterator[Run]:
    "The runs, until `stop` is set. `started` collects the ids of those handed out."
    for run in runs:
        if stop.is_set():
            return
        started.append(run.run_id)
        yield run


@contextmanager
def ctrl_c_sets() -> Iterator[threading.Event]:
    "An event that the first Ctrl-C sets. From the second one on, Ctrl-C interrupts as usual."
    stop, usual = threading.Event(), signal.getsignal(signal.SIGINT)

    def request_stop(signum, frame):
        stop.set()
        # A process that a shell started in the background ignores Ctrl-C, and would continue to ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler if usual == signal.SIG_IGN else usual)
        print("\nStopping after the runs in flight; Ctrl-C again stops at once.", flush=True)

    with ctrl_c_calls(request_stop):
        yield stop
