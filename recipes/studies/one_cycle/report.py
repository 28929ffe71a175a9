"""Rebuilds the figure and the text of `lrlab one-cycle` from its stored tables. Never trains."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import text_table
from lrlab.recipes.studies.one_cycle import figure


@dataclass
class OneCycleRun:
    "The tables `epochs`, `steps` (as HyperHistory records them) and `confusion` (counts, true class by row)."

    epochs: pd.DataFrame
    steps: pd.DataFrame
    confusion: pd.DataFrame
    text: str


def redraw(store: Store) -> OneCycleRun:
    "Write one_cycle.png from epochs.csv, steps.csv and confusion.csv. Raises UserError if they are not there."
    if not (store.out / "confusion.csv").exists():
        raise UserError(f"{store.out}: no finished run yet; the same command continues")
    tables = {name: pd.read_csv(store.out / f"{name}.csv") for name in ("epochs", "steps")}
    confusion = pd.read_csv(store.out / "confusion.csv", index_col=0)
    fig = figure.draw(**tables, confusion=confusion, config=store.manifest.to_dict())
    style.save(fig, store.out / "one_cycle.png")
    return OneCycleRun(**tables, confusion=confusion, text=_text(tables["epochs"], store.manifest, store.out))


def _text(epochs: pd.DataFrame, manifest: Manifest, out: Path) -> str:
    rows = [
        {"epoch": row.epoch, "train loss": f"{row.train_loss:.4f}", "valid loss": f"{row.valid_loss:.4f}",
         "accuracy": f"{row.accuracy:.1%}"}
        for row in epochs.itertuples()
    ]  # fmt: skip
    last, majority = epochs.iloc[-1], manifest.data["majority"]
    answer = f"{last.accuracy:.1%} after the last epoch; always answering the most frequent class: {majority:.1%}."
    if not np.isfinite(last.valid_loss):
        answer = f"It diverged: the loss is not a number. lr_max = {manifest.lr_max} is too high for this model."
    return "\n".join([text_table(rows), "", answer, *_lr_words(manifest), f"Figure: {out / 'one_cycle.png'}"])


def _lr_words(manifest: Manifest) -> list[str]:
    "The LR that was used, and what lr_find suggests."
    found, used = LRSuggestion.of_config(manifest.to_dict()), manifest.lr_max
    if used is None:
        return []
    distance = found.distance(LearningRate.parse(used).peak)
    return [f"Used: lr_max = {used}, {distance}." if distance else f"Used: lr_max = {used}; lr_find suggests {found}."]
