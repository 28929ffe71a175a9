"""Rebuilds the tables, the figure and the text of `lrlab transfer` from its stored runs. Never trains."""

from dataclasses import dataclass

import pandas as pd

from lrlab.recipes.kitchen.figures import plots
from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.stats.summary import summarize
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.store.reading import extra_table, failures, not_failed, stored_runs
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import percent
from lrlab.recipes.studies.transfer import figure
from lrlab.recipes.studies.transfer.arms import ARMS, against_slice

REFERENCE = "slice"  # the tutorial's own way


@dataclass
class Answer:
    "`runs` and `summary` as DESIGN.md has them; `movement`: run_id, schedule, lr_max, seed, group, moved."

    runs: pd.DataFrame
    summary: pd.DataFrame
    movement: pd.DataFrame
    text: str


def redraw(store: Store) -> Answer:
    "Tables, figure and text from the stored runs alone."
    runs, epochs = stored_runs(store)
    for name, table in {"runs": runs, "epochs": epochs}.items():
        write_atomically(store.out / f"{name}.csv", table.to_csv(index=False))
    lost, runs = failures(runs), not_failed(store, runs)
    reference = REFERENCE if (runs.schedule == REFERENCE).any() else runs.schedule.iloc[0]
    summary = summarize(runs.assign(budget=runs.budget.max()), reference)  # equal, counting the head's epoch
    moved = extra_table(store, runs, "movement.csv")
    for name, table in {"summary": summary, "movement": moved}.items():
        write_atomically(store.out / f"{name}.csv", table.to_csv(index=False))
    first = runs.drop_duplicates("schedule")
    steps = {row.schedule: store.steps(row.run_id) for row in first.itertuples()}
    title = finding(summary)
    drawn = figure.draw(runs, epochs, summary, moved, steps, store.manifest.to_dict(), title)
    plots.save(drawn, store.out / "transfer.png")
    text = "\n".join([*lost, _text(runs, summary, moved, store, title)])
    return Answer(runs, summary, moved, text)


def finding(summary: pd.DataFrame) -> str:
    "Whether early layers really need tiny changes here: the slice beside one LR for all, and training from scratch."
    arms = summary.set_index("schedule")
    best = arms.index[0]
    parts = []
    if {"one_high_lr", "slice"} <= set(arms.index):
        high = arms.loc["one_high_lr"]
        need = {
            "worse": "Early layers do need smaller LRs here",
            "better": "Tiny LRs for early layers cost accuracy here",
        }
        parts.append(need.get(against_slice(high), "Whether early layers need tiny LRs cannot be told here"))
        parts[-1] += f": one high LR is at {_points(high)} against the slice"
    parts.append(f"{'best is' * (len(arms) > 1)} {best} with {_accuracy(arms.loc[best])}".strip())
    if "scratch" in arms.index:
        parts.append(f"from scratch reaches {_accuracy(arms.loc['scratch'])}{_behind(arms.loc['scratch'])}")
    return "; ".join(parts)


def _accuracy(row: pd.Series) -> str:
    return "nothing (it diverged)" if pd.isna(row["mean"]) else f"{row['mean']:.1%}"


def _behind(row: pd.Series) -> str:
    "How far an arm is behind the best one, with its interval."
    if pd.isna(row.behind_low) or row.behind == 0:
        return ""
    return f", {100 * row.behind:+.1f} points ({100 * row.behind_low:+.1f} to {100 * row.behind_high:+.1f}) from that"


def _points(row: pd.Series) -> str:
    if pd.isna(row["diff"]):
        return "no result"
    interval = "" if pd.isna(row.diff_low) else f" ({100 * row.diff_low:+.1f} to {100 * row.diff_high:+.1f})"
    return f"{100 * row['diff']:+.1f} points{interval}"


def _text(runs: pd.DataFrame, summary: pd.DataFrame, moved: pd.DataFrame, store: Store, title: str) -> str:
    far = moved.groupby(["schedule", "group"], sort=False).moved.mean().unstack(sort=False)
    seconds = runs.groupby("schedule").seconds.mean()
    head = f"{'arm':<12} {'lr_max':<17} {'n':>2}  {'accuracy % (95 %)':<21} {'points vs slice':<23}"
    head += "".join(f"{group:>8}" for group in far.columns) + " clock s"
    lines = [f"{'':<79}weights moved, relative L2", head, "-" * len(head)]
    for row in summary.itertuples():
        accuracy = percent(row.mean, row.low, row.high)
        compared = row.schedule != REFERENCE and REFERENCE in set(summary.schedule)
        points = _points(summary.loc[row.Index]).replace(" points", "") if compared else ""
        how_far = "".join(f"{f'{100 * value:.2g}%':>8}" for value in far.loc[row.schedule])
        lines.append(
            f"{row.schedule:<12} {row.lr_max:<17} {row.n:>2}  {accuracy:<21} {points:<23}{how_far}"
            f"{seconds[row.schedule]:>8.0f}"
        )
    lines += ["", *(f"{arm}: {what}." for arm, what in ARMS.items() if arm in set(summary.schedule))]
    if (store.out / "lr_find.csv").exists():
        found = store.manifest.lr_find
        lines.append(f"lr_find after the head stage suggests {'no LR' if found is None else format_number(found)}.")
    return "\n".join([*lines, "", title + ".", f"Figure: {store.out / 'transfer.png'}"])
