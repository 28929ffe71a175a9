"""Confidence intervals of means, paired differences and shares, and Holm's correction.

A mean gets Student's t interval. A comparison affords 3 to 10 seeds. A bootstrap resamples too few values then, and its
intervals are too short. The t interval is right for few, nearly normal values. Two values have none: their standard
deviation says nothing.
"""

import numpy as np
from scipy import stats

LEVEL = 0.95
FEWEST_SEEDS = 3  # the standard deviation of two values says nothing
NO_SPREAD = 1e-6  # a tenth of one image among 100,000: float32 accuracies that differ by less are equal


def mean_interval(values, level: float = LEVEL) -> tuple[float, float, float]:
    """Mean and Student t interval. Fewer than three, or equal, values have no interval (nan).

    Accuracy moves in steps of one image, so few values can be equal by chance. An interval of no width would say that
    no other value is possible.

    >>> [round(float(value), 3) for value in mean_interval([0.7, 0.8, 0.9])]
    [0.8, 0.552, 1.048]
    """
    values = np.asarray(values, float)
    if len(values) == 0:
        return np.nan, np.nan, np.nan
    mean = values.mean()
    if len(values) < FEWEST_SEEDS or np.ptp(values) <= NO_SPREAD * abs(mean):
        return mean, np.nan, np.nan
    low, high = stats.t.interval(level, len(values) - 1, mean, stats.sem(values))
    return mean, low, high


def difference_interval(differences, level: float = LEVEL) -> tuple[float, float, float]:
    """Mean paired difference and its t interval.

    The interval of equal differences is unknown (nan), as that of equal values. Three or more differences that are all
    zero have an interval of no width.
    """
    mean, low, high = mean_interval(differences, level)
    if len(differences) < FEWEST_SEEDS or not has_no_spread(differences):
        return mean, low, high
    return (mean, mean, mean) if abs(mean) < NO_SPREAD else (mean, np.nan, np.nan)


def large_sample_interval(values, level: float = LEVEL) -> tuple[float, float, float]:
    """Mean and normal interval, for hundreds of values. One value has no interval (nan).

    >>> [round(float(value), 3) for value in large_sample_interval([0, 1] * 200)]
    [0.5, 0.451, 0.549]
    """
    values = np.asarray(values, float)
    if len(values) < 2:
        return values.mean(), np.nan, np.nan
    low, high = stats.norm.interval(level, values.mean(), stats.sem(values)) if np.ptp(values) else [values.mean()] * 2
    return values.mean(), low, high


def wilson_interval(hits: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's (1927) interval of the share of `hits` among `n`. It never leaves 0 to 1.

    >>> [round(float(end), 3) for end in wilson_interval(20, 20)]
    [0.839, 1.0]
    """
    interval = stats.binomtest(int(hits), n).proportion_ci(level, "wilson")
    return interval.low, interval.high


def paired_p(differences) -> float:
    "Two-sided p-value of the paired t test; nan where the differences have no spread to judge by."
    differences = np.asarray(differences, float)
    if len(differences) < 2 or has_no_spread(differences):
        return np.nan
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def has_no_spread(values) -> bool:
    "Whether all values are equal, up to the last bits of a float32."
    return bool(np.ptp(values) < NO_SPREAD)


def holm_levels(p_values: list[float], level: float = LEVEL) -> list[float]:
    """For every p-value the confidence level at which Holm (1979) tests it, so that intervals and verdicts agree.

    The p-values are sorted, smallest first. Holm tests the k-th of m (from 0) at alpha / (m - k) until the first test
    fails. That one and all after it keep its level. An interval at the returned level excludes zero exactly when Holm
    rejects. P-values that are nan are not counted.

    >>> [round(level, 4) for level in holm_levels([0.001, 0.2, 0.04])]
    [0.9833, 0.975, 0.975]
    """
    p = np.asarray(p_values, float)
    alpha, m = 1 - level, int(np.isfinite(p).sum())
    levels = np.full(len(p), level)
    divisor, is_rejecting = m, True
    for position in np.argsort(np.where(np.isfinite(p), p, np.inf), kind="stable")[:m]:
        levels[position] = 1 - alpha / divisor
        is_rejecting = is_rejecting and p[position] <= alpha / divisor
        divisor -= is_rejecting and divisor > 1
    return levels.tolist()
