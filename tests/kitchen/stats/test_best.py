"""Comparison with the recommended arm: bounds, missing seeds, Holm."""

import numpy as np
import pytest

from lrlab.recipes.kitchen.stats.best import AgainstBest, holm_rejects, smallest
from lrlab.recipes.kitchen.stats.intervals import holm_levels

VALUES = np.random.default_rng(0).normal(0.8, 0.01, (4, 5)) + np.array([0.02, 0.0, -0.01, -0.05])[:, None]
EVERY = [0, 1, 2, 3]


@pytest.mark.parametrize("threshold", [-3.0, 0.0, 0.4, 0.5, 0.7, 250.0])
def test_smallest_finds_the_threshold_from_either_side(threshold):
    found = smallest(lambda margin: margin >= threshold, near=0.5, step=0.1)
    assert found >= threshold and found == pytest.approx(threshold, abs=0.02)


def test_smallest_is_infinite_if_nothing_is_rejected():
    assert smallest(lambda margin: False, 0.5, 0.1) == np.inf
    assert smallest(lambda margin: True, 0.5, 0.1) == -np.inf


@pytest.mark.parametrize("arm", [1, 2, 3])
def test_bounds_are_where_the_tests_turn(arm):
    pair = AgainstBest(VALUES, arm, 0, EVERY, EVERY)
    high, low = pair.high(0.01, 0.05), pair.low(0.01, 0.05)
    assert low < pair.differences.mean() < high
    assert pair.p_better(high) <= 0.05 < pair.p_better(high - 0.001)
    assert pair.p_worse(-low) <= 0.05 < pair.p_worse(-low - 0.001)


def test_bounds_do_not_depend_on_where_the_search_starts():
    pair = AgainstBest(VALUES, 2, 0, EVERY, EVERY)
    assert pair.high(0.01, 0.05) == pytest.approx(pair.high(-0.2, 0.05), abs=1e-4)


def test_a_seed_common_to_all_shifts_nothing():
    "Seeds are harder or easier for every arm alike; pairs cancel that."
    shifted = VALUES + np.array([0.1, -0.2, 0.0, 0.05, 0.3])
    for arm in (1, 2, 3):
        p_values = [AgainstBest(values, arm, 0, EVERY, EVERY).p_better(0.005) for values in (VALUES, shifted)]
        assert p_values[0] == p_values[1]


def test_only_common_seeds_count_and_two_of_them_say_nothing():
    values = VALUES.copy()
    values[1, 0] = values[0, 4] = values[3, 2] = np.nan
    pair = AgainstBest(values, 1, 0, EVERY, EVERY)
    assert pair.n == 3 and pair.is_known and 0 < pair.p_better(0.01) <= 1
    assert pair.differences == pytest.approx(VALUES[1, 1:4] - VALUES[0, 1:4])
    values[1, 1] = np.nan
    assert not AgainstBest(values, 1, 0, EVERY, EVERY).is_known


def test_holm_is_that_of_the_intervals():
    for p_values in np.random.default_rng(1).uniform(0, 0.06, (50, 6)):
        rejected = p_values <= 1 - np.array(holm_levels(list(p_values)))
        assert holm_rejects(p_values, 0.05, 6).tolist() == rejected.tolist()
