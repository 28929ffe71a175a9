"""The summary of a comparison: known cases, and simulated ties."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.stats import intervals
from lrlab.recipes.kitchen.stats.decide import decide
from lrlab.recipes.kitchen.stats.summary import SUMMARY_COLUMNS, summarize


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


def test_the_summary_has_the_words_of_decide_and_differences_to_a_reference():
    runs = runs_table({"constant": [0.70, 0.72, 0.71], "good": [0.80, 0.83, 0.81], "same": [0.71, 0.71, 0.71]})
    table = summarize(runs)
    assert list(table.columns) == SUMMARY_COLUMNS and table.schedule[0] == "good"
    words = decide(runs).set_index("schedule").verdict
    assert table.set_index("schedule").verdict.to_dict() == words.to_dict() and words["constant"] == "behind"
    good = table.iloc[0]
    assert good["diff"] == pytest.approx(np.mean([0.10, 0.11, 0.10])) and good.n == 3 and good.lr_max == "1e-3"


def test_few_seeds_decide_nothing():
    "Two seeds that differ by one image each say nothing about the spread, and one seed nothing at all."
    for seeds in (1, 2):
        table = summarize(runs_table({"constant": [0.70, 0.72][:seeds], "lucky": [0.71, 0.73][:seeds]}))
        assert table.verdict.tolist() == ["best", "open"] and table[["behind_low", "behind_high"]].iloc[1].isna().all()


def test_a_schedule_that_diverged_on_a_seed_is_behind():
    accuracy = {"constant": [0.7, 0.7, 0.71], "wild": [0.9, 0.9, 0.9], "dead": [0.1, 0.1, 0.1]}
    status = {("wild", 1): "diverged", **{("dead", seed): "diverged" for seed in range(3)}}
    table = summarize(runs_table(accuracy, status)).set_index("schedule")
    assert table.verdict["wild"] == "behind" and table.diverged["wild"] == 1 and table.n["wild"] == 2
    assert table.verdict["dead"] == "behind" and table.n["dead"] == 0 and np.isnan(table["mean"]["dead"])


def test_pairing_by_seed_not_by_position():
    runs = runs_table({"constant": [0.1, 0.2, 0.3], "other": [0.2, 0.31, 0.4]})
    shuffled = summarize(runs.sample(frac=1, random_state=3), reference="constant")
    pd.testing.assert_frame_equal(shuffled, summarize(runs), check_dtype=False)


def simulated_ties(schedules: int = 8, seeds: int = 3, comparisons: int = 2000):
    "Tables of runs in which all schedules are equally good, and seeds are easier or harder for everybody."
    rng = np.random.default_rng(1)
    names = [f"s{i}" for i in range(schedules)]
    for _ in range(comparisons):
        accuracy = rng.normal(0.75, 0.02, seeds) + rng.normal(0, 0.015, (schedules, seeds))
        yield dict(zip(names, accuracy, strict=True))


AT_MOST = 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)  # three standard errors of 2,000 simulations above the level


def test_false_positives_against_the_reference():
    "Seven schedules as good as the reference, 3 seeds: hardly more than 5 % of 2,000 comparisons separate any of them."
    wrong = 0
    for accuracy in simulated_ties():
        values = np.array(list(accuracy.values()))
        p = scipy_stats.ttest_1samp(values[1:] - values[0], 0, axis=1).pvalue
        wrong += any(p <= 1 - np.array(intervals.holm_levels(p)))
    assert 0 < wrong / 2000 < AT_MOST


def test_differences_to_the_reference_have_those_levels():
    for accuracy in simulated_ties(4, 5, 25):
        accuracy["s2"] = accuracy["s2"] + 0.03
        table = summarize(runs_table({name: list(values) for name, values in accuracy.items()})).set_index("schedule")
        others = [name for name in table.index if name != "s0"]
        levels = intervals.holm_levels([intervals.paired_p(accuracy[s] - accuracy["s0"]) for s in others])
        for s, level in zip(others, levels, strict=True):
            _, low, high = intervals.difference_interval(accuracy[s] - accuracy["s0"], level)
            assert (table.diff_low[s], table.diff_high[s]) == pytest.approx((low, high))


def test_a_run_that_failed_says_nothing_about_its_schedule():
    "Out of memory, a killed process: fewer seeds, not a worse schedule."
    accuracy = {"constant": [0.70, 0.72, 0.71], "unlucky": [0.71, 0.71, 0.71]}
    table = summarize(runs_table(accuracy, {("unlucky", 1): "failed"})).set_index("schedule")
    assert set(table.verdict) == {"best", "open"} and table.failed["unlucky"] == 1 and table.n["unlucky"] == 2


def test_the_loss_judges_where_it_is_asked_to():
    runs = runs_table({"a": [0.9, 0.91, 0.9], "b": [0.9, 0.9, 0.91]})
    runs["valid_loss"] = [0.30, 0.31, 0.32, 0.20, 0.21, 0.22]
    table = summarize(runs, judge="-loss")
    assert table.schedule[0] == "b" and table.verdict.tolist() == ["best", "behind"] and set(table.judge) == {"-loss"}
    assert table["mean"][0] == pytest.approx(0.21) and table.behind[1] == pytest.approx(0.1)


def test_a_measure_that_is_nan_in_every_run_is_called_so():
    runs = runs_table({"a": [0.9, 0.91], "b": [0.9, 0.9]}).assign(gap=np.nan)
    with pytest.raises(UserError, match="`judge` gap: not a number in any run; the runs have accuracy"):
        summarize(runs, judge="-gap")


def test_every_budget_is_judged_by_itself_and_test_images_count_first():
    short, long = (runs_table({"a": [0.5, 0.6, 0.5], "b": [0.7, 0.8, 0.72]}).assign(budget=n) for n in (3, 12))
    long["test_accuracy"] = [0.9, 0.91, 0.92, 0.4, 0.41, 0.43]
    short["test_accuracy"] = long.test_accuracy
    table = summarize(pd.concat([short, long], ignore_index=True))
    assert table.budget.tolist() == [12, 12, 3, 3] and set(table.measured_on) == {"test"}
    assert table.schedule.tolist() == ["a", "b"] * 2 and table.n.tolist() == [3] * 4
    long.loc[0, "test_accuracy"] = np.nan
    assert set(summarize(long).measured_on) == {"validation"}, "not some on the one and some on the other"


def test_without_a_run_of_the_reference_differences_to_it_are_unknown():
    "As in folders merged of different schedules and budgets."
    short = runs_table({"good": [0.8, 0.83, 0.81], "bad": [0.4, 0.41, 0.42]}).assign(budget=3)
    long = runs_table({"constant": [0.7, 0.72, 0.71], "good": [0.8, 0.83, 0.81]}).assign(budget=12)
    table = summarize(pd.concat([long, short], ignore_index=True), "constant")
    own = table[table.budget == 3]
    assert own[["diff", "diff_low", "diff_high"]].isna().all(axis=None) and own.verdict.tolist() == ["best", "behind"]
    assert table[table.budget == 12].verdict.tolist() == ["best", "behind"]
