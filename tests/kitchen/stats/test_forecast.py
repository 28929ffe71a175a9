"""The forecast of the gap that a comparison can show, held against simulated comparisons."""

import numpy as np
import pandas as pd
import pytest

from lrlab.recipes.kitchen.stats.decide import decide
from lrlab.recipes.kitchen.stats.forecast import SPREADS, forecast_gap, shown_gap


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_forecast_is_near_the_gap_that_such_runs_show(seeds):
    "Eight equal arms on 655 images, whose paired differences have the spread that the forecast assumes."
    rng, n_images, spread = np.random.default_rng(0), 655, np.mean(SPREADS)
    sd = spread * np.sqrt(0.8 * 0.2 / n_images) / np.sqrt(2)  # of one arm
    shown = []
    for _ in range(20):
        accuracy = 0.8 + sd * rng.standard_normal((8, seeds))
        runs = pd.DataFrame(
            [(f"arm {i}", seed, "ok", accuracy[i, seed]) for i in range(8) for seed in range(seeds)],
            columns=["schedule", "seed", "status", "accuracy"],
        )
        shown.append(shown_gap(decide(runs)))
    expected = np.mean(forecast_gap(n_images, seeds))
    assert 0.6 < np.median(shown) / expected < 1.7


def test_more_images_and_more_seeds_show_smaller_gaps():
    assert forecast_gap(4000, 5)[1] == pytest.approx(forecast_gap(1000, 5)[1] / 2)
    assert forecast_gap(1000, 10)[0] < forecast_gap(1000, 5)[0] < forecast_gap(1000, 3)[0]
