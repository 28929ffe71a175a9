"""Rebuilds the figure and the text of `lrlab lr-find` from its stored curves. Never trains."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.captions import workload_caption
from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import text_table
from lrlab.recipes.studies.lr_find import figure


@dataclass
class RangeTests:
    "`curves`: lr, loss, seed; `suggestions`: seed, rule, lr; `lr`: their median, by the valley rule where it has one."

    curves: pd.DataFrame
    suggestions: pd.DataFrame
    lr: float | None
    text: str


def redraw(store: Store) -> RangeTests:
    "Write lr_find.png from lr_find.csv and suggestions.csv. Raises UserError if they are not there."
    if not (store.out / "suggestions.csv").exists():
        raise UserError(f"{store.out}: no finished test yet; the same command continues")
    curves, table = (pd.read_csv(store.out / f"{name}.csv") for name in ("lr_find", "suggestions"))
    manifest = store.manifest
    lr, ends = manifest.lr_find, manifest.lr_find_range
    caption = workload_caption(manifest.to_dict())
    style.save(figure.draw(curves, table, lr, ends, caption), store.out / "lr_find.png")
    return RangeTests(curves, table, lr, _text(table, lr, ends, store.out))


def _text(table: pd.DataFrame, lr: float | None, ends: list[float], out: Path) -> str:
    rows = [
        {"rule": rule, "lowest": f"{lrs.min():.1e}", "median": f"{lrs.median():.1e}", "highest": f"{lrs.max():.1e}",
         "n": len(lrs)}
        for rule, lrs in table.groupby("rule", sort=False).lr
    ]  # fmt: skip
    answer = "No rule suggests an LR: the loss never fell. Look at the figure."
    if lr:
        answer = f"Use it: lr_max = {format_number(lr)}, the median over seeds."
        if ends and ends[0] < ends[1]:
            answer += f" Single seeds suggest {format_number(ends[0])} to {format_number(ends[1])}."
    return "\n".join([text_table(rows) if rows else "", "", answer, f"Figure: {out / 'lr_find.png'}"]).lstrip()
