"""The rule of the claims: its words, its error rate, and what it counts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lrlab.recipes.studies.claims.verdict import (
    FAILS,
    HOLDS,
    OPPOSITE,
    READING_COLUMNS,
    UNDECIDED,
    Rule,
    addition,
    bounds,
    compare,
    judge,
    seeds_needed,
    survives_holm,
)

GUESS = 0.1  # the accuracy of a diverged run


def readings(losses=None, **accuracies) -> pd.DataFrame:
    "`a=[0.8, None, ...]` seed by seed; None is a diverged run, nan a failed one. `losses` likewise."
    rows = []
    for name, values in accuracies.items():
        for seed, value in enumerate(values):
            status = "diverged" if value is None else "failed" if np.isnan(value) else "ok"
            loss = losses[name][seed] if losses else np.nan
            rows.append((name, seed, GUESS if value is None else value, loss, status, "1e-3", ""))
    return pd.DataFrame(rows, columns=READING_COLUMNS).astype({"accuracy": float})


BASE = [0.80, 0.81, 0.79, 0.80, 0.82]


def above(by: float, spread: float = 0.002) -> list[float]:
    "BASE plus `by` on average."
    return [value + by + spread * sign for value, sign in zip(BASE, (-1, 1, 0, 1, -1), strict=True)]


@pytest.mark.parametrize(
    ("better", "as_good", "expected", "adds"),
    [
        (above(0.02), False, HOLDS, ""),
        (above(0.005), False, HOLDS, "by less than 1 point"),
        (above(0.0), False, FAILS, "gains less than 1 point"),
        (above(-0.02), False, FAILS, OPPOSITE),
        (above(0.01, spread=0.01), False, UNDECIDED, ""),
        (above(0.02, spread=0.05), False, UNDECIDED, ""),  # the same mean, too wide
        (above(0.0), True, HOLDS, ""),
        (above(-0.005), True, HOLDS, "worse by less than 1 point"),
        (above(-0.01), True, FAILS, "worse"),  # perhaps by less than the tolerance
        (above(-0.03), True, FAILS, "worse by more than 1 point"),
        (above(-0.01, spread=0.01), True, UNDECIDED, ""),
        (BASE, False, FAILS, "gains less than 1 point"),
        (BASE, True, HOLDS, ""),
        ([None, *BASE[1:]], True, UNDECIDED, ""),  # one run that diverged is no proof
        ([None, 0.1, None, 0.11, None], True, FAILS, "worse by more than 1 point"),
        ([0.9, 0.91], False, UNDECIDED, ""),  # two seeds have no interval
    ],
)
def test_the_rule(better, as_good, expected, adds):
    found = compare(readings(a=better, b=BASE[: len(better)]), "a", "b", as_good)
    assert (found.gain.verdict, addition(found.gain, as_good, found.has_room, Rule())) == (expected, adds)


def test_another_tolerance_is_another_rule():
    table, wide = readings(a=above(-0.02), b=BASE), Rule(tolerance=0.03)
    assert compare(table, "a", "b", True, wide).gain.verdict == HOLDS
    assert compare(readings(a=above(0.02, 0.02), b=BASE), "a", "b", False, wide).gain.verdict == UNDECIDED
    assert wide.tolerated == "3 points"


def test_where_almost_nothing_is_left_to_gain_a_small_gain_proves_nothing():
    high = [value + 0.185 for value in BASE]  # 98.9 %
    small = [value + 0.185 for value in above(0.0)]
    found = compare(readings(a=small, b=high), "a", "b")
    assert not found.has_room and found.gain.high < 0.01 and found.gain.verdict == UNDECIDED
    assert addition(found.gain, False, found.has_room, Rule()) == "no room to gain"
    worse = [value + 0.185 for value in above(-0.02)]
    assert compare(readings(a=worse, b=high), "a", "b").gain.verdict == FAILS
    assert compare(readings(a=small, b=high), "a", "b", True).gain.verdict == HOLDS


@pytest.mark.parametrize(
    ("as_good", "gain", "wrong"), [(False, 0.0, HOLDS), (False, 0.01, FAILS), (True, -0.01, HOLDS), (True, 0.0, FAILS)]
)
def test_a_word_is_wrong_in_at_most_two_and_a_half_percent(as_good, gain, wrong):
    "500 claims at each bound of the rule, 2,000 in all, judged after 5, 10 and 20 seeds until they are decided."
    rule, claims_tried = Rule(looks=(5, 10, 20)), 500
    rng = np.random.default_rng(11)
    ends = bounds(as_good, rule.tolerance)
    words = []
    for _ in range(claims_tried):
        images = 655  # accuracies move in steps of one image
        differences = pd.Series((rng.normal(gain, 0.012, 20) * images).round() / images)
        seen = (judge(differences[:n], *ends, rule).verdict for n in rule.looks)
        words.append(next((word for word in seen if word != UNDECIDED), UNDECIDED))
    allowed = 0.025 + 3 * (0.025 * 0.975 / claims_tried) ** 0.5
    assert words.count(wrong) / claims_tried <= allowed
    assert words.count(UNDECIDED) < 0.9 * claims_tried, "a rule that never decides is never wrong"


def test_p_values_and_intervals_agree():
    rng, rule = np.random.default_rng(3), Rule(looks=(5, 10, 20))
    found = [judge(pd.Series(rng.normal(0.01, 0.01, 5)), 0.0, 0.01, rule) for _ in range(200)]
    assert [gain.p_value < 0.05 for gain in found] == [gain.verdict != UNDECIDED for gain in found]
    assert len({gain.verdict for gain in found}) > 1


def test_the_loss_is_judged_beside_accuracy_and_may_disagree():
    losses = {"a": [0.5, 0.52, 0.48, 0.5, 0.51], "b": [0.6, 0.61, 0.6, 0.59, 0.6]}
    found = compare(readings(losses, a=above(0.0), b=BASE), "a", "b")
    assert (found.gain.verdict, found.loss.verdict) == (FAILS, HOLDS)
    assert found.loss.mean == pytest.approx(1 - 0.502 / 0.6)
    assert np.isnan(compare(readings(a=above(0.0), b=BASE), "a", "b").loss.mean)


def test_the_forecast_of_seeds_is_the_first_number_that_decides():
    wide = [0.02, -0.01, 0.015, -0.005, 0.02]
    found = compare(readings(a=[a + b for a, b in zip(wide, BASE, strict=True)], b=BASE), "a", "b")
    n = seeds_needed(found, False, Rule())
    width = [stats.t.ppf(0.975, k - 1) * found.spread / np.sqrt(k) for k in (n - 1, n)]
    distance = max(found.gain.mean, 0.01 - found.gain.mean)
    assert found.gain.verdict == UNDECIDED and n > 5 and width[0] >= distance > width[1]
    assert seeds_needed(replace(found, spread=np.nan), False, Rule()) is None


def test_differences_are_paired_by_seed_and_failed_runs_are_counted_but_decide_nothing():
    table = readings(a=above(0.02), b=BASE)
    assert compare(table.sample(frac=1, random_state=0), "a", "b") == replace(compare(table, "a", "b"))
    found = compare(readings(a=[float("nan"), *above(0.02)[1:]], b=[None, *BASE[1:]]), "a", "b")
    assert (found.n, found.failed, found.diverged, found.gain.verdict) == (4, 1, 1, HOLDS)
    assert found.gain.mean == pytest.approx(np.mean(above(0.02)[1:]) - np.mean(BASE[1:]), abs=1e-6)


def test_float32_noise_of_equal_differences_is_no_narrow_interval():
    b = np.float32([0.9, 0.8, 0.7]).astype(float)
    found = compare(readings(a=list(b + np.float32(0.01)), b=list(b)), "a", "b")
    assert np.isnan(found.gain.low) and found.gain.verdict == UNDECIDED


def test_holm_keeps_what_is_certain_and_drops_what_is_lucky():
    p_values = [1e-6, 0.04, 0.04, 0.5, float("nan")]
    assert survives_holm(p_values, [HOLDS, HOLDS, FAILS, UNDECIDED, HOLDS]) == [True, False, False, False, False]
