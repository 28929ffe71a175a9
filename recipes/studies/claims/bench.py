"""The bench of one workload for `lrlab claims`: trains what is missing, tunes lr_max once, takes readings off runs."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import pandas as pd

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.grid.engines import Place
from lrlab.recipes.kitchen.grid.lessons import train_missing
from lrlab.recipes.kitchen.grid.tuning import Tuning
from lrlab.recipes.kitchen.options import LR, show_lr
from lrlab.recipes.kitchen.runs.out_of_memory import batch_size
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.schedule_names import named_schedule
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.workloads import Workload, use_threads
from lrlab.recipes.studies.claims.verdict import READING_COLUMNS
from lrlab.recipes.studies.compare.study import LR_FIND_SEED, Kitchen, tuned
from lrlab.recipes.studies.lr_find.study import range_test, suggested_lr

TUNED = ("constant", "linear", "cosine", "triangular", "sgdr", "step", "one_cycle")


@dataclass(frozen=True)
class Scale:
    "How long the runs of the claims are, in epochs, and how carefully lr_max is tuned."

    epochs: int = 7  # 2^k - 1, so that restarts whose cycles double fill whole epochs
    short: int = 3
    long: int = 30
    clr: int = 8  # an even number of epochs, whole cycles of two
    snapshots: int = 9  # three cycles
    transfer: int = 3
    tuning: Tuning = Tuning(5, 2)
    tune_all: bool = True  # also schedules that no chosen claim needs: a claim alone gives the same numbers
    starts: int = 1000  # of the descents

    @property
    def early(self) -> list[int]:
        "The epochs at which all but the last of the doubling cycles end."
        return [2**k - 1 for k in range(1, self.epochs.bit_length()) if 2**k - 1 < self.epochs]

    def words(self) -> dict:
        "What the settings of the claims mention."
        first = self.epochs // 2 + 1
        spoken = {"points": self.tuning.points, "px": 48, "averaged": f"{first} to {self.epochs}"}
        return vars(self) | spoken | {"early": " and ".join(map(str, self.early))}


FULL = Scale()
QUICK = Scale(3, 1, 6, 4, 3, 1, Tuning(3, 1), tune_all=False, starts=100)


@dataclass
class Evidence:
    "What one group of runs gave: `readings` with READING_COLUMNS, and the runs behind them."

    readings: pd.DataFrame
    run_ids: set[str]


@dataclass
class Bench:
    "`few_seeds`: those of large models; `labels`: the schedules whose own best lr_max is needed."

    store: Store
    workload: Workload
    image_set: ImageSet
    seeds: list[int]
    few_seeds: list[int]
    scale: Scale
    labels: tuple[str, ...]
    jobs: int = 1
    threads: int = 1
    precision: str = "auto"  # as asked: that of `workload` is settled, which says nothing of a larger model
    run_ids: set[str] = field(default_factory=set)  # of the group that is being measured

    def measure(self, group: Callable[["Bench"], list[pd.DataFrame]]) -> Evidence:
        "Train what the group needs and take its readings. Raises KeyboardInterrupt; what is done is kept."
        self.run_ids = set()
        tables = group(self)
        return Evidence(pd.concat(tables, ignore_index=True), self.run_ids)

    def train(self, runs: list[Run], what: str = "runs", image_set: ImageSet | None = None) -> list[Run]:
        "Ordinary runs."
        self.run_ids |= {run.run_id for run in runs}
        self._kitchen(image_set).train(runs, what)
        return runs

    def train_by(self, task: Callable, runs: list[Run], image_set: ImageSet | None = None, **options) -> list[Run]:
        "Runs by `task(run, image_set, threads=..., parts=..., **options)`."
        self.run_ids |= {run.run_id for run in runs}
        task = partial(task, threads=self.threads, **options)
        image_set = self.image_set if image_set is None else image_set
        train_missing(self.store, runs, task, image_set, self.jobs, batch_size(self.workload, image_set))
        return runs

    def tune(self, budget: int, shapes: dict, image_set: ImageSet | None = None) -> dict[str, LR]:
        "The best lr_max of every schedule at this budget, on seeds of their own."
        chosen = tuned(self._kitchen(image_set), {budget: shapes}, self.scale.tuning, self.found)[budget]
        self.run_ids |= set(self.store.config["tuning_plan"])
        return chosen

    def _kitchen(self, image_set: ImageSet | None) -> Kitchen:
        image_set = self.image_set if image_set is None else image_set
        return Kitchen(self.store, self.workload, image_set, Place(jobs=self.jobs), self.threads)

    def lr_of(self, label: str) -> LR:
        "A schedule's own best lr_max for the usual budget; all schedules are tuned together."
        chosen, run_ids = self._tuning
        self.run_ids |= run_ids
        return chosen[label]

    @cached_property
    def _tuning(self) -> tuple[dict[str, LR], set[str]]:
        labels = TUNED if self.scale.tune_all else [label for label in TUNED if label in self.labels]
        chosen = self.tune(self.scale.epochs, {label: named_schedule(label, self.scale.epochs) for label in labels})
        return chosen, set(self.store.config["tuning_plan"])

    @cached_property
    def found(self) -> float:
        "lr_find's suggestion, from one LR range test a workload."
        config = self.store.config
        if "lr_find" not in config:
            use_threads(self.threads)
            start = time.perf_counter()
            found = suggested_lr(range_test(self.workload, LR_FIND_SEED, self.image_set))
            config |= {"lr_find": found, "lr_find_seconds": round(time.perf_counter() - start, 2)}
            self.store.write_config(config)
        if config["lr_find"] is None:
            raise UserError(f"`data` {self.image_set.name}: the LR range test suggests no LR there; choose other data")
        return config["lr_find"]

    def final(self, reading: str, runs: list[Run]) -> pd.DataFrame:
        "The accuracy after the last step, on the test images if there are any."
        rows = self.rows(runs)
        measured = [row["accuracy"] if row["test_accuracy"] is None else row["test_accuracy"] for row in rows]
        return self._table(reading, runs, rows, measured)

    def after(self, reading: str, runs: list[Run], weights: dict[int, float]) -> pd.DataFrame:
        "The weighted sum of the validation accuracies after these epochs (counted from 1)."
        rows, measured = self.rows(runs), []
        for run in runs:
            by_epoch = pd.read_csv(self.store.runs / run.run_id / "epochs.csv").set_index("epoch").accuracy
            there = set(weights) <= set(by_epoch.index)
            measured.append(sum(w * by_epoch[epoch] for epoch, w in weights.items()) if there else None)
        return self._table(reading, runs, rows, measured)

    def of_model(self, reading: str, runs: list[Run], model: str) -> pd.DataFrame:
        "The validation accuracy of one of the models that a run made (models.csv)."
        rows, measured = self.rows(runs), []
        for run in runs:
            file = self.store.runs / run.run_id / "models.csv"
            scores = pd.read_csv(file).set_index("model").accuracy if file.exists() else {}
            measured.append(scores.get(model))
        return self._table(reading, runs, rows, measured)

    def rows(self, runs: list[Run]) -> list[dict]:
        "The row of runs.csv of each run."
        complete = self.store.complete()
        return [complete[run.run_id] for run in runs]

    def _table(self, reading: str, runs: list[Run], rows: list[dict], measured: list[float | None]) -> pd.DataFrame:
        kept = [value if row["status"] == "ok" else None for row, value in zip(rows, measured, strict=True)]
        values = [
            (reading, run.seed, value, row["status"], show_lr(run.lr_max), "")
            for run, row, value in zip(runs, rows, kept, strict=True)
        ]
        return pd.DataFrame(values, columns=READING_COLUMNS).astype({"accuracy": float})
