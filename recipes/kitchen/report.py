"""Rebuilds the tables and figures of a results folder from its runs. Never trains."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lrlab.recipes.kitchen import answer, plots
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.options import parse_lr
from lrlab.recipes.kitchen.stats import summarize
from lrlab.recipes.kitchen.store import Store, write_atomically


@dataclass
class Result:
    "The answer of a results folder: `runs` and `summary` are DataFrames, `plot()` shows the figure in a notebook."

    out: Path
    runs: pd.DataFrame
    summary: pd.DataFrame
    text: str

    def plot(self):
        from IPython.display import Image

        return Image(filename=str(self.out / "comparison.png"))


def redraw(store: Store) -> Result:
    "runs.csv, epochs.csv, summary.csv, comparison.png and schedules.png from the runs that are complete."
    config = store.config
    runs, epochs = store.tables()
    if runs.empty:
        raise UserError(f"{store.out}: no finished run to report")
    question = config["question"]
    reference = runs.schedule.iloc[0]
    summary = summarize(runs, reference)
    write_atomically(store.out / "summary.csv", summary.to_csv(index=False))

    curves = lr_curves(store, runs)
    title = answer.finding(summary, reference)
    plots.save(
        plots.comparison(runs, epochs, summary, curves, title, caption(config, runs), reference),
        store.out / "comparison.png",
    )
    if curves:
        title = f"The learning rate of every layer group: {len(curves)} schedules over {question['epochs']} epochs"
        note = (
            f"{_where(config)}; lr_max {runs.lr_max.iloc[0]}; recorded at every optimizer step; 0 is at the lower edge"
        )
        plots.save(plots.schedule_curves(curves, config["groups"], title, note), store.out / "schedules.png")
    return Result(store.out, runs, summary, text(store, config, runs, summary, reference))


def lr_curves(store: Store, runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    "For every schedule the recorded steps of its longest run: a diverged run shows only the beginning of its curve."
    longest = runs[runs.steps > 0].sort_values("steps", ascending=False, kind="stable").drop_duplicates("schedule")
    run_of = dict(zip(longest.schedule, longest.run_id, strict=True))
    return {s: store.steps(run_of[s]) for s in runs.schedule.unique() if s in run_of}


def caption(config: dict, runs: pd.DataFrame) -> str:
    "n, data, budget and lr_max of a figure, and how to read it."
    n = runs.seed.nunique()
    status = runs.status.value_counts()
    lost = "".join(f", {status[s]} {s}" for s in ("diverged", "failed") if s in status)
    groups = config["groups"]
    spread = "" if len(groups) > 1 else " (trained from scratch: one layer group, so a slice means its upper end)"
    return (
        f"{_where(config)}. {n} seeds per schedule ({len(runs)} runs{lost}), {config['question']['epochs']} epochs of "
        f"{_steps_per_epoch(runs)} steps. Untuned: every schedule used lr_max = {runs.lr_max.iloc[0]}{spread}. "
        f"Bands and bars: 95 % t intervals over seeds; verdicts from paired differences, Holm-corrected."
    )


def text(store: Store, config: dict, runs: pd.DataFrame, summary: pd.DataFrame, reference: str) -> str:
    "What the terminal shows at the end: the table, what is tied, and the line of code that uses the answer."
    best = answer.recommended(summary)
    planned = len(config.get("plan", runs))
    lines = ["", answer.finding(summary, reference) + ".", "", answer.ranked_table(summary, reference), ""]
    lines.append(answer.ties(summary, reference))
    if best:
        schedule, lr_max = config["question"]["schedules"][best], parse_lr(runs.lr_max.iloc[0])
        lines += [
            f"The highest mean, {best}, in your own code:",
            "    " + answer.code_line(schedule, lr_max, config["question"]["epochs"]),
        ]
    if len(runs) < planned:
        lines.append(f"{planned - len(runs)} of {planned} runs are still to be done: the same command continues.")
    lines.append(f"Figures and tables: {store.out / 'comparison.png'} and beside it.")
    return "\n".join(lines)


def _where(config: dict) -> str:
    question, images = config["question"], config["data"]["images"]
    return (
        f"{config['data'].get('title', question['data'])}, {images['train']} training and {images['valid']} validation "
        f"images of {question['size']} px (the most frequent class alone: {config['data']['majority']:.1%}), "
        f"{question['arch']}"
    )


def _steps_per_epoch(runs: pd.DataFrame) -> int:
    finished = runs[(runs.status == "ok") & (runs.epochs > 0)]
    return int((finished.steps // finished.epochs).max()) if len(finished) else 0
