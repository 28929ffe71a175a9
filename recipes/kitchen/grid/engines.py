"""Where runs are computed: in this process, in several processes of this machine, or on a Ray cluster.

An engine takes the runs one by one as it has room for them and yields `(run_id, result)` in whatever order they end.
It alone knows about processes; the results are written by whoever iterates over it, so no worker needs the disk.
"""

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing import resource_tracker
from typing import Any, NamedTuple

from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky.process_executor import BrokenProcessPool

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.grid import worker
from lrlab.recipes.kitchen.options import parse_jobs

ENGINES = ("local", "ray")
RAY_TRIES = 3  # of a run whose node or process is lost, before Ray gives it up


class WorkerLost(Exception):
    "A worker process died (killed, out of memory, a crash in native code); the runs in flight have no result."


class Place(NamedTuple):
    "The chosen engine, how many runs it computes at a time, and the Ray cluster to join, if any."

    engine: str = "local"  # "local" or "ray"
    jobs: int | None = 1  # None: as many as the engine has room for
    address: str | None = None


def place_for(engine: str, jobs: int | str, address: str | None) -> Place:
    "The place that the options describe. Raises UserError for an unknown engine or number of jobs."
    if engine not in ENGINES:
        raise UserError(f"`engine` {engine}: expected one of {', '.join(ENGINES)}")
    if address and engine != "ray":
        raise UserError("`address` is for `engine` ray")
    number = None if str(jobs).strip().lower() == "auto" else parse_jobs(jobs)
    place = Place(engine, number, address)
    if engine == "ray":
        join_cluster(place)  # now rather than after the LR range test
    return place


def compute(runs: Iterable, task: Callable, shared: Any, place: Place) -> Iterator[tuple[str, Any]]:
    """Yield `(run.run_id, task(run, shared))` for every run. `shared` (the images) is not copied.

    Raises WorkerLost when a local process dies; a Ray run that is lost too often yields the exception as its result.
    """
    if place.engine == "ray":
        return on_ray(runs, task, shared, place)
    if place.jobs == 1:
        return ((run.run_id, task(run, shared)) for run in runs)
    return in_processes(runs, task, shared, place.jobs or cpu_count())


def in_processes(runs: Iterable, task: Callable, shared: Any, jobs: int) -> Iterator[tuple[str, Any]]:
    "joblib's processes; arrays of `shared` above 1 MB reach them as memory maps of one file."
    # Dispatched one at a time: a stopped comparison has no queue to empty.
    order = {"return_as": "generator_unordered", "pre_dispatch": jobs, "batch_size": 1}
    pool = Parallel(n_jobs=jobs, backend="loky", initializer=worker.start, initargs=(os.getpid(),), **order)
    try:
        with ctrl_c_waits():  # the workers are started here, long before `worker.start` tells them to ignore it
            results = pool(delayed(_named)(task, run, shared) for run in runs)
        yield from results
    except BrokenProcessPool as error:  # killed outright, or amid receiving its task
        raise WorkerLost(_first_line(error)) from error


@contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Ctrl-C is held back for a moment; a process that begins meanwhile never gets it (where the system has masks).

    Half-started processes that lose their parent tell it in tracebacks, so the handler waits too: the mask is this
    thread's alone, and the system may hand the signal to another one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    usual = signal.signal(signal.SIGINT, lambda signum, frame: came.append(signum))
    try:
        with _masked(signal.SIGINT):
            yield
    finally:
        if usual is not None:  # not installed from Python
            signal.signal(signal.SIGINT, usual)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _masked(number: int) -> Iterator[None]:
    "A signal kept from this thread and from the processes that it begins."
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # if Python started it only later, it would let Ctrl-C through again
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
    "Once a worker: half a million objects of torch and fastai, which no collection between two runs has to visit."
    gc.collect()  # what the measuring of `jobs` has left
    gc.freeze()


def on_ray(runs: Iterable, task: Callable, shared: Any, place: Place) -> Iterator[tuple[str, Any]]:
    """Ray tasks, one core each (one GPU share each where the cluster has GPUs); the images go through its object store.

    Ray itself does the runs of a lost worker or node again, elsewhere. Only this process touches the results folder.
    """
    ray = join_cluster(place)
    cluster = ray.cluster_resources()
    jobs = place.jobs or max(1, int(cluster.get("CPU", 1)))
    gpu = min(1.0, cluster.get("GPU", 0) / jobs)
    remote = ray.remote(max_retries=RAY_TRIES, num_cpus=1, num_gpus=gpu)(_on_node)
    data, waiting = ray.put(shared), iter(runs)
    in_flight: dict[Any, str] = {}
    try:
        while True:
            while len(in_flight) < jobs and (run := next(waiting, None)) is not None:
                in_flight[remote.remote(task, run, data)] = run.run_id
            if not in_flight:
                return
            for ended in ray.wait(list(in_flight))[0]:
                run_id = in_flight.pop(ended)
                try:
                    yield run_id, ray.get(ended)
                except ray.exceptions.RayError as error:
                    yield run_id, error
    finally:
        for ref in in_flight:
            ray.cancel(ref, force=True)


def _on_node(task: Callable, run: Any, shared: Any) -> Any:
    return task(run, shared)


def join_cluster(place: Place):
    "The `ray` module, connected: to `address`, else to a Ray started for this command on this machine."
    try:
        import ray
    except ImportError as error:
        raise UserError("`engine` ray needs Ray: pip install 'lrlab[ray]'") from error
    if not ray.is_initialized():
        try:
            ray.init(address=place.address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(
                f"`address` {place.address}: no Ray cluster answers there ({_first_line(error)})"
            ) from error
    return ray


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
