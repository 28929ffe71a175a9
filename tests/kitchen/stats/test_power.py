"""The number of seeds, against the textbook and simulations."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from lrlab.recipes.kitchen.stats import power


def test_power_is_that_of_the_textbook():
    """Cohen (1988), statsmodels' TTestPower and G*Power agree on these: d = 0.5 needs 34 pairs for 80 %, d = 0.8 15.

    statsmodels 0.15.0, TTestPower().solve_power(effect, power=..., alpha=0.05): 33.37, 14.30, and 9.43 for the third.
    """
    rng = np.random.default_rng(0)
    for effect, target, expected in [(0.5, 0.8, 34), (0.8, 0.8, 15), (1.2, 0.9, 10)]:
        pilot = rng.normal(size=7)
        pilot = (pilot - pilot.mean()) / pilot.std(ddof=1) + effect  # exactly this effect, whatever the draw
        assert power.seeds_to_separate(pilot, target) == expected


@pytest.mark.parametrize("effect, n", [(0.7, 6), (1.5, 4)])
def test_power_is_the_share_of_simulated_tests_that_find_the_difference(effect, n):
    differences = np.random.default_rng(2).normal(effect, 1, (20_000, n))
    found = (scipy_stats.ttest_1samp(differences, 0, axis=1).pvalue < 0.05).mean()
    assert power.t_test_power(effect, n) == pytest.approx(found, abs=0.011)


def test_seeds_cannot_be_counted_without_a_spread():
    for differences in ([0.01], [0.01, 0.01], [0.0, 0.0], [], [1e-6, -1e-6 + 1e-12, 0.3, -0.3]):
        assert power.seeds_to_separate(differences) is None
