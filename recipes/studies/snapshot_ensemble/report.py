"""Rebuilds the tables, the figure and the text of `lrlab snapshot-ensemble` from what is stored. Never trains."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lrlab.recipes.kitchen.errors import NothingFinished
from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.stats.baseline import majority_accuracy, nothing_learned
from lrlab.recipes.kitchen.stats.intervals import difference_interval, mean_interval
from lrlab.recipes.kitchen.stats.measures import TOLERANCE, Measure
from lrlab.recipes.kitchen.store.reading import extra_table, failures, rewrite_runs, why_none_finished
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import percent, show_share, text_table
from lrlab.recipes.studies.snapshot_ensemble import figure

PLANE = ("plane", "paths")  # the tables of the loss plane, if it was measured


@dataclass
class Answer:
    "`summary`: one row a model with means, intervals and paired differences to the cosine run; `models`: every seed."

    summary: pd.DataFrame
    models: pd.DataFrame
    verdict: str  # the answer in one sentence
    text: str


def redraw(store: Store) -> Answer:
    "Tables, figure and text from what is stored alone."
    runs, epochs, trained = rewrite_runs(store)
    ok = trained[trained.status == "ok"]
    if not {"sgdr", "cosine"} <= set(ok.schedule):
        raise NothingFinished(f"{store.out}: no run of sgdr and cosine finished; {why_none_finished(runs)}")
    models = extra_table(store, ok, "models.csv")
    is_final = models.model == "final"
    models.loc[is_final, "model"] = models.schedule[is_final]
    summary = summarize(models)
    store.write_tables(models=models, summary=summary)
    plane = list(map(store.table, PLANE)) if store.has(*PLANE) else []
    steps = {row.schedule: store.steps(row.run_id) for row in trained.drop_duplicates("schedule").itertuples()}
    config = store.manifest.to_dict()
    title = nothing_learned(summary.accuracy, majority_accuracy(config, Measure()), "model") or finding(summary)
    fig = figure.draw(models, summary, epochs, steps, plane, config, title)
    style.save(fig, store.out / "snapshot_ensemble.png")
    return Answer(summary, models, f"{title}.", "\n".join([*failures(runs), _text(summary, title, store.out)]))


def summarize(models: pd.DataFrame) -> pd.DataFrame:
    "Mean and 95 % interval of every model's accuracy, and of its difference to the cosine run of the same seed."
    table = models.pivot(index="seed", columns="model", values="accuracy")
    loss = models.groupby("model").valid_loss.mean()
    rows = []
    for model in models.model.unique():
        own = table[model].dropna()
        differences = (table[model] - table["cosine"]).dropna()
        rows.append((model, len(own), *mean_interval(own), *difference_interval(differences), loss[model]))
    columns = "model n accuracy accuracy_low accuracy_high diff diff_low diff_high valid_loss".split()
    return pd.DataFrame(rows, columns=columns)


def finding(summary: pd.DataFrame) -> str:
    "The ensemble beside one cosine run, in at most twelve words."
    by = summary.set_index("model")
    low, high = by.diff_low["ensemble"], by.diff_high["ensemble"]
    if pd.isna(low):
        return "No interval: these seeds cannot compare the ensemble with one cosine run"
    if low <= 0 <= high and not -TOLERANCE < low <= high < TOLERANCE:
        return "These seeds cannot tell the ensemble from one cosine run"
    word = "better than" if low > 0 else "worse than" if high < 0 else "as good as"
    return f"The ensemble of {_last_snapshot(summary).split()[1]} snapshots is {word} one cosine run"


def _last_snapshot(summary: pd.DataFrame) -> str:
    return [name for name in summary.model if name.startswith("snapshot")][-1]


def details(summary: pd.DataFrame) -> str:
    "The numbers behind the finding."
    by, last = summary.set_index("model"), _last_snapshot(summary)
    shown = {name: show_share(by.accuracy[name]) for name in ("ensemble", last, "average", "cosine")}
    ensemble = by.loc["ensemble"]
    interval = f"{100 * ensemble.diff_low:+.1f} to {100 * ensemble.diff_high:+.1f}"
    if pd.isna(ensemble.diff_low):
        interval = "one seed" if ensemble.n == 1 else "no interval"
    return (
        f"The ensemble reaches {shown['ensemble']}, its last snapshot {shown[last]}, the average of the weights "
        f"{shown['average']}, one cosine run {shown['cosine']}. The ensemble against the cosine run: "
        f"{100 * ensemble['diff']:+.1f} points ({interval}). Less than {100 * TOLERANCE:g} point does not matter"
    )


def _text(summary: pd.DataFrame, title: str, out: Path) -> str:
    rows = [
        {
            "model": row.model,
            "n": row.n,
            "accuracy % (95 %)": percent(row.accuracy, row.accuracy_low, row.accuracy_high),
            "points vs cosine": "" if row.model == "cosine" else percent(row["diff"], row.diff_low, row.diff_high, "+"),
            "validation loss": f"{row.valid_loss:.3f}",
        }
        for _, row in summary.iterrows()
    ]
    end = [f"{title}.", f"{details(summary)}.", f"Figure: {out / 'snapshot_ensemble.png'}"]
    return "\n".join([text_table(rows), "", *end])
