"""The scores of the learning rates that a tuning tried. A pure function of tables."""

import pandas as pd


def tuning_scores(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per budget, schedule and lr_max: n, accuracy and valid_loss (means over the seeds), lost (seeds).

    `runs` has the columns of runs.csv. An LR at which any seed did not finish has no accuracy: it is not to be chosen.
    """
    rows = []
    for (budget, schedule, lr_max), own in runs.groupby(["budget", "schedule", "lr_max"], sort=False):
        lost = int((own.status != "ok").sum())
        means = {c: None if lost else float(own[c].mean()) for c in ("accuracy", "valid_loss")}
        rows.append({"budget": budget, "schedule": schedule, "lr_max": lr_max, "n": len(own), "lost": lost, **means})
    return pd.DataFrame(rows, columns=["budget", "schedule", "lr_max", "n", "lost", "accuracy", "valid_loss"])
