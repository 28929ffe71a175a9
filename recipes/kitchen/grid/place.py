"""Where the runs of a grid are computed, as the options describe it."""

from typing import NamedTuple

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.options import ENGINES, one_of, parse_jobs


class Place(NamedTuple):
    "The chosen engine, how many runs it computes at a time, and the Ray cluster to join, if any."

    engine: str = "local"  # "local" or "ray"
    jobs: int | None = 1  # None: as many as the engine has room for
    address: str | None = None


def place_for(engine: str, jobs: int | str, address: str | None) -> Place:
    "The place that the options describe. Raises UserError for an unknown engine or number of jobs."
    one_of(*ENGINES)(engine, "engine")
    if address and engine != "ray":
        raise UserError("`address` is for `engine` ray")
    place = Place(engine, parse_jobs(jobs), address)
    if engine == "ray":
        from lrlab.recipes.kitchen.grid.ray_engine import join_cluster

        join_cluster(address)  # a cluster that does not answer is refused now, not after the LR range test
    return place
