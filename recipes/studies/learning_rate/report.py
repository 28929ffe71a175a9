"""Rebuilds the tables, the figure and the text of `lrlab learning-rate` from its stored runs. Never trains."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.figures import plots
from lrlab.recipes.kitchen.stats.intervals import mean_interval
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.store.reading import failures, not_failed, stored_runs
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import percent
from lrlab.recipes.studies.learning_rate import figure
from lrlab.recipes.studies.learning_rate.diagnosis import RULE, diagnose, guessing_loss, majority
from lrlab.recipes.studies.learning_rate.tutorial_numbers import tutorial_rows

TUTORIALS_ARCH = "vgg16_bn"


@dataclass
class Answer:
    "`runs` and `epochs` as DESIGN.md has them, `runs` with the diagnosis of each; `summary` one row an arm."

    runs: pd.DataFrame
    epochs: pd.DataFrame
    summary: pd.DataFrame
    text: str


def redraw(store: Store) -> Answer:
    "Tables, figure and text from the stored runs alone."
    config = store.manifest.to_dict()
    runs, epochs = stored_runs(store)
    guess = guessing_loss(list(config["data"]["counts"]["train"].values()))
    steps = {run_id: store.steps(run_id) for run_id in runs.run_id}
    words = [
        diagnose(epochs[epochs.run_id == row.run_id], steps[row.run_id].loss, guess, row.status != "ok")
        if row.status != "failed"
        else "failed"
        for row in runs.itertuples()
    ]
    runs = runs.assign(diagnosis=words)
    for name, table in {"runs": runs, "epochs": epochs}.items():
        write_atomically(store.out / f"{name}.csv", table.to_csv(index=False))
    lost, runs = failures(runs), not_failed(store, runs)
    summary = summarize(runs)
    write_atomically(store.out / "summary.csv", summary.to_csv(index=False))
    title = finding(summary)
    plots.save(figure.draw(runs, epochs, steps, summary, config, guess, title), store.out / "learning_rate.png")
    beside = _beside_the_tutorial(epochs, config) if config["question"]["arch"] == TUTORIALS_ARCH else []
    if beside:
        write_atomically(store.out / "tutorial.txt", "\n".join([*beside, ""]))
    text = "\n".join([*lost, _text(summary, beside, config, guess, title, store.out)])
    return Answer(runs, epochs, summary, text)


def summarize(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per arm: lr, epochs, n, accuracy and validation loss with 95 % intervals over seeds, the diagnosis.

    n counts the runs with an accuracy, those that the intervals are of; a diverged run is in the diagnosis alone.
    """
    rows = []
    for name, arm in runs.groupby("schedule", sort=False):
        accuracy, loss = (mean_interval(arm[column].dropna()) for column in ("accuracy", "valid_loss"))
        n = int(arm.accuracy.notna().sum())
        rows.append((name, arm.lr_max.iloc[0], arm.budget.iloc[0], n, *accuracy, *loss, majority(arm.diagnosis)))
    columns = "arm lr epochs n accuracy accuracy_low accuracy_high loss loss_low loss_high diagnosis".split()
    return pd.DataFrame(rows, columns=columns)


def finding(summary: pd.DataFrame) -> str:
    "The answer in one sentence."
    said = []
    for row in summary[summary.arm != "right"].itertuples():
        said.append(f"{row.arm} ({float(row.lr):g} × {row.epochs}): {row.diagnosis}, {_percent(row.accuracy)}")
    right = summary[summary.arm == "right"].iloc[0] if (summary.arm == "right").any() else None
    own = (
        "" if right is None else f"LR {float(right.lr):g} × {right.epochs} epochs reaches {_percent(right.accuracy)}; "
    )
    return own + "; ".join(said)


def _percent(accuracy: float) -> str:
    return "no accuracy" if pd.isna(accuracy) else f"{accuracy:.1%}"


def _text(summary: pd.DataFrame, beside: list[str], config: dict, guess: float, title: str, out: Path) -> str:
    head = f"{'arm':<10} {'lr':>7} {'epochs':>6} {'n':>2}  {'accuracy % (95 % interval)':<27}{'validation loss':<27} "
    head += "diagnosis"
    lines = [head, "-" * len(head)]
    for row in summary.itertuples():
        accuracy = percent(row.accuracy, row.accuracy_low, min(row.accuracy_high, 1.0))
        loss = "-" if pd.isna(row.loss) else f"{row.loss:.3g}"
        loss += "" if pd.isna(row.loss_low) else f" ({max(row.loss_low, 0):.3g} to {row.loss_high:.3g})"
        lines.append(f"{row.arm:<10} {row.lr:>7} {row.epochs:>6} {row.n:>2}  {accuracy:<27}{loss:<27} {row.diagnosis}")
    majority_share = config["data"]["majority"]
    lines += ["", f"Always answering the most frequent class: {majority_share:.1%}; guessing loss {guess:.3f}."]
    lines += ["How the diagnosis is made:", *(f"  {line}" for line in RULE.splitlines())]
    lines += ["", *beside] if beside else []
    return "\n".join([*lines, "", title + ".", f"Figure: {out / 'learning_rate.png'}"])


def _beside_the_tutorial(epochs: pd.DataFrame, config: dict) -> list[str]:
    "The published runs, and what the same rule says about them, beside ours of the same LR after the same epochs."
    rows, guess = tutorial_rows(), float(np.log(2))  # its two classes are as good as equally frequent
    lines = ["The tutorial's rows (fastai 1, MNIST 3 or 7, 28 px, 1 run) beside ours, same LR, same epoch:"]
    if config["question"]["data"] != "mnist_sample":
        counts, title = config["data"]["counts"]["train"], config["data"]["title"]
        lines.append(
            f"Ours are other data ({title}: {sum(counts.values())} training images, the tutorial had 11,548), so "
            "compare how the runs behave, not their levels."
        )
    head = f"{'lr':>7} {'epoch':>5}  {'their loss':>10} {'their acc %':>11} {'their diagnosis':<16} "
    head += f"{'our loss':>9} {'our acc %':>9}  n"
    lines += [head, "-" * len(head)]
    for (lr, length), run in rows.groupby(["lr", "epochs"], sort=False):
        word = diagnose(run, np.empty(0), guess)
        for theirs in run.itertuples():
            if theirs.epoch not in {1, 2, 4, 8, 10, 20, length}:
                continue
            ours = epochs[(epochs.lr_max.astype(float) == lr) & (epochs.epoch == theirs.epoch)]
            ours = ours[(ours.schedule == "too short") == (length == 1)]
            ours = ours.drop_duplicates("seed")  # "right" and "too long" are the same run as far as both go
            shown = f"{'-':>9} {'-':>9}  0"
            if len(ours):
                shown = f"{ours.valid_loss.mean():>9.4g} {100 * ours.accuracy.mean():>9.2f}  {len(ours)}"
            said = word if theirs.epoch == length else ""
            published = f"{theirs.valid_loss:>10.4f} {100 * theirs.accuracy:>11.2f} {said:<16}"
            lines.append(f"{lr:>7g} {theirs.epoch:>5}  {published} {shown}")
    return lines
