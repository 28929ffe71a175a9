"""Rotation tests against Student's t test, and their error rate."""

import numpy as np
import pytest
from scipy import stats

from lrlab.recipes.kitchen.stats.rotation import Rotations, directions


def one_sided_t(column: np.ndarray) -> float:
    return stats.ttest_1samp(column, 0, alternative="greater").pvalue


@pytest.mark.parametrize("n", [3, 5, 12])
def test_one_column_is_students_t_test(n):
    for column in np.random.default_rng(n).normal(0.5, 1, (20, n)):
        rotations = Rotations(column[:, None])
        for p in (rotations.p_of_selected(0), rotations.p_of_each(0)):
            assert p == pytest.approx(one_sided_t(column), abs=4 * np.sqrt(0.25 / 4000))


def test_columns_that_are_multiples_of_each_other_count_as_one():
    column = np.array([0.3, 1.2, 0.8, 0.5])
    many = Rotations(np.stack([column, 3 * column, 10 * column], axis=1))
    assert many.p_of_selected(2) == many.p_of_each(0) == Rotations(column[:, None]).p_of_each(0)


def test_many_independent_columns_cost_power_but_less_than_bonferroni():
    column = np.array([0.8, 1.2, 0.9, 1.1, 1.0])
    noise = np.random.default_rng(0).normal(0, 0.5, (5, 6))
    many, alone = Rotations(np.column_stack([column, noise])), one_sided_t(column)
    assert alone < many.p_of_each(0) < 7 * alone


def test_a_margin_is_added_to_every_difference():
    differences = np.random.default_rng(1).normal(0.2, 1, (5, 3))
    assert Rotations(differences).p_of_each(1, margin=0.4) == Rotations(differences + 0.4).p_of_each(1)
    assert Rotations(differences).p_of_selected(1, margin=0.4) == Rotations(differences + 0.4).p_of_selected(1)


def test_equal_differences_are_no_evidence_if_the_measure_moves_in_larger_steps():
    equal = np.full((3, 1), 0.01)
    assert Rotations(equal).p_of_each(0) < 0.001 < 0.05 < Rotations(equal, least_deviation=0.01).p_of_each(0)


@pytest.mark.parametrize(
    "deviations", [np.ones(5), np.array([0.1, 0.1, 1, 1, 10])], ids=["equal noise", "unequal noise"]
)
def test_p_values_of_equal_arms_are_uniform(deviations):
    "The selected column has the highest mean of all, and a naive t test of it is wrong far too often."
    rng, p_values, naive = np.random.default_rng(2), [], []
    for _ in range(400):
        differences = rng.normal(0, 1, (4, 5)) * deviations - rng.normal(0, 1, (4, 1))
        highest = int(differences.mean(0).argmax())
        p_values.append(Rotations(differences, count=400).p_of_selected(highest))
        naive.append(one_sided_t(differences[:, highest]))
    error = 3 * np.sqrt(0.1 * 0.9 / 400)
    assert np.mean(np.array(p_values) <= 0.1) == pytest.approx(0.1, abs=error)
    assert np.mean(np.array(naive) <= 0.1) > 0.1 + error


def test_directions_are_unit_vectors_and_always_the_same():
    found = directions(4)
    assert np.allclose(np.linalg.norm(found, axis=1), 1) and np.allclose(found.mean(0), 0)
    directions.cache_clear()
    assert np.array_equal(directions(4), found)
