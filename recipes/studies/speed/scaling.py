"""Seconds and memory of one process that does so many runs on so many images; a process of its own each time.

python -m lrlab.recipes.studies.speed.scaling RUNS COPIES [DATA]
"""

import json
import sys
import time
from dataclasses import replace

import numpy as np

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.grid.runner import run_grid
from lrlab.recipes.kitchen.machine.environment import peak_memory
from lrlab.recipes.kitchen.runs.plan import plan_runs
from lrlab.recipes.kitchen.schedule_names import parse_schedules
from lrlab.recipes.kitchen.store.tables import RunResult
from lrlab.recipes.kitchen.workloads import ImageWorkload
from lrlab.recipes.studies.speed import baselines as rivals

# (what grows, runs, copies of the images)
POINTS = (("runs", 1, 1), ("runs", 2, 1), ("runs", 4, 1), ("images", 1, 1), ("images", 1, 2), ("images", 1, 4))


def repeated(image_set: ImageSet, copies: int) -> ImageSet:
    "The same images `copies` times over, training and validation alike."
    n = len(image_set.labels)
    splits = {
        name: np.concatenate([rows + n * copy for copy in range(copies)]) for name, rows in image_set.splits.items()
    }
    images, labels = (np.concatenate([array] * copies) for array in (image_set.images, image_set.labels))
    return replace(image_set, images=images, labels=labels, splits=splits, files=image_set.files * copies, strata=None)


def measure(runs: int, copies: int, data: str = "solar") -> dict[str, float]:
    "Seconds of the runs (1 epoch each, one thread) after one that is not counted, and the peak memory in GB."
    done: list[RunResult] = []
    image_set = ImageWorkload(data).load()
    workload = ImageWorkload(data).resolve(image_set)
    run_grid(plan_runs(parse_schedules("constant", 1), rivals.LR, [runs], 1), workload, image_set, done.append)
    if copies > 1:
        image_set = repeated(image_set, copies)
    start = time.perf_counter()
    run_grid(plan_runs(parse_schedules("constant", 1), rivals.LR, range(runs), 1), workload, image_set, done.append)
    return {"seconds": time.perf_counter() - start, "memory": peak_memory() / 1e9}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])))
