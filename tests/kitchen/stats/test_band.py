"""The words of the safe band: known cases, how often they are wrong, and the LR sensitivity."""

import numpy as np
import pandas as pd
import pytest

from lrlab.recipes.kitchen.stats.band import COLUMNS, band, judge_lrs, sensitivity

LRS = ["1e-4", "1e-3", "1e-2", "1e-1"]
NOISE = np.random.default_rng(0).normal(0, 0.001, (4, 5))


def runs_of(values, schedule: str = "linear", lrs=LRS, measure: str = "accuracy") -> pd.DataFrame:
    "Rows of one schedule from an array [LRs, seeds]; nan is a diverged run."
    rows = [
        {"schedule": schedule, "lr_max": lrs[i], "seed": seed, "status": "ok" if np.isfinite(value) else "diverged"}
        | {measure: value, "valid_loss": 1 - value}
        for (i, seed), value in np.ndenumerate(np.asarray(values, float))
    ]
    return pd.DataFrame(rows)


def words(runs: pd.DataFrame, judge: str = "accuracy", **options) -> dict[str, str]:
    return judge_lrs(runs, judge, **options).set_index("lr_max").verdict.to_dict()


def test_the_four_words_and_the_band():
    wobble = np.array([0.02, -0.02, 0.03, -0.03, 0.0])
    runs = runs_of([0.6 + NOISE[0], 0.9 + NOISE[1], 0.898 + NOISE[2], 0.895 + wobble])
    table = judge_lrs(runs)
    assert list(table.columns) == COLUMNS and list(table.lr) == [1e-4, 1e-3, 1e-2, 1e-1]
    assert list(table.verdict) == ["costly", "best", "safe", "open"]
    assert band(table) == (1e-3, 1e-2) and band(table, ("best", "safe", "open")) == (1e-3, 1e-1)
    one = table.iloc[2]
    gap = runs.pivot(index="seed", columns="lr_max", values="accuracy")
    assert one.shortfall == pytest.approx((gap["1e-3"] - gap["1e-2"]).mean()) and one.low < one.shortfall < one.high


def test_the_grid_may_come_in_any_order_and_a_gap_ends_the_band():
    wobble = np.array([0.02, -0.02, 0.03, -0.03, 0.0])
    runs = runs_of([0.9 + NOISE[0], 0.897 + wobble, 0.9 + NOISE[2], 0.903 + NOISE[3]]).sample(frac=1, random_state=0)
    table = judge_lrs(runs)
    assert list(table.verdict) == ["safe", "open", "safe", "best"] and band(table) == (1e-2, 1e-1)


def test_a_loss_is_judged_relative_to_the_best_and_the_tolerance_can_be_given():
    losses = [0.5 + NOISE[0], 0.505 + NOISE[1], 0.52 + NOISE[2], 0.9 + NOISE[3]]
    runs = runs_of(losses, measure="loss")
    assert list(words(runs, "-loss").values()) == ["best", "safe", "costly", "costly"]
    assert list(words(runs, "-loss", tolerance=0.1).values()) == ["best", "safe", "safe", "costly"]
    table = judge_lrs(runs, "-loss")
    assert (table.shortfall[1:] > 0).all() and table.shortfall.iloc[2] == pytest.approx(0.02, abs=0.002)


def test_a_diverged_run_is_costly_a_failed_one_says_nothing():
    values = np.array([0.9 + NOISE[0], 0.9 + NOISE[1], 0.9 + NOISE[2], 0.9 + NOISE[3]])
    values[3, 2] = np.nan
    runs = runs_of(values)
    assert words(runs)["1e-1"] == "costly"
    assert words(runs.assign(status=runs.status.replace("diverged", "failed")))["1e-1"] != "costly"


def test_two_seeds_decide_nothing_and_no_finished_run_has_no_band():
    values = np.array([[0.1, 0.1], [0.9, 0.9], [0.9, 0.9], [0.2, 0.2]])
    assert set(words(runs_of(values)).values()) == {"best", "open"}
    nothing = judge_lrs(runs_of(np.full((4, 3), np.nan)))
    assert band(nothing) is None and set(nothing.verdict) == {"open"}


def test_equal_values_are_no_proof_of_precision():
    "Accuracy moves in steps of one image: three equal differences of one image do not show less than a tolerance."
    runs = runs_of([[0.90, 0.90, 0.90], [0.92, 0.92, 0.92]], lrs=LRS[:2])
    assert words(runs, tolerance=0.021)["1e-4"] == "open"


@pytest.mark.parametrize("n", [3, 5])
def test_an_lr_at_the_tolerance_is_rarely_called_safe_or_costly(n):
    rng = np.random.default_rng(1)
    draws = [np.array([[0.9], [0.91]]) + rng.normal(0, 0.004, (2, n)) for _ in range(300)]
    counts = pd.Series([words(runs_of(values, lrs=LRS[:2]))["1e-4"] for values in draws]).value_counts(normalize=True)
    assert counts.get("safe", 0) <= 0.08 and counts.get("costly", 0) <= 0.08


def test_sensitivity_is_wortsmans():
    "Mean over LRs of min(loss, initial loss) - best loss; a diverged run has the initial loss."
    losses = {"1e-4": [2.0, 2.0], "1e-3": [0.5, 0.7], "1e-2": [9.0, np.nan]}
    rows = [
        {"schedule": "linear", "lr_max": lr, "seed": seed, "valid_loss": loss}
        | {"status": "ok" if np.isfinite(loss) else "diverged"}
        for lr, own in losses.items()
        for seed, loss in enumerate(own)
    ]
    found = sensitivity(pd.DataFrame(rows), initial_loss=2.3)
    assert found.linear.to_dict() == pytest.approx({0: (2.0 + 0.5 + 2.3) / 3 - 0.5, 1: (2.0 + 0.7 + 2.3) / 3 - 0.7})
    failed = pd.DataFrame(rows).assign(status=["failed", *["ok"] * 4, "diverged"])
    assert sensitivity(failed, 2.3).linear.isna().tolist() == [True, False]
