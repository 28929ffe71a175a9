"""A learning rate is parsed, shown and handed to fastai without losing what it means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.learning_rates import LearningRate, parse_lr

POSITIVE = st.floats(1e-12, 1e12)


@pytest.mark.parametrize(
    "value, fastai",
    [
        ("3e-3", 3e-3),
        ("slice(3e-6,3e-3)", slice(3e-6, 3e-3)),
        (" slice( 3e-6 , 3e-3 ) ", slice(3e-6, 3e-3)),
        ("slice(1e-2)", slice(1e-2)),
        (slice(1e-4, 1e-2), slice(1e-4, 1e-2)),
        (0.01, 0.01),
    ],
)
def test_a_learning_rate_means_what_fastai_means(value, fastai):
    assert LearningRate.parse(value).to_fastai() == fastai


def test_find_is_no_number():
    assert parse_lr(" Find ") is None


@pytest.mark.parametrize(
    "value",
    [
        *("", "0", "-1e-3", "nan", "inf", "three", "slice()", "slice(1e-3,1e-6)", "slice(1,2,3)", None, True, b"1"),
        *(slice(1, None, 3), slice(1, 2, 3), slice(None, 2, 3), slice(1, None)),
    ],
)
def test_an_impossible_learning_rate_is_named(value):
    with pytest.raises(UserError, match="`lr_max`"):
        parse_lr(value)


@given(POSITIVE)
def test_a_number_reads_back_as_it_was_shown(peak):
    assert LearningRate.parse(str(LearningRate(peak))) == LearningRate(peak)


@given(POSITIVE, POSITIVE)
def test_a_slice_reads_back_as_it_was_shown(a, b):
    if a != b:
        lr = LearningRate(max(a, b), min(a, b), is_slice=True)
        assert LearningRate.parse(str(lr)) == lr


def test_one_layer_group_trains_at_the_peak():
    assert LearningRate.parse("slice(3e-6,3e-3)").to_fastai(groups=1) == 3e-3


def test_scaling_moves_both_ends():
    assert str(LearningRate.parse("slice(3e-6,3e-3)").scaled(10**0.5)) == "slice(9.5e-6, 9.5e-3)"


def test_shown_learning_rates_are_short():
    shown = [str(LearningRate.parse(value)) for value in (slice(3e-6, 3e-3), 1000.0, 1.0)]
    assert shown == ["slice(3e-6, 3e-3)", "1e3", "1"]
