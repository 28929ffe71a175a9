"""The bench of one workload for `lrlab claims`: trains what is missing, tunes lr_max once, takes readings off runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.grid.study import Study
from lrlab.recipes.kitchen.grid.tuning import Tuning, tune_schedules
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.schedule_names import named_schedule
from lrlab.recipes.kitchen.store.tables import RunRow
from lrlab.recipes.studies.claims.verdict import READING_COLUMNS

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
    "One workload of the claims. `labels` are the schedules whose own best lr_max is needed."

    study: Study
    seeds: list[int]
    few_seeds: list[int]  # of large models
    scale: Scale
    labels: tuple[str, ...]
    precision: str = "auto"  # as the user typed it: that of the workload is resolved, and a larger model has another
    run_ids: set[str] = field(default_factory=set)  # of the group that is being measured

    @property
    def image_set(self) -> ImageSet:
        return self.study.image_set

    def measure(self, group: Callable[["Bench"], list[pd.DataFrame]]) -> Evidence:
        "Train what the group needs and take its readings. Raises KeyboardInterrupt; finished runs are kept."
        self.run_ids = set()
        tables = group(self)
        return Evidence(pd.concat(tables, ignore_index=True), self.run_ids)

    def train(self, runs: list[Run], what: str = "runs", **options) -> None:
        "Train what is missing; `options` as in `Study.train`."
        self.run_ids |= {run.run_id for run in runs}
        self.study.train(runs, what, **options)

    def tune(self, budget: int, schedules: dict, image_set: ImageSet | None = None) -> dict[str, LearningRate]:
        "The best lr_max of every schedule at this budget, on seeds that the claims never use."
        centre = LearningRate(self.suggested_lr)
        chosen = tune_schedules(self.study, {budget: schedules}, self.scale.tuning, centre, image_set)[budget]
        self.run_ids |= set(self.study.store.manifest.tuning_plan)
        return chosen

    def lr_of(self, label: str) -> LearningRate:
        "A schedule's own best lr_max for the usual budget; all schedules are tuned together."
        chosen, run_ids = self._tuning
        self.run_ids |= run_ids
        return chosen[label]

    @cached_property
    def _tuning(self) -> tuple[dict[str, LearningRate], set[str]]:
        labels = TUNED if self.scale.tune_all else [label for label in TUNED if label in self.labels]
        chosen = self.tune(self.scale.epochs, {label: named_schedule(label, self.scale.epochs) for label in labels})
        return chosen, set(self.study.store.manifest.tuning_plan)

    @property
    def suggested_lr(self) -> float:
        "The suggestion of the LR range tests, which are made once per workload."
        lr = self.study.find_lr()
        if lr is None:
            raise UserError(f"`data` {self.image_set.name}: the LR range test suggests no LR there; choose other data")
        return lr

    def final(self, reading: str, runs: list[Run]) -> pd.DataFrame:
        "The accuracy after the last step, on the test images if there are any."
        rows = self.rows(runs)
        measured = [row.accuracy if row.test_accuracy is None else row.test_accuracy for row in rows]
        return self._table(reading, runs, rows, measured)

    def after(self, reading: str, runs: list[Run], weights: dict[int, float]) -> pd.DataFrame:
        "The weighted sum of the validation accuracies after these epochs (counted from 1)."
        rows, measured = self.rows(runs), []
        for run in runs:
            by_epoch = pd.read_csv(self.study.store.runs / run.run_id / "epochs.csv").set_index("epoch").accuracy
            there = set(weights) <= set(by_epoch.index)
            measured.append(sum(w * by_epoch[epoch] for epoch, w in weights.items()) if there else None)
        return self._table(reading, runs, rows, measured)

    def of_model(self, reading: str, runs: list[Run], model: str) -> pd.DataFrame:
        "The validation accuracy of one of the models that a run made (models.csv)."
        rows, measured = self.rows(runs), []
        for run in runs:
            file = self.study.store.runs / run.run_id / "models.csv"
            scores = pd.read_csv(file).set_index("model").accuracy if file.exists() else {}
            measured.append(scores.get(model))
        return self._table(reading, runs, rows, measured)

    def rows(self, runs: list[Run]) -> list[RunRow]:
        "The row of runs.csv of each run."
        return self.study.rows(runs)

    def _table(self, reading: str, runs: list[Run], rows: list[RunRow], measured: list[float | None]) -> pd.DataFrame:
        kept = [value if row.status == "ok" else None for row, value in zip(rows, measured, strict=True)]
        values = [
            (reading, run.seed, value, row.status, str(run.lr_max), "")
            for run, row, value in zip(runs, rows, kept, strict=True)
        ]
        return pd.DataFrame(values, columns=READING_COLUMNS).astype({"accuracy": float})
