"""The forecast of the gap that a comparison can show, held against simulated comparisons and the bank of runs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lrlab.recipes.kitchen.stats.decide import decide
from lrlab.recipes.kitchen.stats.forecast import SHARES, forecast_gap, independent_gap, later_gap, shown_gap

BANK = Path(__file__).parents[3] / "results" / "reference" / "bank"
IMAGES, ACCURACY = 655, 0.8


def simulated_gaps(seeds: list[int], comparisons: int = 15) -> pd.DataFrame:
    "What eight equal arms show with so many of their seeds. Every arm varies as independent errors make it vary."
    rng, sd = np.random.default_rng(0), np.sqrt((1 - ACCURACY) / (2 * IMAGES))
    rows = []
    for _ in range(comparisons):
        values = ACCURACY + sd * rng.standard_normal((8, max(seeds)))
        runs = pd.DataFrame(
            [(f"arm {arm}", seed, "ok", value) for arm, own in enumerate(values) for seed, value in enumerate(own)],
            columns=["schedule", "seed", "status", "accuracy"],
        )
        rows.append([shown_gap(decide(runs[runs.seed < n])) for n in seeds])
    return pd.DataFrame(rows, columns=seeds)


def test_simulated_comparisons_show_the_gap_that_is_forecast():
    "Within 25 %: of independent runs before they are trained, and of more seeds from what the first ones show."
    gaps = simulated_gaps([3, 8])
    assert 0.75 < independent_gap(IMAGES, 8, ACCURACY) / gaps[8].median() < 1.25
    assert 0.75 < (later_gap(gaps[3], 3, 8) / gaps[8]).median() < 1.25


def test_more_images_and_more_seeds_show_smaller_gaps():
    assert forecast_gap(4000, 5)[1] == pytest.approx(forecast_gap(1000, 5)[1] / 2)
    assert forecast_gap(1000, 10)[0] < forecast_gap(1000, 5)[0] < forecast_gap(1000, 3)[0]
    assert later_gap(0.02, 5, 5) == 0.02 and later_gap(0.02, 5, 20) < 0.01


def test_the_shares_of_the_forecast_are_those_of_the_bank():
    share = pd.read_csv(BANK / "forecast.csv").share
    assert pytest.approx((share.min(), share.max()), abs=0.005) == SHARES
