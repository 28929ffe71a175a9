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
    scale: Scale
    labels: tuple[str, ...]
    precision: str = "auto"  # as the user typed it: that of the workload is resolved, and a larger model has another
    seeds: list[int] = field(default_factory=list)  # of what is being measured
    wanted: set[str] = field(default_factory=set)  # its readings
    run_ids: set[str] = field(default_factory=set)  # its runs
    _tuned: dict[tuple, tuple[dict[str, LearningRate], set[str]]] = field(default_factory=dict)

    @property
    def image_set(self) -> ImageSet:
        return self.study.image_set

    def measure(self, group: Callable[["Bench"], list[pd.DataFrame]], wanted: set[str], seeds: list[int]) -> Evidence:
        "Train what the `wanted` readings of a group need, and take them. Raises KeyboardInterrupt; runs are kept."
        self.wanted, self.seeds, self.run_ids = wanted, seeds, set()
        readings = pd.concat(group(self), ignore_index=True)
        return Evidence(readings[readings.reading.isin(wanted)], self.run_ids)

    def train(self, runs: list[Run], what: str = "runs", **options) -> None:
        "Train what is missing; `options` as in `Study.train`."
        self.run_ids |= {run.run_id for run in runs}
        self.study.train(runs, what, **options)

    def tune(self, budget: int, schedules: dict, **options) -> dict[str, LearningRate]:
        "The best lr_max of every schedule at this budget, on seeds that the claims never use. Options as for `train`."
        key = (budget, *schedules)
        if key not in self._tuned:
            centre = LearningRate(self.suggested_lr)
            chosen = tune_schedules(self.study, {budget: schedules}, self.scale.tuning, centre, **options)[budget]
            self._tuned[key] = chosen, set(self.study.store.manifest.tuning_plan)
        chosen, run_ids = self._tuned[key]
        self.run_ids |= run_ids
        return chosen

    def lr_of(self, label: str) -> LearningRate:
        "A schedule's own best lr_max for the usual budget; all schedules are tuned together."
        labels = TUNED if self.scale.tune_all else [label for label in TUNED if label in self.labels]
        return self.tune(self.scale.epochs, {name: named_schedule(name, self.scale.epochs) for name in labels})[label]

    @cached_property
    def suggested_lr(self) -> float:
        "The suggestion of the LR range tests, which are made once per workload."
        lr = self.study.find_lr()
        if lr is None:
            raise UserError(f"`data` {self.image_set.name}: the LR range test suggests no LR there; choose other data")
        return lr

    def final(self, reading: str, runs: list[Run]) -> pd.DataFrame:
        "Accuracy and loss after the last step, on the test images if there are any."
        rows = self.rows(runs)
        tested = [row.test_accuracy is not None for row in rows]
        scores = [row.test_accuracy if yes else row.accuracy for row, yes in zip(rows, tested, strict=True)]
        losses = [row.test_loss if yes else row.valid_loss for row, yes in zip(rows, tested, strict=True)]
        return self._table(reading, runs, rows, scores, losses)

    def after(self, reading: str, runs: list[Run], weights: dict[int, float]) -> pd.DataFrame:
        "The weighted sums of the validation accuracies and losses after these epochs (counted from 1)."
        rows, sums = self.rows(runs), []
        for run in runs:
            epochs = self.study.store.epochs(run.run_id).set_index("epoch")
            own = epochs.reindex(weights)[["accuracy", "valid_loss"]]  # nan for an epoch that is not there
            sums.append(own.mul(pd.Series(weights), axis=0).sum(skipna=False))
        scores, losses = ([table[name] for table in sums] for name in ("accuracy", "valid_loss"))
        return self._table(reading, runs, rows, scores, losses)

    def of_model(self, reading: str, runs: list[Run], model: str) -> pd.DataFrame:
        "Accuracy and loss, on the validation images, of one of the models that a run made (models.csv)."
        rows, scores, losses = self.rows(runs), [], []
        for run in runs:
            file = self.study.store.runs / run.run_id / "models.csv"
            models = pd.read_csv(file).set_index("model") if file.exists() else pd.DataFrame()
            made = model in models.index
            scores.append(models.accuracy[model] if made else None)
            losses.append(models.valid_loss[model] if made else None)
        return self._table(reading, runs, rows, scores, losses)

    def rows(self, runs: list[Run]) -> list[RunRow]:
        "The row of runs.csv of each run."
        return self.study.rows(runs)

    def _table(self, reading: str, runs: list[Run], rows: list[RunRow], scores: list, losses: list) -> pd.DataFrame:
        "A diverged run has learned nothing: it has the accuracy of guessing, and no loss."
        instead = {"diverged": self.image_set.majority()}
        values = []
        for run, row, score, loss in zip(runs, rows, scores, losses, strict=True):
            measured = (score, loss) if row.status == "ok" else (instead.get(row.status), None)
            values.append((reading, run.seed, *measured, row.status, str(run.lr_max), ""))
        return pd.DataFrame(values, columns=READING_COLUMNS).astype({"accuracy": float, "loss": float})
