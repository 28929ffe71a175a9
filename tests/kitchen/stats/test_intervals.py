"""Intervals and Holm's levels, against scipy and by hand."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from lrlab.recipes.kitchen.stats import intervals


def test_mean_interval_is_scipys():
    values = [0.71, 0.74, 0.79, 0.72, 0.75]
    expected = scipy_stats.t.interval(0.95, 4, np.mean(values), scipy_stats.sem(values))
    assert intervals.mean_interval(values) == pytest.approx((np.mean(values), *expected))


def test_few_values_have_no_interval():
    assert np.isnan(intervals.mean_interval([])).all()
    assert intervals.mean_interval([0.5])[0] == 0.5
    assert np.isnan(intervals.mean_interval([0.5])[1:]).all()


def test_paired_p_is_scipys():
    a, b = np.array([0.7, 0.75, 0.72, 0.8]), np.array([0.71, 0.73, 0.7, 0.76])
    assert intervals.paired_p(a - b) == pytest.approx(scipy_stats.ttest_rel(a, b).pvalue)


def test_holm_rejects_exactly_where_the_interval_excludes_zero():
    "Against the textbook procedure, for many random sets of differences."
    rng = np.random.default_rng(0)
    for _ in range(300):
        differences = rng.normal(rng.uniform(-1.5, 1.5, 6)[:, None], 1.0, (6, 5))
        p = [intervals.paired_p(d) for d in differences]
        order = np.argsort(p)
        rejected = np.zeros(6, bool)
        for k, i in enumerate(order):
            if p[i] > 0.05 / (6 - k):
                break
            rejected[i] = True
        for d, level, reject in zip(differences, intervals.holm_levels(p), rejected, strict=True):
            _, low, high = intervals.mean_interval(d, level)
            assert (low > 0 or high < 0) == reject


def test_holm_ignores_what_cannot_be_tested():
    assert intervals.holm_levels([0.001, np.nan]) == pytest.approx([0.95, 0.95])


def test_equal_differences_of_float32_accuracies_have_no_spread_to_judge_by():
    "One image more of 1,797 twice, from different accuracies: their float32 values differ in the last bits."
    accuracies = np.float32([[[900, 901], [1000, 1001]]])[0] / np.float32(1797)
    differences = [float(b) - float(a) for a, b in accuracies]
    assert differences[0] != differences[1]
    mean, low, high = intervals.difference_interval(differences)
    assert mean == pytest.approx(1 / 1797, rel=1e-4) and np.isnan(low) and np.isnan(high)
    assert np.isnan(intervals.paired_p(differences))


@pytest.mark.parametrize("hits, n", [(0, 10), (7, 10), (1000, 1000), (341, 1000)])
def test_wilson_interval_is_the_published_formula(hits, n):
    share, z = hits / n, scipy_stats.norm.ppf(0.975)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    assert intervals.wilson_interval(hits, n) == pytest.approx((centre - half, centre + half), abs=1e-12)


def test_large_sample_interval_is_the_normal_one():
    values = np.random.default_rng(0).integers(-1, 2, 400)
    expected = scipy_stats.norm.interval(0.95, values.mean(), scipy_stats.sem(values))
    assert intervals.large_sample_interval(values) == pytest.approx((values.mean(), *expected))
    assert intervals.large_sample_interval([1, 1, 1]) == (1, 1, 1)
    assert np.isnan(intervals.large_sample_interval([1])[1:]).all()


def test_equal_values_have_no_interval(recwarn):
    "An interval of no width would claim that the next seed gives the same value."
    nearly = np.float32([0.7, 0.7, 0.7]).astype(float) + [0, 1e-9, 0]
    for values in ([0.5] * 3, [0.0] * 3, nearly):
        mean, low, high = intervals.mean_interval(values)
        assert mean == pytest.approx(values[0], abs=1e-7) and np.isnan([low, high]).all()
    assert intervals.mean_interval([2e-7, 3e-7, 4e-7])[1] < 2e-7  # a small measure has a small spread
    assert intervals.difference_interval([0.0] * 3) == (0.0, 0.0, 0.0)
    assert np.isnan(intervals.difference_interval([0.0] * 2)[1:]).all()  # two seeds cannot show that arms are equal
    assert not recwarn.list
