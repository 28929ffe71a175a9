"""Compute runs on a Ray cluster."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.machine.optional_packages import require
from lrlab.recipes.kitchen.text import first_line

MAX_RETRIES = 3  # of a run whose node or process is lost


def on_ray(
    runs: Iterable, task: Callable, shared: Any, jobs: int | None, address: str | None
) -> Iterator[tuple[str, Any]]:
    """Ray tasks of one core each, and of one GPU share each where the cluster has GPUs.

    `shared` goes through Ray's object store. Ray itself repeats the runs of a lost worker or node elsewhere; a run that
    is lost too often yields the exception as its result. Only this process touches the results folder.
    """
    ray = join_cluster(address)
    cluster = ray.cluster_resources()
    jobs = jobs or max(1, int(cluster.get("CPU", 1)))
    gpu = min(1.0, cluster.get("GPU", 0) / jobs)
    remote = ray.remote(max_retries=MAX_RETRIES, num_cpus=1, num_gpus=gpu)(lambda run, data: task(run, data))
    data, waiting = ray.put(shared), iter(runs)
    in_flight: dict[Any, str] = {}
    try:
        while True:
            while len(in_flight) < jobs and (run := next(waiting, None)) is not None:
                in_flight[remote.remote(run, data)] = run.run_id
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


def join_cluster(address: str | None = None):
    "The `ray` module, connected: to `address`, else to a Ray started for this command on this machine."
    ray: Any = require("ray", "`engine` ray")
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(f"`address` {address}: no Ray cluster answers there ({first_line(error)})") from error
    return ray
