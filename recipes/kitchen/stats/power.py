"""How many seeds a paired t test needs to find a difference."""

import math

import numpy as np
from scipy import stats

from lrlab.recipes.kitchen.stats.intervals import LEVEL, NO_SPREAD, has_no_spread

POWER = 0.8
MOST_SEEDS = 10_000


def seeds_to_separate(differences, power: float = POWER, level: float = LEVEL) -> int | None:
    """How many seeds a paired t test needs to find a difference like this one with probability `power`.

    It takes the observed mean and spread of `differences` for the true ones, which is a pilot study's best guess and no
    more. The power of n pairs is that of the noncentral t distribution with n - 1 degrees of freedom. The answer is
    None if the differences do not tell (fewer than two, no spread, mean zero) or if more than MOST_SEEDS are needed.

    >>> seeds_to_separate([0.01, 0.02, -0.01, 0.03])
    17
    """
    differences = np.asarray(differences, float)
    if len(differences) < 2 or has_no_spread(differences) or abs(differences.mean()) < NO_SPREAD:
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
    "Probability that the two-sided t test of n differences rejects zero, if their mean is `effect` deviations."
    critical, shift = stats.t.ppf((1 + level) / 2, n - 1), effect * math.sqrt(n)
    power = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
    # scipy's noncentral t is nan far out in its tails, where the normal distribution is as good
    return float(power) if np.isfinite(power) else float(stats.norm.sf(critical - shift))
