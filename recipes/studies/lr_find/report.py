"""Rebuilds the figure and the text of `lrlab lr-find` from its stored curves. Never trains."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.captions import workload_caption
from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import listed, text_table
from lrlab.recipes.studies.lr_find import figure


@dataclass
class RangeTests:
    "`curves`: lr, loss, seed; `suggestions`: seed, rule, lr; `lr` and `lr_range`: of the valley rule over seeds."

    curves: pd.DataFrame
    suggestions: pd.DataFrame
    lr: float | None
    lr_range: list[float]
    text: str


def redraw(store: Store) -> RangeTests:
    "Write lr_find.png from lr_find.csv and suggestions.csv. Raises UserError if they are not there."
    if not store.has("lr_find", "suggestions"):
        raise UserError(f"{store.out}: no finished test yet; the same command continues")
    curves, table = map(store.table, ("lr_find", "suggestions"))
    valley = table[table.rule == "valley"].set_index("seed").lr
    found = LRSuggestion({int(seed): valley.get(seed) for seed in curves.seed.unique()})
    caption = workload_caption(store.manifest.to_dict())
    style.save(figure.draw(curves, table, found, caption), store.out / "lr_find.png")
    return RangeTests(curves, table, found.lr, found.range, _text(table, found, store.out))


def _text(table: pd.DataFrame, found: LRSuggestion, out: Path) -> str:
    rows = [
        {
            "rule": rule,
            "lowest": _rounded(lrs.min()),
            "median": _rounded(np.exp(np.log(lrs).median())),  # on a log axis, as the suggestion's
            "highest": _rounded(lrs.max()),
            "n": len(lrs),
        }
        for rule, lrs in table.groupby("rule", sort=False).lr
    ]
    answer = "No rule suggests an LR: the loss never fell. Look at the figure."
    if found.lr:
        answer = f"lr_find suggests {found}: the valley rule, median over seeds.\n"
        answer += f"Use it: lr_max = {format_number(found.lr)}"
    silent = [rule for rule in figure.RULES if rule not in set(table.rule)]
    told = [text_table(rows)] if rows else []
    if rows and silent:
        told.append(f"{listed(silent)} {'suggests' if len(silent) == 1 else 'suggest'} no LR.")
    return "\n".join([*told, "", answer, f"Figure: {out / 'lr_find.png'}"]).lstrip()


def _rounded(lr: float) -> str:
    return format_number(float(f"{lr:.1e}"))
