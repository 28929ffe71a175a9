"""Rebuilds the tables, the figure and the text of `lrlab transfer-vs-scratch` from its stored runs. Never trains."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.errors import NothingFinished
from lrlab.recipes.kitchen.figures import plots
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.stats.intervals import mean_interval
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.store.reading import failures, not_failed, stored_runs
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import percent
from lrlab.recipes.studies.transfer_vs_scratch import figure

STARTS = ("pretrained", "scratch")


@dataclass
class Answer:
    "`cells`: start, lr, epochs, n, accuracy and its interval, steps, seconds; `runs` as DESIGN.md has them."

    cells: pd.DataFrame
    runs: pd.DataFrame
    text: str


def redraw(store: Store) -> Answer:
    "Tables, figure and text from the stored runs alone."
    runs, epochs = stored_runs(store)
    for name, table in {"runs": runs, "epochs": epochs}.items():
        write_atomically(store.out / f"{name}.csv", table.to_csv(index=False))
    cells = summarize(not_failed(store, runs))
    write_atomically(store.out / "cells.csv", cells.to_csv(index=False))
    if not cells.n.any():
        raise NothingFinished(f"{store.out}: no run of either start finished; lower `lrs` may help")
    title = finding(cells)
    plots.save(figure.draw(cells, store.manifest.to_dict(), title), store.out / "transfer_vs_scratch.png")
    return Answer(cells, runs, "\n".join([*failures(runs), _text(cells, title, store.out)]))


def summarize(runs: pd.DataFrame) -> pd.DataFrame:
    "One row a cell; a diverged run counts as no accuracy, and its cell as n without it."
    lr = runs.lr_max.map(lambda text: LearningRate.parse(text).peak)
    rows = []
    for (start, top, budget), own in runs.assign(lr=lr).groupby(["schedule", "lr", "budget"], sort=False):
        accuracy = own.accuracy.dropna()
        mean, low, high = mean_interval(accuracy)
        ends = max(low, 0.0), min(high, 1.0)  # an accuracy, whatever Student's t thinks; nan stays nan
        rows.append((start, top, budget, len(accuracy), mean, *ends, own.steps.max(), own.seconds.mean()))
    columns = "start lr epochs n accuracy accuracy_low accuracy_high steps seconds".split()
    return pd.DataFrame(rows, columns=columns).sort_values(columns[:3], ignore_index=True)


def best(cells: pd.DataFrame, start: str) -> pd.Series | None:
    "The cell with the highest mean accuracy, the shortest of equals; None if no run of this start finished."
    own = cells[(cells.start == start) & cells.accuracy.notna()].sort_values("epochs", kind="stable")
    return own.loc[own.accuracy.idxmax()] if len(own) else None


def cheapest(cells: pd.DataFrame, start: str, target: float) -> pd.Series | None:
    "The cell that reaches `target` in the fewest epochs, and of those the most accurate; None if none does."
    own = cells[(cells.start == start) & (cells.accuracy >= target)]
    own = own[own.epochs == own.epochs.min()]
    return own.loc[own.accuracy.idxmax()] if len(own) else None


def common_target(cells: pd.DataFrame) -> float:
    "The accuracy both starts reach: the lower of their best cells."
    return min((row.accuracy for start in STARTS if (row := best(cells, start)) is not None), default=np.nan)


def finding(cells: pd.DataFrame) -> str:
    "The answer in one sentence."
    said = []
    for start in STARTS:
        row = best(cells, start)
        said.append(f"{start}: nothing finished" if row is None else _cell(start, row, cells.lr))
    target = common_target(cells)
    rows = {start: row for start in STARTS if (row := cheapest(cells, start, target)) is not None}
    needs = [f"{start} {_epochs(row.epochs)} ({row.steps:.0f} steps)" for start, row in rows.items()]
    return f"{'; '.join(said)}. To reach {target:.1%}: {', '.join(needs)}"


def _cell(start: str, row: pd.Series, lrs: pd.Series) -> str:
    ends = "" if pd.isna(row.accuracy_low) else f" ({100 * row.accuracy_low:.1f} to {100 * row.accuracy_high:.1f})"
    edge = ", the grid's edge," if lrs.nunique() > 2 and row.lr in (lrs.min(), lrs.max()) else ""
    return f"{start} best at LR {row.lr:g}{edge} × {_epochs(row.epochs)}: {row.accuracy:.1%}{ends}"


def _epochs(n: float) -> str:
    return f"{n:.0f} epoch" if n == 1 else f"{n:.0f} epochs"


def _text(cells: pd.DataFrame, title: str, out: Path) -> str:
    accuracy = "accuracy % (95 % interval)"
    head = f"{'start':<11} {'lr':>8} {'epochs':>6} {'n':>2}  {accuracy:<27} {'steps':>5}  clock s"
    lines = [head, "-" * len(head)]
    for row in cells.itertuples():
        accuracy = percent(row.accuracy, row.accuracy_low, row.accuracy_high)
        lines.append(
            f"{row.start:<11} {row.lr:>8g} {row.epochs:>6} {row.n:>2}  {accuracy:<27} {row.steps:>5}  {row.seconds:.0f}"
        )
    return "\n".join([*lines, "", title + ".", f"Figure: {out / 'transfer_vs_scratch.png'}"])
