"""Rebuilds the tables, the figure and the text of `lrlab learning-rate` from its stored runs. Never trains."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.stats.baseline import majority_accuracy, nothing_learned
from lrlab.recipes.kitchen.stats.intervals import mean_interval
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.reading import failures, not_failed, stored_runs
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import plural, show_share, text_table
from lrlab.recipes.studies.learning_rate import figure
from lrlab.recipes.studies.learning_rate.diagnosis import RULE, diagnose, guessing_loss, majority
from lrlab.recipes.studies.learning_rate.tutorial import ARCH as TUTORIALS_ARCH
from lrlab.recipes.studies.learning_rate.tutorial import beside_the_tutorial


@dataclass
class Answer:
    "`runs` and `epochs` are runs.csv and epochs.csv, `runs` with the diagnosis of each; `summary` has one row per arm."

    runs: pd.DataFrame
    epochs: pd.DataFrame
    summary: pd.DataFrame
    verdict: str  # the answer in one sentence
    text: str


def redraw(store: Store) -> Answer:
    "Tables, figure and text from the stored runs alone."
    config = store.manifest.to_dict()
    runs, epochs = stored_runs(store)
    guess, measure = _guessing_loss(store.manifest), Measure.of_question(config["question"])
    steps = {run_id: store.steps(run_id) for run_id in runs.run_id}
    words = [
        diagnose(epochs[epochs.run_id == row.run_id], steps[row.run_id].loss, guess, row.status != "ok")
        if row.status != "failed"
        else "failed"
        for row in runs.itertuples()
    ]
    runs = runs.assign(diagnosis=words)
    store.write_tables(runs=runs, epochs=epochs)
    lost, runs = failures(runs), not_failed(store, runs)
    summary = summarize(runs, measure)
    store.write_tables(summary=summary)
    title = nothing_learned(summary[measure.name], majority_accuracy(config, measure), "arm") or finding(
        summary, measure
    )
    style.save(figure.draw(runs, epochs, steps, summary, config, guess, title), store.out / "learning_rate.png")
    beside = beside_the_tutorial(epochs, config) if config["question"]["arch"] == TUTORIALS_ARCH else []
    if beside:
        write_atomically(store.out / "tutorial.txt", "\n".join([*beside, ""]))
    text = "\n".join([*lost, _text(summary, measure, beside, config, guess, title, store.out)])
    return Answer(runs, epochs, summary, f"{title}.", text)


def _guessing_loss(manifest: Manifest) -> float:
    "Of the best constant answer: the shares of the classes of images, or what was measured on a Learner."
    if manifest.guessing_loss is not None:
        return manifest.guessing_loss
    return guessing_loss(list(manifest.data["counts"]["train"].values()))


def summarize(runs: pd.DataFrame, measure: Measure = Measure()) -> pd.DataFrame:  # noqa: B008  (frozen)
    """One row per arm: lr, epochs, n, accuracy and validation loss with 95 % intervals over seeds, the diagnosis.

    Another measure that judges stands in place of the accuracy. n counts the runs that have it, those that the
    intervals are of; a diverged run is in the diagnosis alone.
    """
    shown = {measure.name: measure.column(), "loss": "valid_loss"}
    rows = []
    for name, arm in runs.groupby("schedule", sort=False):
        n = int(arm[measure.column()].notna().sum())
        row = {"arm": name, "lr": arm.lr_max.iloc[0], "epochs": arm.budget.iloc[0], "n": n}
        for label, column in shown.items():
            ends = mean_interval(arm[column].dropna().astype(float))
            row |= dict(zip((label, f"{label}_low", f"{label}_high"), ends, strict=True))
        rows.append(row | {"diagnosis": majority(arm.diagnosis)})
    return pd.DataFrame(rows)


def finding(summary: pd.DataFrame, measure: Measure = Measure()) -> str:  # noqa: B008  (frozen)
    "The arm with the best mean, in at most twelve words."
    finished = summary[summary[measure.name].notna()]
    if finished.empty:
        return "No run finished"
    means = finished.set_index("arm")[measure.name]
    best = means.idxmin() if measure.lower_is_better else means.idxmax()
    what, value = _what(finished, best, measure)
    if means.get("right") == means[best]:
        what, value = _what(finished, "right", measure)
        word = "best" if (means == means[best]).sum() == 1 else "as good as any"
        return f"{what} is {word} here: {value}"
    gain = abs(means[best] - means.get("right", np.nan))
    if best == "too long" and gain <= measure.margin(None, means[best]):
        (what, value), longer = _what(finished, "right", measure), finished.set_index("arm").epochs[best]
        return f"{what} is enough: {value}; {longer} gain {measure.show(gain)} {measure.unit}"
    return f'"{best}" is best: {what}, {value}'


def _what(summary: pd.DataFrame, arm: str, measure: Measure) -> tuple[str, str]:
    "The LR and the length of an arm, and its mean."
    row = summary.set_index("arm").loc[arm]
    mean = row[measure.name]
    value = measure.with_unit(mean) if measure.name == "accuracy" else f"{measure.label} {measure.show(mean)}"
    return f"LR {format_number(float(row.lr))} for {plural(int(row.epochs), 'epoch')}", value


def _text(
    summary: pd.DataFrame, measure: Measure, beside: list[str], config: dict, guess: float, title: str, out: Path
) -> str:
    header = f"{measure.label}{' %' * measure.is_share} (95 %)"
    rows = [
        {
            "arm": row["arm"],
            "lr": format_number(float(row.lr)),
            "epochs": row.epochs,
            "n": row.n,
            **({} if measure.name == "loss" else {header: measure.show(*_interval(row, measure))}),
            "validation loss": _loss(row),
            "diagnosis": row.diagnosis,
        }
        for _, row in summary.iterrows()
    ]
    lines, most = [text_table(rows), ""], config["data"].get("majority")
    start = f"Always answering the most frequent class: {show_share(most)}; g" if most else "G"
    lines += [f"{start}uessing loss {guess:.3f}."]
    lines += ["How the diagnosis is made:", *(f"  {line}" for line in RULE.splitlines())]
    lines += ["", *beside] if beside else []
    return "\n".join([*lines, "", title + ".", f"Figure: {out / 'learning_rate.png'}"])


def _interval(row: pd.Series, measure: Measure) -> list[float]:
    "A mean and its interval. An error cannot be negative, so neither can the end of its interval."
    mean, low, high = (row[f"{measure.name}{end}"] for end in ("", "_low", "_high"))
    return [mean, max(low, 0.0) if measure.lower_is_better and mean >= 0 else low, high]


def _loss(row) -> str:
    if pd.isna(row.loss):
        return "-"
    interval = "" if pd.isna(row.loss_low) else f" ({max(row.loss_low, 0):.3g} to {row.loss_high:.3g})"
    return f"{row.loss:.3g}{interval}"
