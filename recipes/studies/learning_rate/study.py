"""Five ways to choose an LR and a length, side by side: too high, too low, too short, too long, and right."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from lrlab.callbacks import Constant
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.figures import plots
from lrlab.recipes.kitchen.grid.engines import Place
from lrlab.recipes.kitchen.grid.lessons import failures, not_failed, stored_runs
from lrlab.recipes.kitchen.grid.runner import Run
from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.stats.intervals import mean_interval
from lrlab.recipes.kitchen.store.store import Store, write_atomically
from lrlab.recipes.kitchen.workloads import Workload, use_threads
from lrlab.recipes.studies.compare.advice import interval
from lrlab.recipes.studies.compare.study import Kitchen
from lrlab.recipes.studies.learning_rate import figure as lr_lesson_figure
from lrlab.recipes.studies.learning_rate.diagnosis import RULE, diagnose, guessing_loss, majority
from lrlab.recipes.studies.learning_rate.tutorial_numbers import tutorial_rows
from lrlab.recipes.studies.lr_find.study import range_test, suggested_lr

TUTORIALS_ARCH = "vgg16_bn"


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
    lr: float | None  # None: to be found
    high: float
    low: float
    epochs: int
    long: int
    seeds: list[int]
    threads: int = 1

    def to_dict(self, image_set: ImageSet) -> dict:
        workload = self.workload.to_dict(image_set)
        rest = {name: value for name, value in vars(self).items() if name != "workload"}
        return workload | rest | {"lr": "find" if self.lr is None else self.lr}


@dataclass
class Answer:
    "`runs` and `epochs` as DESIGN.md has them, `runs` with the diagnosis of each; `summary` one row an arm."

    runs: pd.DataFrame
    epochs: pd.DataFrame
    summary: pd.DataFrame
    text: str


def answer(question: Question, out: Path | str, jobs: int = 1, fresh: bool = False) -> Answer:
    """Train what is not there yet; write runs.csv, epochs.csv, summary.csv and learning_rate.png.

    With the tutorial's model also tutorial.txt, its published rows beside ours.
    """
    image_set = question.workload.load_images()
    question = replace(question, workload=question.workload.settled(image_set, question.threads))
    question.workload.learner(
        question.seeds[0], image_set
    )  # what cannot be built is refused before anything is written
    with Store(out) as store:
        config = {"recipe": "learning-rate", "question": question.to_dict(image_set), "data": image_set.describe()}
        store.begin(config | environment(), fresh)
        lr = _right_lr(store, question, image_set)
        runs = plan(question, lr)
        store.write_config(store.config | {"plan": [run.run_id for run in runs]})
        Kitchen(store, question.workload, image_set, Place(jobs=jobs), question.threads).train(runs, "runs")
        return redraw(store)


def _right_lr(store: Store, question: Question, image_set) -> float:
    "The given LR, or the suggestion of one LR range test, made once per folder."
    if question.lr is not None:
        return question.lr
    if "lr_find" not in store.config:
        use_threads(question.threads)
        test = range_test(question.workload, question.seeds[0], image_set)
        write_atomically(store.out / "lr_find.csv", test.to_df().to_csv(index=False))
        store.write_config(store.config | {"lr_find": suggested_lr(test)})
    if store.config["lr_find"] is None:
        raise UserError("`lr` find: the LR range test suggests no LR on this data; give `lr` a number")
    check_order(question.low, store.config["lr_find"], question.high, found=True)
    return store.config["lr_find"]


def check_order(low: float, lr: float | None, high: float, found: bool = False) -> None:
    "Raises UserError unless low < lr < high; None, an LR that is still to be found, is left out."
    if low < high if lr is None else low < lr < high:
        return
    right = "" if lr is None else f", the found LR {lr:g}," if found else f" `lr` {lr:g}"
    advice = "; choose another `low` or `high`, with `fresh`" if found else ""
    raise UserError(
        f"`low` {low:g}{right} `high` {high:g}: expected a low, a right and a high LR, in ascending order{advice}"
    )


def plan(question: Question, lr: float) -> list[Run]:
    "Every arm with every seed, seed by seed; the LR stays constant, as in the tutorial."
    arms = {
        "too high": (question.high, question.epochs),
        "too low": (question.low, question.epochs),
        "too short": (lr, 1),
        "too long": (lr, question.long),
        "right": (lr, question.epochs),
    }
    return [Run(name, Constant(), own, s, n) for s in question.seeds for name, (own, n) in arms.items()]


def redraw(store: Store) -> Answer:
    "Tables, figure and text from the stored runs alone."
    config = store.config
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
    plots.save(
        lr_lesson_figure.draw(runs, epochs, steps, summary, config, guess, title), store.out / "learning_rate.png"
    )
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
        accuracy = interval(row.accuracy, row.accuracy_low, min(row.accuracy_high, 1.0))
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
