"""Where runs are computed: in this process, in several processes of this machine, or on a Ray cluster.

An engine takes the runs one by one as it has room, and yields `(run_id, result)` in the order in which they end. It
alone knows about processes. Whoever iterates over it writes the results, so no worker needs the disk.
"""

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from multiprocessing import resource_tracker
from typing import Any

from joblib import Parallel, cpu_count, delayed

from lrlab.recipes.kitchen.grid import worker
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.text import first_line


class WorkerLost(Exception):
    "A worker process died: killed, out of memory, or a crash in native code. The runs in flight have no result."


def compute(runs: Iterable, task: Callable, shared: Any, place: Place) -> Iterator[tuple[str, Any]]:
    """Yield `(run.run_id, task(run, shared))` for every run. `shared` (the images) is not copied.

    Raises WorkerLost when a local process dies; a Ray run that is lost too often yields the exception as its result.
    """
    if place.engine == "ray":
        from lrlab.recipes.kitchen.grid.ray_engine import on_ray

        return on_ray(runs, task, shared, place.jobs, place.address)
    if place.jobs == 1:
        return ((run.run_id, task(run, shared)) for run in runs)
    return in_processes(runs, task, shared, place.jobs or cpu_count())


def in_processes(runs: Iterable, task: Callable, shared: Any, jobs: int) -> Iterator[tuple[str, Any]]:
    "Compute in joblib's processes. Arrays of `shared` above 1 MB reach them as memory maps of one file."
    # Dispatched one at a time: a stopped comparison has no queue to empty.
    order = {"return_as": "generator_unordered", "pre_dispatch": jobs, "batch_size": 1}
    pool = Parallel(n_jobs=jobs, backend="loky", initializer=worker.start, initargs=(os.getpid(),), **order)
    try:
        with ctrl_c_waits():  # the workers are started here, long before `worker.start` tells them to ignore it
            results = pool(delayed(_named)(task, run, shared) for run in runs)
        yield from results
    except BrokenProcessPool as error:  # killed outright, or amid receiving its task
        raise WorkerLost(first_line(error)) from error


@contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Delay Ctrl-C while worker processes start: a half-started worker would print a traceback.

    Processes that start meanwhile inherit the signal mask, where the system has masks. The mask is this thread's alone,
    and the system may hand the signal to another thread, so the handler waits too.
    """
    came: list[int] = []
    try:
        with ctrl_c_calls(lambda number, frame: came.append(number)), _masked(signal.SIGINT):
            yield
    finally:
        if came:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def ctrl_c_calls(handler: Callable[[int, Any], Any]) -> Iterator[None]:
    "Let Ctrl-C call `handler` within the block. Only the main thread can; in another one nothing changes."
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        if usual is not None:  # not installed from Python
            signal.signal(signal.SIGINT, usual)


@contextmanager
def _masked(number: int) -> Iterator[None]:
    "Block a signal in this thread and in the processes that it starts."
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # started later, it would unblock Ctrl-C
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _named(task: Callable, run: Any, shared: Any) -> tuple[str, Any]:
    _keep_what_is_loaded()
    return run.run_id, task(run, shared)


@cache
def _keep_what_is_loaded() -> None:
    "Once a worker: exclude half a million objects of torch and fastai from the collections between runs."
    gc.collect()
    gc.freeze()
