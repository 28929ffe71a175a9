"""Statistics against scipy, on known cases, and on simulated ties."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from lrlab.recipes.kitchen import stats


def runs_table(accuracy: dict[str, list[float]], status: dict | None = None) -> pd.DataFrame:
    rows = [
        {"schedule": s, "lr_max": "1e-3", "seed": seed, "status": "ok", "accuracy": value}
        for s, values in accuracy.items()
        for seed, value in enumerate(values)
    ]
    table = pd.DataFrame(rows)
    for (schedule, seed), state in (status or {}).items():
        table.loc[(table.schedule == schedule) & (table.seed == seed), ["status", "accuracy"]] = [state, np.nan]
    return table


def test_mean_interval_is_scipys():
    values = [0.71, 0.74, 0.79, 0.72, 0.75]
    expected = scipy_stats.t.interval(0.95, 4, np.mean(values), scipy_stats.sem(values))
    assert stats.mean_interval(values) == pytest.approx((np.mean(values), *expected))


def test_few_values_have_no_interval():
    assert np.isnan(stats.mean_interval([])).all()
    assert stats.mean_interval([0.5])[0] == 0.5
    assert np.isnan(stats.mean_interval([0.5])[1:]).all()


def test_paired_p_is_scipys():
    a, b = np.array([0.7, 0.75, 0.72, 0.8]), np.array([0.71, 0.73, 0.7, 0.76])
    assert stats.paired_p(a - b) == pytest.approx(scipy_stats.ttest_rel(a, b).pvalue)


def test_holm_rejects_exactly_where_the_interval_excludes_zero():
    "Against the textbook procedure, for many random sets of differences."
    rng = np.random.default_rng(0)
    for _ in range(300):
        differences = rng.normal(rng.uniform(-1.5, 1.5, 6)[:, None], 1.0, (6, 5))
        p = [stats.paired_p(d) for d in differences]
        order = np.argsort(p)
        rejected = np.zeros(6, bool)
        for k, i in enumerate(order):
            if p[i] > 0.05 / (6 - k):
                break
            rejected[i] = True
        for d, level, reject in zip(differences, stats.holm_levels(p), rejected, strict=True):
            _, low, high = stats.mean_interval(d, level)
            assert (low > 0 or high < 0) == reject


def test_holm_ignores_what_cannot_be_tested():
    assert stats.holm_levels([0.001, np.nan]) == pytest.approx([0.95, 0.95])


def test_summary_ranks_and_judges():
    table = stats.summarize(
        runs_table({"constant": [0.70, 0.72, 0.71], "good": [0.80, 0.83, 0.81], "same": [0.71, 0.71, 0.71]})
    )
    assert list(table.schedule) == ["good", "same", "constant"] or list(table.schedule) == ["good", "constant", "same"]
    verdicts = dict(zip(table.schedule, table.verdict, strict=True))
    assert verdicts == {"good": "better", "same": "tied", "constant": "tied"}
    good = table[table.schedule == "good"].iloc[0]
    assert good["diff"] == pytest.approx(np.mean([0.10, 0.11, 0.10])) and good.n == 3


def test_equal_differences_do_not_make_a_winner():
    "Two seeds that differ by one image each say nothing about the spread."
    table = stats.summarize(runs_table({"constant": [0.70, 0.72], "lucky": [0.71, 0.73]}))
    assert set(table.verdict) == {"tied"}


def test_one_seed_names_no_winner():
    table = stats.summarize(runs_table({"constant": [0.5], "other": [0.9]}))
    assert set(table.verdict) == {"tied"}


def test_a_schedule_that_loses_a_seed_is_worse():
    accuracy = {"constant": [0.7, 0.7, 0.71], "wild": [0.9, 0.9, 0.9], "dead": [0.1, 0.1, 0.1]}
    status = {("wild", 1): "diverged", **{("dead", seed): "diverged" for seed in range(3)}}
    table = stats.summarize(runs_table(accuracy, status)).set_index("schedule")
    assert table.verdict["wild"] == "worse" and table.diverged["wild"] == 1 and table.n["wild"] == 2
    assert table.verdict["dead"] == "worse" and table.n["dead"] == 0 and np.isnan(table.accuracy_mean["dead"])


def test_pairing_by_seed_not_by_position():
    runs = runs_table({"constant": [0.1, 0.2, 0.3], "other": [0.2, 0.31, 0.4]})
    shuffled = stats.summarize(runs.sample(frac=1, random_state=3), reference="constant")
    pd.testing.assert_frame_equal(shuffled, stats.summarize(runs), check_dtype=False)


def test_false_positives_on_simulated_ties():
    "Seven schedules as good as the reference, 3 seeds: hardly more than 5 % of 2,000 comparisons separate any of them."
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(2000):
        seeds = rng.normal(0.75, 0.02, 3)  # seeds that are easier or harder for everybody
        arms = seeds + rng.normal(0, 0.015, (8, 3))
        differences = arms[1:] - arms[0]
        levels = stats.holm_levels([stats.paired_p(d) for d in differences])
        intervals = [stats.difference_interval(d, level) for d, level in zip(differences, levels, strict=True)]
        wrong += any(low > 0 or high < 0 for _, low, high in intervals)
    assert 0 < wrong / 2000 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)
