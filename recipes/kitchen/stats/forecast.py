"""Which gap between two schedules a comparison can show, before it is trained and afterwards."""

import math

import numpy as np
import pandas as pd
from scipy import stats

from lrlab.recipes.kitchen.stats.best import FEWEST_SEEDS

ASSUMED = 0.8  # accuracy, before anything is known
# The standard deviation of a paired difference, in units of sqrt(p (1 - p) / n) for an accuracy p on n images: from the
# lowest to the highest of the data sets in results/reference/bank.
SPREADS = (0.35, 0.8)


def forecast_gap(n_images: int, seeds: int) -> tuple[float, float]:
    """The gap in accuracy that can be seen, at best and at worst, if the accuracy is 80 %.

    >>> [round(100 * gap, 1) for gap in forecast_gap(655, 5)], [round(100 * gap) for gap in forecast_gap(30, 5)]
    ([0.7, 1.6], [3, 7])
    """
    scale = np.sqrt(ASSUMED * (1 - ASSUMED) / n_images) * stats.t.ppf(0.975, seeds - 1) / np.sqrt(seeds)
    return float(SPREADS[0] * scale), float(SPREADS[1] * scale)


def shown_gap(table: pd.DataFrame) -> float:
    "The gap that a comparison could see: the median width of its bounds (`decide`'s table). nan for too few seeds."
    others = table[(table.verdict != "best") & (table.n >= FEWEST_SEEDS)]
    upper = (others.behind_high - others.behind).abs()
    lower = (others.behind - others.behind_low).abs()
    return float(np.minimum(upper, lower).median()) if len(others) else math.nan
