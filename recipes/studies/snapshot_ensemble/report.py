"""Rebuilds the tables, the figure and the text of `lrlab snapshot-ensemble` from what is stored. Never trains."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lrlab.recipes.kitchen.errors import NothingFinished
from lrlab.recipes.kitchen.figures import plots
from lrlab.recipes.kitchen.stats.intervals import difference_interval, mean_interval
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.store.reading import extra_table, failures, not_failed, stored_runs
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import percent
from lrlab.recipes.studies.snapshot_ensemble import figure


@dataclass
class Answer:
    "`summary`: one row a model with means, intervals and paired differences to the cosine run; `models`: every seed."

    summary: pd.DataFrame
    models: pd.DataFrame
    text: str


def redraw(store: Store) -> Answer:
    "Tables, figure and text from what is stored alone."
    runs, epochs = stored_runs(store)
    for name, table in {"runs": runs, "epochs": epochs}.items():
        write_atomically(store.out / f"{name}.csv", table.to_csv(index=False))
    trained = not_failed(store, runs)
    ok = trained[trained.status == "ok"]
    if not {"sgdr", "cosine"} <= set(ok.schedule):
        raise NothingFinished(f"{store.out}: no run of sgdr and cosine finished; a lower `lr_max` may help")
    models = extra_table(store, ok, "models.csv")
    final = models.model == "final"
    models.loc[final, "model"] = models.schedule[final]
    summary = summarize(models)
    for name, table in {"models": models, "summary": summary}.items():
        write_atomically(store.out / f"{name}.csv", table.to_csv(index=False))
    measured = ("plane", "paths") if (store.out / "plane.csv").exists() else ()
    plane = [pd.read_csv(store.out / f"{name}.csv") for name in measured]
    steps = {row.schedule: store.steps(row.run_id) for row in trained.drop_duplicates("schedule").itertuples()}
    title = finding(summary)
    fig = figure.draw(models, summary, epochs, steps, plane, store.manifest.to_dict(), title)
    plots.save(fig, store.out / "snapshot_ensemble.png")
    return Answer(summary, models, "\n".join([*failures(runs), _text(summary, title, store.out)]))


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
    "The answer in one sentence."
    by = summary.set_index("model")
    last = [name for name in by.index if name.startswith("snapshot")][-1]
    shown = {name: f"{by.accuracy[name]:.1%}" for name in ("ensemble", last, "average", "cosine")}
    said = (
        f"The ensemble of {last.split()[1]} snapshots reaches {shown['ensemble']}, its last snapshot {shown[last]}, "
        f"their average {shown['average']}, one cosine run {shown['cosine']}"
    )
    low, high = by.diff_low["ensemble"], by.diff_high["ensemble"]
    word = "better than" if low > 0 else "worse than" if high < 0 else "tied with"
    unknown = "one seed" if by.n["ensemble"] == 1 else "no interval"
    sure = unknown if pd.isna(low) else f"{100 * low:+.1f} to {100 * high:+.1f}"
    return f"{said}: the ensemble is {word} the cosine run ({100 * by['diff']['ensemble']:+.1f} points, {sure})"


def _text(summary: pd.DataFrame, title: str, out: Path) -> str:
    head = f"{'model':<12} {'n':>2}  {'accuracy % (95 % interval)':<27}{'points vs cosine':<25}validation loss"
    lines = [head, "-" * len(head)]
    for _, row in summary.iterrows():
        accuracy = percent(row.accuracy, row.accuracy_low, row.accuracy_high)
        shown = "" if row.model == "cosine" else percent(row["diff"], row.diff_low, row.diff_high, sign="+")
        lines.append(f"{row.model:<12} {row.n:>2}  {accuracy:<27}{shown:<25}{row.valid_loss:.3f}")
    return "\n".join([*lines, "", title + ".", f"Figure: {out / 'snapshot_ensemble.png'}"])
