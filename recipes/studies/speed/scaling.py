"""Seconds and memory of one process that does so many runs on so many images; a process of its own each time.

python -m lrlab.recipes.studies.speed.scaling RUNS COPIES
"""

import json
import sys
import time
from dataclasses import replace

import numpy as np

from lrlab.recipes.kitchen.data.image_set import Photos
from lrlab.recipes.kitchen.grid.runner import plan_runs, run_grid
from lrlab.recipes.kitchen.machine.environment import peak_memory
from lrlab.recipes.kitchen.schedule_names import parse_schedules
from lrlab.recipes.kitchen.store.store import RunResult
from lrlab.recipes.kitchen.workloads import Workload
from lrlab.recipes.studies.speed import baselines as rivals

# (what grows, runs, copies of the images)
POINTS = (("runs", 1, 1), ("runs", 2, 1), ("runs", 4, 1), ("images", 1, 1), ("images", 1, 2), ("images", 1, 4))


def repeated(photos: Photos, copies: int) -> Photos:
    "The same photos `copies` times over, training and validation alike."
    n = len(photos.labels)
    splits = {name: np.concatenate([rows + n * copy for copy in range(copies)]) for name, rows in photos.splits.items()}
    images, labels = (np.concatenate([array] * copies) for array in (photos.images, photos.labels))
    return replace(photos, images=images, labels=labels, splits=splits, files=photos.files * copies)


def measure(runs: int, copies: int) -> dict[str, float]:
    "Seconds of the runs (1 epoch each, one thread) after one that is not counted, and the peak memory in GB."
    done: list[RunResult] = []
    photos = Workload().photos()
    workload = Workload().settled(photos, 1)
    run_grid(plan_runs(parse_schedules("constant", 1), rivals.LR, [runs], 1), workload, photos, done.append)
    if copies > 1:
        photos = repeated(photos, copies)
    start = time.perf_counter()
    run_grid(plan_runs(parse_schedules("constant", 1), rivals.LR, range(runs), 1), workload, photos, done.append)
    return {"seconds": time.perf_counter() - start, "memory": peak_memory() / 1e9}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
