"""Rebuilds the figure and the text of `lrlab one-cycle` from its stored tables. Never trains."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import text_table
from lrlab.recipes.studies.one_cycle import figure


@dataclass
class OneCycleRun:
    "The tables `epochs`, `steps` (as HyperHistory records them) and `confusion` (counts, true class by row) or None."

    epochs: pd.DataFrame
    steps: pd.DataFrame
    confusion: pd.DataFrame | None
    text: str


def redraw(store: Store) -> OneCycleRun:
    "Write one_cycle.png from epochs.csv, steps.csv and confusion.csv. Raises UserError if they are not there."
    if not store.has("epochs", "steps"):
        raise UserError(f"{store.out}: no finished run yet; the same command continues")
    epochs, steps = map(store.table, ("epochs", "steps"))
    confusion = store.table("confusion", index_col=0) if store.has("confusion") else None
    style.save(figure.draw(epochs, steps, confusion, store.manifest.to_dict()), store.out / "one_cycle.png")
    return OneCycleRun(epochs, steps, confusion, _text(epochs, confusion, store.manifest, store.out))


def _text(epochs: pd.DataFrame, confusion: pd.DataFrame | None, manifest: Manifest, out: Path) -> str:
    measure = Measure.of_question(manifest.question)
    values = epochs[measure.column()]
    shown = {} if measure.name == "loss" else {measure.label: list(map(measure.with_unit, values))}
    rows = [
        {"epoch": row.epoch, "train loss": f"{row.train_loss:.4f}", "valid loss": f"{row.valid_loss:.4f}"}
        | {name: column[i] for name, column in shown.items()}
        for i, row in enumerate(epochs.itertuples())
    ]
    last, majority = epochs.iloc[-1], figure.majority(confusion, measure)
    answer = f"{_sentence_start(measure)}{measure.with_unit(values.iloc[-1])} after the last epoch"
    answer += f"; always answering the most frequent class: {measure.with_unit(majority)}." if majority else "."
    if not np.isfinite(last.valid_loss):
        answer = f"It diverged: the loss is not a number. lr_max = {manifest.lr_max} is too high for this model."
    return "\n".join([text_table(rows), "", answer, *_lr_words(manifest), f"Figure: {out / 'one_cycle.png'}"])


def _sentence_start(measure: Measure) -> str:
    return "" if measure.name == "accuracy" else f"Validation {measure.label}: "


def _lr_words(manifest: Manifest) -> list[str]:
    "The LR that was used, and what lr_find suggests."
    found, used = LRSuggestion.of_config(manifest.to_dict()), manifest.lr_max
    if used is None:
        return []
    distance = found.distance(LearningRate.parse(used).peak)
    return [f"Used: lr_max = {used}, {distance}." if distance else f"Used: lr_max = {used}; lr_find suggests {found}."]
