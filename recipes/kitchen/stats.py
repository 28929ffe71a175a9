"""Paired differences, intervals and verdicts: pure functions of the table of runs.

Intervals are Student's t: with the handful of seeds that a comparison can afford (3 to 10) a bootstrap resamples too
few values and its intervals are too short, while the t interval is right for near-normal accuracies at any n >= 2.
"""

import numpy as np
import pandas as pd
from scipy import stats

LEVEL = 0.95
SUMMARY_COLUMNS = (
    "schedule lr_max n accuracy_mean accuracy_low accuracy_high diff diff_low diff_high verdict p_value diverged failed"
).split()


def mean_interval(values, level: float = LEVEL) -> tuple[float, float, float]:
    "Mean and Student t interval; the interval of a single value is unknown (nan), that of equal values has no width."
    values = np.asarray(values, float)
    n = len(values)
    if n == 0:
        return np.nan, np.nan, np.nan
    mean = values.mean()
    if n == 1:
        return mean, np.nan, np.nan
    half = stats.t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return mean, mean - half, mean + half


def paired_p(differences) -> float:
    "Two-sided p-value of the paired t test (scipy's); nan where the differences have no spread to judge by."
    differences = np.asarray(differences, float)
    if len(differences) < 2 or np.ptp(differences) == 0:
        return np.nan
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def difference_interval(differences, level: float = LEVEL) -> tuple[float, float, float]:
    """Mean paired difference and its t interval.

    Two or three differences of accuracy can be equal by chance, because accuracy moves in steps of one image. Their
    spread of zero would make any difference certain, so then the interval is unknown (nan), unless all are zero.
    """
    mean, low, high = mean_interval(differences, level)
    return (mean, np.nan, np.nan) if low == high and mean != 0 else (mean, low, high)


def holm_levels(p_values: list[float], level: float = LEVEL) -> list[float]:
    """For every p-value the confidence level at which Holm (1979) tests it, so that intervals and verdicts agree.

    Sorted ascending, the k-th of m (from 0) is tested at alpha / (m - k), until the first one fails; that one and all
    after it keep its level. An interval at the returned level excludes zero exactly when Holm rejects.
    """
    p_values = np.asarray(p_values, float)
    alpha, m = 1 - level, int(np.isfinite(p_values).sum())
    levels = np.full(len(p_values), level)
    divisor = m
    for position in np.argsort(np.where(np.isfinite(p_values), p_values, np.inf))[:m]:
        levels[position] = 1 - alpha / divisor
        if p_values[position] <= alpha / divisor:
            divisor = max(divisor - 1, 1)
    return levels.tolist()


def summarize(runs: pd.DataFrame, reference: str | None = None, level: float = LEVEL) -> pd.DataFrame:
    """One row per schedule and lr_max, best mean accuracy first: mean, interval, paired difference to the reference.

    `reference` is a schedule (default: the first of the table). Differences are paired by seed; their intervals are at
    Holm's levels over all arms, and the verdict is `better` or `worse` exactly when the interval excludes zero. An arm
    that diverged or failed on a seed which the reference finished is `worse` whatever its other seeds did.
    """
    if runs.empty:
        return pd.DataFrame(columns=SUMMARY_COLUMNS)
    reference = runs.schedule.iloc[0] if reference is None else reference
    arms = list(runs[["schedule", "lr_max"]].drop_duplicates().itertuples(index=False, name=None))
    reference_arm = next(arm for arm in arms if arm[0] == reference)
    accuracy = {arm: _by_seed(runs, arm) for arm in arms}
    differences = {arm: (accuracy[arm] - accuracy[reference_arm]).dropna() for arm in arms}
    others = [arm for arm in arms if arm != reference_arm]
    p_values = {arm: paired_p(differences[arm]) for arm in others}
    levels = dict(zip(others, holm_levels([p_values[arm] for arm in others], level), strict=True))

    rows = []
    for arm in arms:
        mean, low, high = mean_interval(accuracy[arm].dropna(), level)
        low, high = max(low, 0.0), min(high, 1.0)  # an accuracy, whatever Student's t thinks; nan stays nan
        row = dict(zip(SUMMARY_COLUMNS, (*arm, accuracy[arm].notna().sum(), mean, low, high), strict=False))
        row["diverged"], row["failed"] = (_count(runs, arm, status) for status in ("diverged", "failed"))
        if arm == reference_arm:
            row |= {"diff": 0.0, "diff_low": 0.0, "diff_high": 0.0, "verdict": "tied", "p_value": 1.0}
        else:
            row["diff"], row["diff_low"], row["diff_high"] = difference_interval(differences[arm], levels[arm])
            row["p_value"] = p_values[arm]
            lost = (accuracy[arm].isna() & accuracy[reference_arm].notna()).any()
            row["verdict"] = "worse" if lost else _verdict(row["diff_low"], row["diff_high"])
        rows.append(row)
    table = pd.DataFrame(rows, columns=SUMMARY_COLUMNS)
    return table.sort_values("accuracy_mean", ascending=False, kind="stable", na_position="last", ignore_index=True)


def _by_seed(runs: pd.DataFrame, arm: tuple[str, str]) -> pd.Series:
    "Final accuracy by seed; nan for the seeds on which this arm did not finish."
    own = runs[(runs.schedule == arm[0]) & (runs.lr_max == arm[1])]
    return own.accuracy.where(own.status == "ok").set_axis(own.seed)


def _count(runs: pd.DataFrame, arm: tuple[str, str], status: str) -> int:
    return int(((runs.schedule == arm[0]) & (runs.lr_max == arm[1]) & (runs.status == status)).sum())


def _verdict(low: float, high: float) -> str:
    if low > 0:
        return "better"
    return "worse" if high < 0 else "tied"
