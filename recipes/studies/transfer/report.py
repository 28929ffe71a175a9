"""Rebuilds the tables, the figure and the text of `lrlab transfer` from its stored runs. Never trains."""

from dataclasses import dataclass

import pandas as pd

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.stats.baseline import majority_accuracy, nothing_learned
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.stats.summary import summarize
from lrlab.recipes.kitchen.store.reading import extra_table, failures, rewrite_runs
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import percent, show_share, text_table
from lrlab.recipes.studies.transfer import figure
from lrlab.recipes.studies.transfer.arms import ARMS, against_slice

REFERENCE = "slice"  # the tutorial's own way


@dataclass
class Answer:
    "`runs` and `summary` are runs.csv and summary.csv; `movement`: run_id, schedule, lr_max, seed, group, moved."

    runs: pd.DataFrame
    summary: pd.DataFrame
    movement: pd.DataFrame
    verdict: str  # the answer in one sentence
    text: str


def redraw(store: Store) -> Answer:
    "Tables, figure and text from the stored runs alone."
    all_runs, epochs, runs = rewrite_runs(store)
    reference = REFERENCE if (runs.schedule == REFERENCE).any() else runs.schedule.iloc[0]
    summary = summarize(runs.assign(budget=runs.budget.max()), reference)  # equal, counting the head's epoch
    moved = extra_table(store, runs, "movement.csv")
    store.write_tables(summary=summary, movement=moved)
    steps = {row.schedule: store.steps(row.run_id) for row in runs.drop_duplicates("schedule").itertuples()}
    config = store.manifest.to_dict()
    title = nothing_learned(summary["mean"], majority_accuracy(config, Measure()), "arm") or finding(summary)
    drawn = figure.draw(runs, epochs, summary, moved, steps, config, title)
    style.save(drawn, store.out / "transfer.png")
    text = "\n".join([*failures(all_runs), _text(runs, summary, moved, title, store)])
    return Answer(runs, summary, moved, f"{title}.", text)


def finding(summary: pd.DataFrame) -> str:
    "Whether early layers need tiny changes here: the slice beside one LR for all. At most twelve words."
    arms = summary.set_index("schedule")
    if not {"one_high_lr", "slice"} <= set(arms.index):
        best = arms.iloc[0]
        return f"{best.name} reaches {_accuracy(best)}"
    answers = {
        "worse": "Early layers need smaller LRs here",
        "better": "Tiny LRs for early layers cost accuracy here",
    }
    unknown = "These seeds cannot tell whether early layers need smaller LRs"
    return answers.get(against_slice(arms.loc["one_high_lr"]), unknown)


def details(summary: pd.DataFrame) -> list[str]:
    "The numbers behind the finding: one high LR, the best arm, and training from scratch."
    arms = summary.set_index("schedule")
    lines = []
    if {"one_high_lr", "slice"} <= set(arms.index):
        lines.append(f"One high LR against the slice: {_points(arms.loc['one_high_lr'])}.")
    if len(arms) > 1:
        lines.append(f"The best arm is {arms.index[0]} with {_accuracy(arms.iloc[0])}.")
    if "scratch" in arms.index:
        lines.append(f"Training from scratch reaches {_accuracy(arms.loc['scratch'])}{_behind(arms.loc['scratch'])}.")
    return lines


def _accuracy(row: pd.Series) -> str:
    return "nothing (it diverged)" if pd.isna(row["mean"]) else show_share(row["mean"])


def _behind(row: pd.Series) -> str:
    "How far an arm is behind the best one, with its interval."
    if pd.isna(row.behind_low) or row.behind == 0:
        return ""
    return f", {percent(row.behind, row.behind_low, row.behind_high, '+')} points against the best arm"


def _points(row: pd.Series) -> str:
    return "no result" if pd.isna(row["diff"]) else f"{percent(row['diff'], row.diff_low, row.diff_high, '+')} points"


def _text(runs: pd.DataFrame, summary: pd.DataFrame, moved: pd.DataFrame, title: str, store: Store) -> str:
    seconds, has_reference = runs.groupby("schedule").seconds.mean(), REFERENCE in set(summary.schedule)
    accuracies = [
        {
            "arm": row.schedule,
            "lr_max": row.lr_max,
            "n": row.n,
            "accuracy % (95 %)": percent(row["mean"], row.low, row.high),
            f"points vs {REFERENCE}": ""
            if row.schedule == REFERENCE or not has_reference
            else percent(row["diff"], row.diff_low, row.diff_high, "+"),
            "seconds": f"{seconds[row.schedule]:.0f}",
        }
        for _, row in summary.iterrows()
    ]
    far = moved.groupby(["schedule", "group"], sort=False).moved.mean().unstack(sort=False)
    movement = [
        {"weights moved": arm, **{group: f"{100 * value:.2g} %" for group, value in far.loc[arm].items()}}
        for arm in summary.schedule
    ]
    lines = [text_table(accuracies), "", text_table(movement), ""]
    lines += [f"{arm}: {what}." for arm, what in ARMS.items() if arm in set(summary.schedule)]
    if (store.out / "lr_find.csv").exists():
        found = LRSuggestion.of_config(store.manifest.to_dict())
        lines.append(f"lr_find after the head stage suggests {found}.")
    return "\n".join([*lines, "", f"{title}.", *details(summary), f"Figure: {store.out / 'transfer.png'}"])
