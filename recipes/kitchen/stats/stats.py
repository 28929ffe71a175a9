"""Paired differences, intervals and verdicts: pure functions of the table of runs.

Intervals are Student's t: with the handful of seeds that a comparison can afford (3 to 10) a bootstrap resamples too
few values and its intervals are too short, while the t interval is right for near-normal accuracies at any n >= 2.
"""

import math
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

LEVEL = 0.95
POWER = 0.8
MOST_SEEDS = 10_000
SAME = 1e-6  # a tenth of one image among 100,000
SUMMARY_COLUMNS = (
    "schedule lr_max n accuracy_mean accuracy_low accuracy_high diff diff_low diff_high verdict "
    "p_value diverged failed budget measured_on behind behind_low behind_high leads"
).split()


def mean_interval(values, level: float = LEVEL) -> tuple[float, float, float]:
    """Mean and Student t interval; the interval of a single value is unknown (nan), that of equal values has no width.

    >>> [round(float(value), 3) for value in mean_interval([0.7, 0.8, 0.9])]
    [0.8, 0.552, 1.048]
    """
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
    if len(differences) < 2 or _same(differences):
        return np.nan
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def difference_interval(differences, level: float = LEVEL) -> tuple[float, float, float]:
    """Mean paired difference and its t interval.

    Two or three differences of accuracy can be equal by chance, because accuracy moves in steps of one image. Their
    spread of zero would make any difference certain, so then the interval is unknown (nan), unless all are zero.
    """
    mean, low, high = mean_interval(differences, level)
    known = len(differences) > 1 and (not _same(differences) or abs(mean) < SAME)
    return (mean, low, high) if known else (mean, np.nan, np.nan)


def _same(values) -> bool:
    "All equal, but for the last bits: fastai's accuracies are float32."
    return bool(np.ptp(values) < SAME)


def holm_levels(p_values: list[float], level: float = LEVEL) -> list[float]:
    """For every p-value the confidence level at which Holm (1979) tests it, so that intervals and verdicts agree.

    Sorted ascending, the k-th of m (from 0) is tested at alpha / (m - k), until the first one fails; that one and all
    after it keep its level. An interval at the returned level excludes zero exactly when Holm rejects.

    >>> [round(level, 4) for level in holm_levels([0.001, 0.2, 0.04])]
    [0.9833, 0.975, 0.975]
    """
    p = np.asarray(p_values, float)
    alpha, m = 1 - level, int(np.isfinite(p).sum())
    levels = np.full(len(p), level)
    divisor, rejecting = m, True
    for position in np.argsort(np.where(np.isfinite(p), p, np.inf), kind="stable")[:m]:
        levels[position] = 1 - alpha / divisor
        rejecting = rejecting and p[position] <= alpha / divisor
        divisor -= rejecting and divisor > 1
    return levels.tolist()


def seeds_to_separate(differences, power: float = POWER, level: float = LEVEL) -> int | None:
    """How many seeds a paired t test needs to find a difference like this one with probability `power`.

    Takes the observed mean and spread of `differences` for the true ones (a pilot study's best guess, no more). The
    power of n pairs is that of the noncentral t distribution with n - 1 degrees of freedom. None if the differences
    do not say (fewer than two, no spread, mean zero) or if more than MOST_SEEDS would be needed.

    >>> seeds_to_separate([0.01, 0.02, -0.01, 0.03])
    17
    """
    differences = np.asarray(differences, float)
    if len(differences) < 2 or _same(differences) or abs(differences.mean()) < SAME:
        return None
    effect = abs(differences.mean()) / differences.std(ddof=1)
    low, high = 2, MOST_SEEDS
    if t_test_power(effect, high, level) < power:
        return None
    while low < high:  # the power grows with n
        middle = (low + high) // 2
        low, high = (low, middle) if t_test_power(effect, middle, level) >= power else (middle + 1, high)
    return low


def t_test_power(effect: float, n: int, level: float = LEVEL) -> float:
    "Probability that the two-sided t test of n differences rejects zero, where their mean is `effect` deviations."
    critical, shift = stats.t.ppf((1 + level) / 2, n - 1), effect * math.sqrt(n)
    power = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
    # scipy's noncentral t is nan far out in its tails, where the normal distribution is as good
    return float(power) if np.isfinite(power) else float(stats.norm.sf(critical - shift))


def summarize(runs: pd.DataFrame, reference: str | None = None, level: float = LEVEL) -> pd.DataFrame:
    """One row per budget and schedule, best mean accuracy first within a budget, the longest budget first.

    `reference` is a schedule (default: the first of the table). Accuracy is that on the test images where every
    finished run has it, else that on the validation images (`measured_on`). See `summarize_budget` for the rest.
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
    "The accuracy by which schedules are compared: on the test images if there are any; nan for unfinished runs."
    column = runs.test_accuracy if has_test(runs) else runs.accuracy
    return pd.to_numeric(column).where(runs.status == "ok")


def has_test(runs: pd.DataFrame) -> bool:
    "Whether every finished run was measured on test images too."
    finished = runs[runs.status == "ok"]
    return "test_accuracy" in runs and len(finished) > 0 and bool(finished.test_accuracy.notna().all())


def summarize_budget(runs: pd.DataFrame, reference: str, level: float) -> pd.DataFrame:
    """The summary of one budget.

    `diff` is the difference to the reference, paired by seed; its interval is at Holm's level over all schedules, and
    the verdict is `better` or `worse` exactly when the interval excludes zero. A schedule that diverged on a seed
    which the reference finished is `worse` whatever its other seeds did, and `better` the other way round. Where the
    reference has no run, differences are unknown (nan) and verdicts empty.

    `behind` is the difference to the schedule with the best mean. That one was chosen by these same results, so the
    intervals are at Holm's level over all pairs of schedules: with it, being told apart from the best by chance is as
    rare as promised. `leads` is true for those that cannot be told apart from the best, itself included.
    """
    arms = list(dict.fromkeys(zip(runs.schedule, runs.lr_max, strict=True)))
    own = {arm: runs[(runs.schedule == arm[0]) & (runs.lr_max == arm[1])].set_index("seed") for arm in arms}
    accuracy = {arm: table.judged for arm, table in own.items()}
    diverged = {arm: set(table.index[table.status == "diverged"]) for arm, table in own.items()}
    finished = {arm: set(values.dropna().index) for arm, values in accuracy.items()}
    base = next((arm for arm in arms if arm[0] == reference), None)
    to_base = _differences({arm: (arm, base) for arm in arms if base and arm != base}, accuracy, level)
    means = {arm: values.mean() for arm, values in accuracy.items()}
    in_play = [arm for arm in arms if finished[arm]]
    best = max(in_play, key=lambda arm: (not diverged[arm], means[arm]), default=None)
    pairs = {frozenset(pair): pair for pair in combinations(arms, 2)}
    among_all = _differences(pairs, accuracy, level)

    rows = []
    for arm in arms:
        mean, low, high = mean_interval(accuracy[arm].dropna(), level)
        low, high = max(low, 0.0), min(high, 1.0)  # an accuracy, whatever Student's t thinks; nan stays nan
        row = dict(zip(SUMMARY_COLUMNS, (*arm, len(finished[arm]), mean, low, high), strict=False))
        row["diverged"], row["failed"] = (int((own[arm].status == s).sum()) for s in ("diverged", "failed"))
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
            turned = pairs[frozenset((arm, best))][0] == best  # the pair was subtracted the other way round
            row |= {"behind": -gap, "behind_low": -high, "behind_high": -low} if turned else {}
            row |= {} if turned else {"behind": gap, "behind_low": low, "behind_high": high}
            lost = diverged[arm] & finished[best]
            row["leads"] = bool(finished[arm]) and not lost and not row["behind_high"] < 0
        rows.append(row)
    table = pd.DataFrame(rows, columns=SUMMARY_COLUMNS)
    return table.sort_values("accuracy_mean", ascending=False, kind="stable", na_position="last", ignore_index=True)


def _differences(pairs: dict, accuracy: dict, level: float) -> dict:
    "For every pair of arms the mean difference over their common seeds, its interval at Holm's level, and its p-value."
    found = {key: (accuracy[a] - accuracy[b]).dropna() for key, (a, b) in pairs.items()}
    p_values = {key: paired_p(values) for key, values in found.items()}
    levels = dict(zip(found, holm_levels(list(p_values.values()), level), strict=True))
    return {key: (*difference_interval(values, levels[key]), p_values[key]) for key, values in found.items()}


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
        own = runs[(runs.schedule == arm.schedule) & (runs.lr_max == arm.lr_max) & (runs.budget == arm.budget)]
        values.append(judged(runs).loc[own.index].set_axis(own.seed))
    return ranked.schedule.iloc[0], ranked.schedule.iloc[1], (values[0] - values[1]).dropna().to_numpy()
