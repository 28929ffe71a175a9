"""What judges a run: names, directions, tolerances and words."""

from contextlib import nullcontext

import pytest

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.stats.measures import Measure


@pytest.mark.parametrize(
    ("text", "judge"),
    [
        ("accuracy", "accuracy"), ("loss", "-loss"), ("brier", "-brier"), ("error_rate", "-error_rate"),
        ("rmse", "-rmse"), ("dice", "dice"), ("cohen_kappa_score", "cohen_kappa_score"), ("my_score", "my_score"),
        ("mean_poisson_error", "-mean_poisson_error"), ("+profit", "profit"), ("-cost", "-cost"), ("+loss", "+loss"),
    ],
)  # fmt: skip
def test_the_direction_is_known_or_given(text, judge):
    assert Measure.parse(text).judge == judge and Measure.of(judge) == Measure.parse(text)


@pytest.mark.parametrize("text", ["", " ", "-", "+ ", None])
def test_a_measure_has_a_name(text):
    with pytest.raises(UserError, match="`judge`"):
        Measure.parse(text)


def test_a_direction_that_no_name_tells_is_unknown():
    assert Measure.parse("cost").lower_is_better is None


def test_a_tolerance_is_absolute_for_shares_and_relative_for_losses():
    assert Measure.parse("accuracy").margin(None, 0.5) == 0.01 == Measure.parse("error_rate").margin(None, 0.2)
    assert Measure.parse("loss").margin(None, 0.5) == 0.01 and Measure.parse("rmse").margin(0.1, 30.0) == 3.0
    assert Measure.parse("accuracy").margin(0.002, 0.5) == 0.002


@pytest.mark.parametrize("judge, is_refused", [("accuracy", True), ("loss", True), ("+psnr", False)])
def test_a_tolerance_leaves_differences_that_matter(judge, is_refused):
    with pytest.raises(UserError, match="`tolerance` 5: expected less than 1 of the") if is_refused else nullcontext():
        Measure.parse(judge).check_tolerance(5.0)


def test_words():
    accuracy, loss, kappa = map(Measure.parse, ("accuracy", "loss", "cohen_kappa_score"))
    assert (accuracy.amount(0.0123, 0.7), loss.amount(0.01, 0.3)) == ("1.3 points", "3.4 % of its loss")
    assert kappa.amount(0.0123, 0.7) == "0.0123 cohen kappa score" and kappa.unit == "cohen kappa score"
    assert accuracy.show(float("nan")) == loss.show(None) == "-"
    assert [m.tolerance_words(None) for m in (accuracy, loss, kappa)] == ["1 point", "2 % of the loss", "0.01"]
    assert accuracy.tolerance_words(0.005) == "0.5 points"
    assert Measure.of("my_test_accuracy").amount(0.0123, 0.7) == "1.3 points"
