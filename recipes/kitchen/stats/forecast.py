"""Which gap between two schedules a comparison can show, before it is trained and afterwards.

Jordan (2023, arXiv:2304.01910): where a model is sure of itself as often as it is right, the accuracy of a run on n
images has a variance of about error / 2n from seed to seed, and the difference of two independent runs has error / n.
Runs of one seed are alike, so that less is left: the bank of runs says how much.
"""

import math

import numpy as np
import pandas as pd
from scipy import stats

from lrlab.recipes.kitchen.stats.best import FEWEST_SEEDS
from lrlab.recipes.kitchen.text import plural

ASSUMED = 0.8  # accuracy, before anything is known
# The gap that five seeds showed, in units of what independent runs would show: the lowest and the highest of the data
# sets in results/reference/bank (forecast.csv, column `share`).
SHARES = (0.39, 0.70)


def forecast_gap(n_images: int, seeds: int, accuracy: float = ASSUMED) -> tuple[float, float]:
    """The gap in accuracy that `seeds` runs of every schedule can show, at best and at worst.

    >>> [[round(100 * gap, 1) for gap in forecast_gap(655, 5, accuracy)] for accuracy in (0.8, 0.95)]
    [[0.8, 1.5], [0.4, 0.8]]
    """
    gap = independent_gap(n_images, seeds, accuracy)
    return SHARES[0] * gap, SHARES[1] * gap


def describe_forecast(n_images: int, seeds: int, item: str = "image") -> str:
    """The forecast near the accuracy `ASSUMED` as a sentence. No gap is wider than that accuracy.

    >>> print("\\n".join(describe_forecast(*few) for few in ((655, 5), (10, 2), (2, 2))))
    ... # doctest: +NORMALIZE_WHITESPACE
    5 seeds on 655 validation images can show gaps of 0.8 to 1.5 points near 80 % accuracy, and half of that near 95 %;
    smaller ones stay open.
    2 seeds on 10 validation images can show gaps of 49.6 points near 80 % accuracy at best; smaller ones stay open.
    2 seeds on 2 validation images can show no gap near 80 % accuracy.
    """
    what = f"{plural(seeds, 'seed')} on {plural(n_images, f'validation {item}')} can show"
    near = f"near {100 * ASSUMED:.0f} % accuracy"
    low, high = forecast_gap(n_images, seeds)
    if low > ASSUMED:
        return f"{what} no gap {near}."
    if high > ASSUMED:
        return f"{what} gaps of {100 * low:.1f} points {near} at best; smaller ones stay open."
    gaps = f"gaps of {100 * low:.1f} to {100 * high:.1f} points"
    return f"{what} {gaps} {near}, and half of that near 95 %; smaller ones stay open."


def independent_gap(n_images: int, seeds: int, accuracy: float) -> float:
    "The half width of a 95 % t interval of the difference, if the runs of one seed were independent."
    return float(np.sqrt((1 - accuracy) / n_images) * stats.t.ppf(0.975, seeds - 1) / np.sqrt(seeds))


def later_gap(shown: float, n: int, seeds: int) -> float:
    """The gap that `seeds` seeds can show, where `n` seeds showed the gap `shown`.

    It shrinks with the square root and with Student's t. The median of a standard deviation of few values is too small,
    and that is corrected for.

    >>> round(later_gap(0.02, 3, 5), 4), round(later_gap(0.02, 5, 10), 4)
    (0.011, 0.0121)
    """
    return shown * _width(seeds) / _width(n)


def _width(n: int) -> float:
    "The median half width of a t interval of n values with a standard deviation of one."
    return float(stats.t.ppf(0.975, n - 1) * np.sqrt(stats.chi2.ppf(0.5, n - 1) / (n - 1) / n))


def shown_gap(table: pd.DataFrame) -> float:
    "The gap that a comparison could see: the median width of its bounds (`decide`'s table). nan for too few seeds."
    others = table[(table.verdict != "best") & (table.n >= FEWEST_SEEDS)]
    upper = (others.behind_high - others.behind).abs()
    lower = (others.behind - others.behind_low).abs()
    return float(np.minimum(upper, lower).median()) if len(others) else math.nan
