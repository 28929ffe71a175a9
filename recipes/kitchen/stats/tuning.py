"""The scores of the learning rates that a tuning tried. A pure function of tables."""

import pandas as pd

from lrlab.recipes.kitchen.stats.measures import Measure


def tuning_scores(runs: pd.DataFrame, measure: Measure = Measure()) -> pd.DataFrame:  # noqa: B008  (frozen)
    """One row per budget, schedule and lr_max: n, score and valid_loss (means over the seeds), lost (seeds).

    `runs` has the columns of runs.csv. The score is the measure on the validation data. An LR at which any seed did not
    finish has no score: it is not to be chosen.
    """
    rows = []
    for (budget, schedule, lr_max), own in runs.groupby(["budget", "schedule", "lr_max"], sort=False):
        lost = int((own.status != "ok").sum())
        columns = {"score": measure.column(), "valid_loss": "valid_loss"}
        means = {name: None if lost else float(own[column].mean()) for name, column in columns.items()}
        rows.append({"budget": budget, "schedule": schedule, "lr_max": lr_max, "n": len(own), "lost": lost, **means})
    return pd.DataFrame(rows, columns=["budget", "schedule", "lr_max", "n", "lost", "score", "valid_loss"])
