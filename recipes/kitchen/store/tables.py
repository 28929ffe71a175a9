"""The tables of a results folder: their columns, and the types of what is written into them."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields

import pandas as pd


@dataclass(frozen=True)
class RunKey:
    "Which run a row belongs to. The column `schedule` holds the arm: what is compared."

    run_id: str
    schedule: str
    lr_max: str  # as LearningRate prints it
    seed: int

    def label(self, table: pd.DataFrame) -> pd.DataFrame:
        "`table` with the key in front."
        rest = table.drop(columns=list(KEY_COLUMNS), errors="ignore")
        for position, (column, value) in enumerate(asdict(self).items()):
            rest.insert(position, column, value)
        return rest


@dataclass(frozen=True)
class RunRow(RunKey):
    """One row of runs.csv.

    Losses and accuracies are those after the last epoch, and None for a run that did not finish. `diverged_step` is the
    step at which the divergence began. `measures` are further ones, by the name of their column: the Brier score, and
    the metrics of a Learner of the user's own.
    """

    status: str = "ok"  # ok, diverged or failed
    epochs: int = 0  # finished
    steps: int = 0  # optimizer steps made
    train_loss: float | None = None
    valid_loss: float | None = None
    accuracy: float | None = None
    best_accuracy: float | None = None
    best_epoch: int | None = None
    diverged_step: int | None = None
    seconds: float = 0.0
    error: str | None = None  # why it did not finish, or what was needed to finish it
    budget: int = 0  # epochs planned
    test_loss: float | None = None
    test_accuracy: float | None = None
    measures: dict[str, float | None] = field(default_factory=dict)


KEY_COLUMNS = [f.name for f in fields(RunKey)]
RUN_COLUMNS = [f.name for f in fields(RunRow) if f.name != "measures"]  # a table has the measures' columns after them
EPOCH_COLUMNS = [*KEY_COLUMNS, *"epoch step lr train_loss valid_loss accuracy seconds".split()]
STEP_COLUMNS = "step epoch group lr mom loss".split()
CYCLE_COLUMNS = [*KEY_COLUMNS, *"cycle step epoch valid_loss accuracy".split()]
RESERVED = {"loss", *RUN_COLUMNS, *EPOCH_COLUMNS} - {"accuracy"}  # columns that no metric of a Learner may take
TEXT_COLUMNS = {"run_id": str, "schedule": str, "lr_max": str}  # pandas would read numbers from them


@dataclass
class RunResult:
    """A finished run. `extra` maps the file names of tables that only one recipe has to the tables.

    `predictions` is the content of predictions.npz.
    """

    row: RunRow
    epochs: pd.DataFrame  # EPOCH_COLUMNS, then the Learner's other metrics
    steps: pd.DataFrame  # STEP_COLUMNS
    cycles: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=CYCLE_COLUMNS))
    extra: dict[str, pd.DataFrame] = field(default_factory=dict)
    predictions: bytes | None = None

    def files(self) -> dict[str, bytes]:
        "What the run's folder holds beside run.json, by file name."
        tables = {"epochs.csv": self.epochs, "steps.csv": self.steps}
        tables |= ({"cycles.csv": self.cycles} if len(self.cycles) else {}) | self.extra
        files = {name: table.to_csv(index=False).encode() for name, table in tables.items()}
        return files | ({"predictions.npz": self.predictions} if self.predictions else {})


def run_table(rows: Iterable[RunRow]) -> pd.DataFrame:
    "The rows as runs.csv has them: RUN_COLUMNS, then a column for every further measure."
    rows = list(rows)
    names = dict.fromkeys(name for row in rows for name in row.measures)
    table = pd.DataFrame([[getattr(row, name) for name in RUN_COLUMNS] for row in rows], columns=RUN_COLUMNS)
    return table.assign(**{name: [row.measures.get(name) for row in rows] for name in names})


def concat(tables: Iterable[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    "The tables one below the other. Without any rows, an empty table with these columns."
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)


def by_column(loss: float, names: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    """The loss and the metrics by the names of their columns; an error rate becomes an accuracy.

    The second of two metrics with the same name is numbered.

    >>> by_column(0.5, ["error_rate", "_rmse", "seconds", "rmse"], [0.25, 2.0, 3.0, 4.0])
    {'loss': 0.5, 'accuracy': 0.75, 'rmse': 2.0, 'metric_seconds': 3.0, 'rmse_2': 4.0}
    """
    columns = {"loss": float(loss)}
    for name, value in zip(names, values, strict=True):
        is_rate = name == "error_rate" and "accuracy" not in names
        column = "accuracy" if is_rate else name.lstrip("_")  # fastai calls its rmse _rmse
        column = f"metric_{column}" if column in RESERVED else column
        numbered = (f"{column}_{n}" for n in range(2, 3 + len(names)))
        free = next(name for name in (column, *numbered) if name not in columns)
        columns[free] = 1.0 - float(value) if is_rate else float(value)
    return columns
