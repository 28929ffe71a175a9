"""The words of a decision: known cases, and how often they are wrong."""

import numpy as np
import pandas as pd
import pytest

from lrlab.recipes.kitchen.stats.decide import COLUMNS, decide, guarantee, judge_arms, recommend
from lrlab.recipes.kitchen.stats.measures import Measure
from tests.kitchen.stats.test_summary import runs_table

NOISE = np.random.default_rng(0).normal(0, 0.001, (8, 8))


def words(runs: pd.DataFrame, judge: str = "accuracy", **options) -> dict[str, str]:
    return decide(runs, judge, **options).set_index("schedule").verdict.to_dict()


def arms(*means: float, seeds: int = 5, noise: float = 1.0) -> dict[str, list[float]]:
    "Schedules a, b, c, ... with these means and a little noise."
    return {chr(97 + i): list(mean + noise * NOISE[i, :seeds]) for i, mean in enumerate(means)}


def diverged(name: str, *seeds: int) -> dict:
    return {(name, seed): "diverged" for seed in seeds}


def test_the_five_words():
    accuracy = arms(0.9, 0.8, 0.899) | {"d": [0.86, 0.93, 0.85, 0.88, 0.78], "e": [0.80, 0.97, 0.78, 0.99, 0.9]}
    table = decide(runs_table(accuracy))
    assert list(table.columns) == COLUMNS and table.schedule.iloc[0] == "a"
    found = table.set_index("schedule")
    assert found.verdict.to_dict() == {"a": "best", "b": "behind", "c": "as good", "d": "open", "e": "open"}
    assert words(runs_table(accuracy), tolerance=0.08)["d"] == "no better"
    assert found.behind["b"] == pytest.approx(np.mean(np.subtract(accuracy["b"], accuracy["a"])))
    assert found.loc["a", ["behind", "behind_low", "behind_high"]].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "case, accuracy, status, expected",
    [
        ("one seed", {"a": [0.5], "b": [0.9]}, {}, {"a": "open", "b": "best"}),
        ("two seeds", {"a": [0.5, 0.5], "b": [0.9, 0.9]}, {}, {"a": "open", "b": "best"}),
        ("one schedule", arms(0.9), {}, {"a": "best"}),
        ("the same values", {"a": [0.9, 0.9, 0.9], "b": [0.9, 0.9, 0.9]}, {}, {"a": "best", "b": "open"}),
        (
            "one step apart, always",
            {"a": [0.9, 0.8, 0.7], "b": [0.91, 0.81, 0.71]},
            {},
            {"a": "no better", "b": "best"},
        ),
        ("diverged once", arms(0.8, 0.9), diverged("b", 1), {"a": "best", "b": "behind"}),
        ("diverged always", arms(0.8, 0.9), diverged("b", *range(5)), {"a": "best", "b": "behind"}),
        (
            "all diverged",
            arms(0.8, 0.9),
            diverged("a", *range(5)) | diverged("b", *range(5)),
            {"a": "open", "b": "open"},
        ),
        (
            "each diverged once",
            arms(0.8, 0.9),
            diverged("a", 0) | diverged("b", 1),
            {"a": "behind", "b": "best"},
        ),
        ("the best one failed once", arms(0.8, 0.9), {("b", 1): "failed"}, {"a": "behind", "b": "best"}),
        ("never finished", arms(0.8, 0.9), {("a", i): "failed" for i in range(5)}, {"a": "open", "b": "best"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_special_cases(case, accuracy, status, expected):
    assert words(runs_table(accuracy, status)) == expected
    assert guarantee(decide(runs_table(accuracy, status))).endswith(".")


def test_lower_is_better_with_a_minus_and_the_tolerance_is_relative():
    loss = runs_table(arms(0.5, 0.507, 0.6, noise=0.3)).rename(columns={"accuracy": "loss"})
    table = decide(loss, "-loss").set_index("schedule")
    assert table.verdict.to_dict() == {"a": "best", "b": "as good", "c": "behind"}
    assert table.behind["c"] == pytest.approx(0.1, abs=0.01) and table.behind_low["c"] > 0
    assert words(loss, "-loss", tolerance=0.005)["b"] != "as good"
    better = decide(loss.assign(loss=-loss.loss), "+loss", tolerance=0.02 * table["mean"]["a"]).set_index("schedule")
    assert better.verdict.to_dict() == table.verdict.to_dict()
    assert np.allclose(better.behind_high, -table.behind_low)


def test_the_interval_and_the_word_agree():
    rng = np.random.default_rng(3)
    seen = set()
    for _ in range(25):
        accuracy = 0.8 + rng.normal(0, 0.01, 5) + rng.normal(0, 0.006, (6, 5)) - np.arange(6)[:, None] * 0.006
        table = decide(runs_table({chr(97 + i): list(row) for i, row in enumerate(accuracy)}))
        for row in table[table.verdict != "best"].itertuples():
            seen.add(row.verdict)
            assert row.behind_low <= row.behind <= row.behind_high
            assert (row.verdict == "open") == (row.behind_high > 0.01)
            assert (row.verdict == "as good") == (row.behind_high <= 0.01 and row.behind_low >= -0.01)
            assert row.verdict != "behind" or row.behind_high <= 0
            assert row.verdict not in ("open", "no better") or row.behind_high >= 0
    assert seen == {"behind", "no better", "open", "as good"}


def test_nothing_leaves_what_an_accuracy_can_be():
    table = decide(runs_table({"a": [0.99, 0.2, 1.0], "b": [0.1, 0.98, 0.9], "c": [1.0, 1.0, 0.97]}))
    assert table.low.min() >= 0 and table.high.max() <= 1
    best = table.iloc[0]
    assert (best.low + table.behind_high <= 1 + 1e-12).all() and (best.high + table.behind_low >= -1e-12).all()


def test_a_wider_tolerance_and_more_seeds_decide_more():
    rng = np.random.default_rng(4)
    accuracy = {chr(97 + i): list(0.8 + rng.normal(0, 0.01, 12)) for i in range(5)}
    runs = runs_table(accuracy)
    open_at = [sum(word == "open" for word in words(runs, tolerance=t).values()) for t in (0.001, 0.01, 0.05)]
    assert open_at[0] > open_at[1] >= open_at[2] == 0
    first = runs[runs.seed < 3]
    assert sum(word == "open" for word in words(first).values()) > open_at[1]
    highs = [decide(runs, looks=looks).behind_high.max() for looks in (1, 2)]
    assert highs[0] < highs[1], "more looks, wider intervals"


def test_the_order_of_the_rows_does_not_matter():
    runs = runs_table(arms(0.9, 0.88, 0.895, noise=5))
    shuffled = decide(runs.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(shuffled, decide(runs))


def test_schedules_that_an_earlier_look_decided_keep_fewer_seeds_and_are_not_recommended():
    accuracy = arms(0.9, 0.899, 0.8, seeds=8)
    runs = runs_table(accuracy)
    runs = runs[(runs.schedule != "c") & (runs.schedule != "a") | (runs.seed < 3)]
    table = decide(runs, looks=2)
    assert table.schedule.iloc[0] == "b", "a has the better mean, but it was not trained on with the open schedules"
    assert table.set_index("schedule").n.to_dict() == {"b": 8, "a": 3, "c": 3}


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda runs: runs.drop(columns="accuracy"), "no column accuracy"),
        (lambda runs: runs.drop(columns=["seed", "status"]), "no column seed, status"),
        (lambda runs: pd.concat([runs, runs.head(1)]), "holds a with seed 0 twice"),
        (lambda runs: runs.to_dict("list"), "must be a pandas DataFrame, got dict"),
        (lambda runs: pd.concat([runs, runs.accuracy], axis=1), "has two columns accuracy"),
        (lambda runs: runs.replace({"schedule": {"a": None}}), "has a run without a schedule"),
        (lambda runs: runs.assign(seed=pd.array([None] * 10, "Int64")), "has a run without a seed"),
        (lambda runs: runs.assign(status="OK"), "status must be ok, diverged or failed; the table of runs has OK"),
        (lambda runs: runs.assign(status=np.nan), "status must be ok, diverged or failed; the table of runs has nan"),
        (lambda runs: runs.assign(status=pd.array(["ok", None] * 5, "string")), "the table of runs has <NA>"),
        (lambda runs: runs.assign(accuracy="90 %"), "the column accuracy must hold numbers: .*90 %"),
    ],
)
def test_a_table_that_cannot_be_judged_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        decide(change(runs_table(arms(0.9, 0.8))))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"judge": "loss"}, r'which loss is better, "-loss" \(lower\) or "\+loss" \(higher\)'),
        ({"judge": "my_error"}, "which my_error is better"),
        ({"judge": ""}, "judge must be the name of a column"),
        ({"judge": None}, "judge must be the name of a column"),
        *[({"level": level}, r"level must be a number in \(0, 1\)") for level in (0, 1, 95, "0.95", np.nan, True)],
        *[({"tolerance": t}, r"tolerance must be a number in \[0, inf\) or None") for t in (-1, "1%", np.nan, np.inf)],
        *[({"looks": n}, "looks must be a whole number of at least 1") for n in (0, -1, 1.5, "2", None, np.inf)],
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        decide(runs_table(arms(0.9, 0.8)).assign(loss=1.0, my_error=1.0), **options)


def test_a_guarantee_needs_the_direction_of_a_loss_too():
    table = decide(runs_table(arms(0.9, 0.8)).rename(columns={"accuracy": "loss"}), "-loss")
    assert guarantee(table, "-loss") == "Use b: no other schedule is better (95 %)."
    with pytest.raises(ValueError, match="which loss is better"):
        guarantee(table, "loss")


def test_a_plus_says_that_a_higher_loss_is_better():
    runs = runs_table(arms(0.9, 0.8)).rename(columns={"accuracy": "loss"})
    assert decide(runs, Measure.parse("+loss").judge).schedule.iloc[0] == "a"
    assert decide(runs, Measure.parse("loss").judge).schedule.iloc[0] == "b"


def test_a_finished_run_without_a_value_counts_like_a_failed_one():
    runs = runs_table(arms(0.9, 0.8))
    runs.loc[0, "accuracy"] = np.nan
    runs.loc[1, "accuracy"] = np.inf
    assert decide(runs).set_index("schedule").n.to_dict() == {"a": 3, "b": 5}


@pytest.mark.parametrize(
    "accuracy, expected",
    [
        (arms(0.9, 0.8), "Use a: no other schedule is better (95 %)."),
        (
            arms(0.9, 0.8) | {"c": [0.80, 0.97, 0.78, 0.99, 0.9]},
            "Use a for now: c is still open, and no other schedule is better (95 %).",
        ),
        (arms(0.9), "Only a was trained, so there is nothing to compare it with."),
        ({"a": [0.9], "b": [0.8]}, "a has the best mean of 1 seed. At least 3 seeds are needed to decide."),
        (
            {"a": [0.9, 0.7, 0.8], "b": [0.6, 0.8, 0.9]},
            "a has the best mean, but nothing is decided: b may be better. Train more seeds.",
        ),
    ],
)
def test_the_guarantee_is_one_sentence(accuracy, expected):
    assert guarantee(decide(runs_table(accuracy))) == expected


def test_the_guarantee_rounds_up_and_has_the_units_of_the_measure():
    table = decide(runs_table(arms(0.9, 0.899)))
    table.loc[1, "behind_high"] = 0.00701
    assert guarantee(table) == "Use a: no other schedule is better by more than 0.8 points (95 %)."
    table.loc[1, "behind_high"] = 0.007
    assert guarantee(table, level=0.9) == "Use a: no other schedule is better by more than 0.7 points (90 %)."
    assert guarantee(table, "f1") == "Use a: no other schedule is better by more than 0.007 f1 (95 %)."
    loss = table.assign(mean=0.5, behind_low=-0.0051)
    assert guarantee(loss, "-loss") == "Use a: no other schedule is better by more than 1.1 % of its loss (95 %)."


def test_the_guarantee_does_not_call_diverged_schedules_compared():
    runs = runs_table(arms(0.9, 0.8), diverged("b", 0, 1, 2, 3, 4))
    assert guarantee(decide(runs)) == "Use a: every other schedule diverged where it did not."


COMPARISONS = 300
ERROR = 3 * np.sqrt(0.05 * 0.95 / COMPARISONS)  # three standard errors of the simulation
UNEQUAL = np.array([0.1, 0.3, 1, 1, 1, 3, 5, 10])[:, None]


def simulate(means: np.ndarray, noise, n: int = 5, tolerance: float = 0.01):
    "Recommended arm, words and whether an arm is behind, of many comparisons."
    rng = np.random.default_rng(5)
    none = np.zeros(len(means), bool)
    for _ in range(COMPARISONS):
        values = means[:, None] + rng.normal(0, 0.02, n) + rng.normal(0, 1, (len(means), n)) * noise
        best, rivals = recommend(values, np.zeros(values.shape, bool), np.full(len(means), n))
        found, is_behind, _ = judge_arms(values, best, rivals, none, tolerance, 0.05, count=600)
        yield values, best, np.array(found), is_behind


@pytest.mark.parametrize("noise", [0.01, 0.01 * UNEQUAL], ids=["equal noise", "unequal noise"])
def test_equal_schedules_are_seldom_called_behind(noise):
    "A t test against the recommended schedule, which was chosen for its mean, is wrong in most of the comparisons."
    wrong = naive = 0
    for values, best, _, is_behind in simulate(np.zeros(8), noise):
        wrong += is_behind.any()
        gaps = np.delete(values[best] - values, best, 0)
        naive += (gaps.mean(1) / gaps.std(1, ddof=1) * np.sqrt(5) > 2.13).any()
    assert wrong / COMPARISONS < 0.05 + ERROR < naive / COMPARISONS


@pytest.mark.parametrize("noise", [0.015, 0.01 * UNEQUAL[::-1]], ids=["equal noise", "unequal noise"])
def test_the_best_schedule_is_seldom_skipped(noise):
    "One schedule is better than all others by just more than the tolerance."
    missed = called_behind = 0
    for _, best, found, is_behind in simulate(np.r_[0, np.full(7, -0.01001)], noise):
        missed += best != 0 and found[0] != "open"
        called_behind += is_behind[0]
    assert missed / COMPARISONS < 0.05 + ERROR and called_behind / COMPARISONS < 0.05 + ERROR


def test_a_schedule_that_is_worse_by_more_than_the_tolerance_is_seldom_as_good():
    wrong = right = 0
    for _, _, found, _ in simulate(np.r_[0, np.full(7, -0.01001)], 0.001):
        wrong += (found == "as good").any()
    for _, _, found, _ in simulate(np.zeros(8), 0.003):
        right += (found == "as good").sum()
    assert wrong / COMPARISONS < 0.05 + ERROR and right / COMPARISONS > 5


def test_a_recommended_schedule_with_equal_values_has_no_interval_and_bounds_its_rivals():
    "It stands at 90 %, so no other can be better by more than 10 points."
    table = decide(runs_table({"a": [0.9] * 4, "b": [0.7, 0.9, 0.6, 0.85]})).set_index("schedule")
    assert table.loc["a", ["low", "high"]].isna().all() and table.verdict["a"] == "best"
    assert 0 <= table.behind_high["b"] <= 0.1 + 1e-9 and table.behind_low["b"] >= -0.9
