"""The summary of a comparison: one row per budget and schedule. A pure function of the table of runs."""

from itertools import combinations

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.stats.intervals import LEVEL, difference_interval, holm_levels, mean_interval, paired_p

SUMMARY_COLUMNS = (
    "schedule lr_max n accuracy_mean accuracy_low accuracy_high diff diff_low diff_high verdict "
    "p_value diverged failed budget measured_on behind behind_low behind_high leads"
).split()


def summarize(runs: pd.DataFrame, reference: str | None = None, level: float = LEVEL) -> pd.DataFrame:
    """One row per budget and schedule: the longest budget first, and within a budget the best mean accuracy first.

    `reference` is a schedule (default: the first of the table). Schedules are judged on the test images if every
    finished run was measured on them, else on the validation images (`measured_on`). `summarize_budget` has the rest.
    """
    if runs.empty:
        return pd.DataFrame(columns=SUMMARY_COLUMNS)
    reference = runs.schedule.iloc[0] if reference is None else reference
    runs = runs.assign(judged=judged(runs), budget=runs.get("budget", 0))
    parts = [runs[runs.budget == budget] for budget in sorted(runs.budget.unique(), reverse=True)]
    tables = [summarize_budget(part, reference, level) for part in parts]
    measured = "test" if has_test(runs) else "validation"
    return pd.concat(tables, ignore_index=True).assign(measured_on=measured)[SUMMARY_COLUMNS]


def judged(runs: pd.DataFrame) -> pd.Series:
    "The accuracy that judges a schedule: on the test images if there are any. Unfinished runs have none (nan)."
    column = runs.test_accuracy if has_test(runs) else runs.accuracy
    return pd.to_numeric(column).where(runs.status == "ok")


def has_test(runs: pd.DataFrame) -> bool:
    "Whether every finished run was also measured on test images."
    finished = runs[runs.status == "ok"]
    return "test_accuracy" in runs and len(finished) > 0 and bool(finished.test_accuracy.notna().all())


def summarize_budget(runs: pd.DataFrame, reference: str, level: float) -> pd.DataFrame:
    """The summary of one budget.

    `diff` is the difference to the reference, paired by seed. Its interval is at Holm's level over all schedules. The
    verdict is `better` or `worse` exactly when the interval excludes zero. A schedule that diverged on a seed which the
    reference finished is `worse`, whatever its other seeds did, and `better` the other way round. If the reference has
    no run, the differences are unknown (nan) and the verdicts empty.

    `behind` is the difference to the schedule with the best mean. The same results chose that schedule, so the
    intervals are at Holm's level over all pairs of schedules. This keeps the promised error rate among equal schedules.
    `leads` is true for every schedule that cannot be told apart from the best, and for the best.
    """
    arms = list(dict.fromkeys(zip(runs.schedule, runs.lr_max, strict=True)))
    runs_of = {arm: runs[(runs.schedule == arm[0]) & (runs.lr_max == arm[1])].set_index("seed") for arm in arms}
    accuracy = {arm: table.judged for arm, table in runs_of.items()}
    diverged = {arm: set(table.index[table.status == "diverged"]) for arm, table in runs_of.items()}
    finished = {arm: set(values.dropna().index) for arm, values in accuracy.items()}
    base = next((arm for arm in arms if arm[0] == reference), None)
    to_base = _differences({arm: (arm, base) for arm in arms if base and arm != base}, accuracy, level)
    means = {arm: values.mean() for arm, values in accuracy.items()}
    with_runs = [arm for arm in arms if finished[arm]]
    best = max(with_runs, key=lambda arm: (not diverged[arm], means[arm]), default=None)
    pairs = {frozenset(pair): pair for pair in combinations(arms, 2)}
    among_all = _differences(pairs, accuracy, level)

    rows = []
    for arm in arms:
        mean, low, high = mean_interval(accuracy[arm].dropna(), level)
        low, high = max(low, 0.0), min(high, 1.0)  # an accuracy lies in 0 to 1; nan stays nan
        row = dict(zip(SUMMARY_COLUMNS, (*arm, len(finished[arm]), mean, low, high), strict=False))
        row["diverged"], row["failed"] = (int((runs_of[arm].status == s).sum()) for s in ("diverged", "failed"))
        row["budget"] = runs.budget.iloc[0]
        if base is None:
            row |= dict.fromkeys(("diff", "diff_low", "diff_high", "p_value"), np.nan) | {"verdict": ""}
        elif arm == base:
            row |= {"diff": 0.0, "diff_low": 0.0, "diff_high": 0.0, "verdict": "tied", "p_value": 1.0}
        else:
            row["diff"], row["diff_low"], row["diff_high"], row["p_value"] = to_base[arm]
            lost, won = diverged[arm] & finished[base], diverged[base] & finished[arm]
            row["verdict"] = _verdict(row["diff_low"], row["diff_high"], bool(lost), bool(won))
        if arm == best or best is None:
            row |= {"behind": 0.0, "behind_low": 0.0, "behind_high": 0.0, "leads": arm == best}
        else:
            gap, low, high, _ = among_all[frozenset((arm, best))]
            is_turned = pairs[frozenset((arm, best))][0] == best  # the difference is best - arm
            row |= {"behind": -gap, "behind_low": -high, "behind_high": -low} if is_turned else {}
            row |= {} if is_turned else {"behind": gap, "behind_low": low, "behind_high": high}
            lost = diverged[arm] & finished[best]
            row["leads"] = bool(finished[arm]) and not lost and not row["behind_high"] < 0
        rows.append(row)
    table = pd.DataFrame(rows, columns=SUMMARY_COLUMNS)
    return table.sort_values("accuracy_mean", ascending=False, kind="stable", na_position="last", ignore_index=True)


def _differences(pairs: dict, accuracy: dict, level: float) -> dict:
    "For every pair of arms the mean difference over their common seeds, its interval at Holm's level, and its p-value."
    differences = {key: (accuracy[a] - accuracy[b]).dropna() for key, (a, b) in pairs.items()}
    p_values = {key: paired_p(values) for key, values in differences.items()}
    levels = dict(zip(differences, holm_levels(list(p_values.values()), level), strict=True))
    return {key: (*difference_interval(values, levels[key]), p_values[key]) for key, values in differences.items()}


def _verdict(low: float, high: float, lost: bool, won: bool) -> str:
    if lost != won:
        return "worse" if lost else "better"
    if low > 0:
        return "better"
    return "worse" if high < 0 else "tied"


def top_two(runs: pd.DataFrame, summary: pd.DataFrame) -> tuple[str, str, np.ndarray] | None:
    "The two schedules with the highest means at one budget and their paired differences; None if fewer finished."
    ranked = summary[summary.n > 0]
    if len(ranked) < 2:
        return None
    values = []
    for _, arm in ranked.head(2).iterrows():
        of_arm = runs[(runs.schedule == arm.schedule) & (runs.lr_max == arm.lr_max) & (runs.budget == arm.budget)]
        values.append(judged(runs).loc[of_arm.index].set_axis(of_arm.seed))
    return ranked.schedule.iloc[0], ranked.schedule.iloc[1], (values[0] - values[1]).dropna().to_numpy()
