"""Rebuilds the tables, the figure and the text of `lrlab transfer-vs-scratch` from its stored runs. Never trains."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.errors import NothingFinished
from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.learning_rates import LearningRate, format_number
from lrlab.recipes.kitchen.stats.baseline import majority_accuracy, nothing_learned
from lrlab.recipes.kitchen.stats.intervals import mean_interval
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.store.reading import failures, rewrite_runs, why_none_finished
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import percent, plural, show_share, text_table
from lrlab.recipes.studies.transfer_vs_scratch import figure

STARTS = ("pretrained", "scratch")


@dataclass
class Answer:
    "`cells`: start, lr, epochs, n, accuracy and its interval, steps, seconds; `runs` is runs.csv."

    cells: pd.DataFrame
    runs: pd.DataFrame
    verdict: str  # the answer in one sentence
    text: str


def redraw(store: Store) -> Answer:
    "Tables, figure and text from the stored runs alone."
    runs, _, trained = rewrite_runs(store)
    cells = summarize(trained)
    store.write_tables(cells=cells)
    if not cells.n.any():
        why = why_none_finished(runs, "lower `lrs` may help")
        raise NothingFinished(f"{store.out}: no run of either start finished; {why}")
    config = store.manifest.to_dict()
    guessed = majority_accuracy(config, Measure())
    title = nothing_learned(cells.accuracy, guessed, "run") or finding(cells, guessed)
    style.save(figure.draw(cells, config, title), store.out / "transfer_vs_scratch.png")
    return Answer(cells, runs, f"{title}.", "\n".join([*failures(runs), _text(cells, title, guessed, store.out)]))


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


def finding(cells: pd.DataFrame, majority: float = 0.0) -> str:
    """What an accuracy that both starts reach costs each of them, in at most twelve words.

    An accuracy of at most `majority`, that of always answering the most frequent class, is no accuracy to reach.
    """
    tops = {start: best(cells, start) for start in STARTS}
    lost = [start for start, row in tops.items() if row is None]
    if lost:
        return f"No {' or '.join(lost)} run finished"
    target = common_target(cells)
    if target <= majority:
        learned = next(start for start in STARTS if tops[start].accuracy > majority)
        return f"Only {learned} models beat the most frequent class"
    pretrained, scratch = (cheapest(cells, start, target) for start in STARTS)
    needed = f"{_epochs(pretrained.epochs)} pretrained, {_epochs(scratch.epochs)} from scratch"
    return f"To reach {show_share(target)}: {needed}"


def details(cells: pd.DataFrame, majority: float = 0.0) -> list[str]:
    "The best cell of each start, and what the common accuracy costs in steps."
    tops = {start: best(cells, start) for start in STARTS}
    lines = [
        f"{start}: nothing finished." if top is None else _cell(start, top, cells.lr) for start, top in tops.items()
    ]
    target = common_target(cells)
    if target <= majority:
        return lines
    rows = {start: row for start in STARTS if (row := cheapest(cells, start, target)) is not None}
    needs = [f"{start} {_epochs(row.epochs)} ({row.steps:.0f} steps)" for start, row in rows.items()]
    return [*lines, f"To reach {show_share(target)}: {', '.join(needs)}."]


def _cell(start: str, row: pd.Series, lrs: pd.Series) -> str:
    edge = " (the grid's edge)" if lrs.nunique() > 2 and row.lr in (lrs.min(), lrs.max()) else ""
    accuracy = percent(row.accuracy, row.accuracy_low, row.accuracy_high)
    return f"{start}: best at LR {format_number(row.lr)}{edge} for {_epochs(row.epochs)}, {accuracy} %."


def _epochs(n: float) -> str:
    return plural(int(n), "epoch")


def _text(cells: pd.DataFrame, title: str, guessed: float, out: Path) -> str:
    rows = [
        {
            "start": row.start,
            "lr": format_number(row.lr),
            "epochs": row.epochs,
            "n": row.n,
            "accuracy % (95 %)": percent(row.accuracy, row.accuracy_low, row.accuracy_high),
            "steps": row.steps,
            "seconds": f"{row.seconds:.0f}",
        }
        for row in cells.itertuples()
    ]
    end = [f"{title}.", *details(cells, guessed), f"Figure: {out / 'transfer_vs_scratch.png'}"]
    return "\n".join([text_table(rows), "", *end])
