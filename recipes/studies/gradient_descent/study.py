"""From the question of `lrlab gradient-descent` to its answer: descend, keep the counts, draw and tell."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import percent, text_table
from lrlab.recipes.studies.gradient_descent import figure as descent_figure
from lrlab.recipes.studies.gradient_descent.descent import Question, details, finding, measure, tune
from lrlab.recipes.studies.gradient_descent.surfaces import SURFACES


@dataclass
class Answer:
    "`shares`: surface, schedule, lr_max, n, share, low, high, diff, diff_low, diff_high; `tuning`: the LR grid."

    shares: pd.DataFrame
    tuning: pd.DataFrame
    text: str


def answer(question: Question, out: Path | str, fresh: bool = False) -> Answer:
    "Descend (or read what the folder has), draw and tell; writes tuning.csv, shares.csv and gradient_descent.png."
    with Store(out) as store:
        store.begin(Manifest("gradient-descent", question.to_dict(), **environment()), fresh)
        tuning = store.once("tuning", lambda: tune(question))
        shares = store.once("shares", lambda: measure(question, tuning))
        style.save(descent_figure.draw(question, shares, tuning), store.out / "gradient_descent.png")
        return Answer(shares, tuning, _text(shares, store.out))


def _text(shares: pd.DataFrame, out: Path) -> str:
    blocks, first = [], shares.schedule.iloc[0]
    for name in SURFACES:
        rows = [
            {
                f"global minimum {name}": "(before any step)" if row.schedule == "start" else row.schedule,
                "lr_max": "" if np.isnan(row.lr_max) else format_number(row.lr_max),
                "share % (95 %)": percent(row.share, row.low, row.high),
                f"points vs {first}": _difference(row, first),
            }
            for row in shares[shares.surface == name].sort_values("share", ascending=False).itertuples()
        ]
        blocks.append(text_table(rows))
    end = [f"{finding(shares)}.", details(shares), f"Figure: {out / 'gradient_descent.png'}"]
    return "\n\n".join([*blocks, "\n".join(end)])


def _difference(row, first: str) -> str:
    if row.schedule in (first, "start"):
        return "reference" if row.schedule == first else ""
    return percent(row.diff, row.diff_low, row.diff_high, "+")
