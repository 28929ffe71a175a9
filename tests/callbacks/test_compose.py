"""`warmup` and `join`: golden values, momentum, cycle ends, errors."""

from __future__ import annotations

import numpy as np
import pytest

import lrlab.callbacks
from lrlab.callbacks import (
    SGDR,
    Constant,
    CosineDecay,
    Join,
    OneCycle,
    PolynomialDecay,
    Triangular,
    Warmup,
    join,
    warmup,
)

# warmup


def test_warmup_rises_straight_to_the_schedules_first_multiplier():
    multipliers = warmup(CosineDecay(), 2).multipliers(60, 10)
    np.testing.assert_allclose(multipliers[:20], np.arange(20) / 20)
    np.testing.assert_array_equal(multipliers[20:], CosineDecay().multipliers(40, 10))


def test_warmup_starts_where_it_is_told_and_meets_a_schedule_that_starts_low():
    multipliers = warmup(OneCycle(div=10), "5 steps", start=0.02).multipliers(105, 10)
    np.testing.assert_allclose(multipliers[:6], [0.02, 0.036, 0.052, 0.068, 0.084, 0.1])


@pytest.mark.parametrize(("length", "steps"), [(1, 10), ("10%", 6), ("7 steps", 7), ("0.4 steps", 0)])
def test_warmup_lengths(length, steps):
    multipliers = warmup(Constant(), length).multipliers(60, 10)
    assert np.flatnonzero(multipliers == 1)[0] == steps


def test_the_schedule_counts_from_the_end_of_the_warmup():
    assert warmup(SGDR(cycle_len=2, cycle_mult=1), 1).cycle_ends(70, 10) == [29, 49, 69]
    assert warmup(SGDR(cycle_len="50%", cycle_mult=1), 1).cycle_ends(70, 10) == [39, 69]


def test_momentum_falls_while_the_lr_warms_up():
    shape = warmup(CosineDecay(floor=0.5), "4 steps").momentum_shape(8, 10)
    np.testing.assert_allclose(shape[:5], [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_array_equal(shape[4:], CosineDecay(floor=0.5).momentum_shape(4, 10))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule": "cosine", "length": 1}, "schedule must be a Schedule, got 'cosine'"),
        ({"schedule": lambda p: p, "length": 1}, r"as Custom\(f\)"),
        ({"schedule": CosineDecay(), "length": 0}, "length must be a positive number of epochs"),
        ({"schedule": CosineDecay(), "length": "ten"}, "length must be .* got 'ten'"),
        ({"schedule": CosineDecay(), "length": 1, "start": 1.5}, r"start must be a number in \[0, 1\], got 1.5"),
        ({"schedule": CosineDecay(), "length": 1, "start": -1}, r"start must be a number in \[0, 1\], got -1"),
    ],
)
def test_bad_arguments_of_warmup(arguments, message):
    with pytest.raises(ValueError, match=message):
        warmup(**arguments)


def test_a_warmup_that_leaves_nothing_of_the_run_is_refused():
    with pytest.raises(ValueError, match="length=8 is 80 steps, longer than the run's 70"):
        warmup(CosineDecay(), 8).multipliers(70, 10)
    with pytest.raises(ValueError, match="length='100%' takes all of the run's 70 steps"):
        warmup(CosineDecay(), "100%").multipliers(70, 10)


# join


def test_parts_follow_each_other_and_count_from_their_own_start():
    schedule = join([(PolynomialDecay(), 1), (Constant(), "50%"), (CosineDecay(), None)])
    multipliers = schedule.multipliers(60, 10)
    np.testing.assert_array_equal(multipliers[:10], PolynomialDecay().multipliers(10, 10))
    np.testing.assert_array_equal(multipliers[10:40], np.ones(30))
    np.testing.assert_array_equal(multipliers[40:], CosineDecay().multipliers(20, 10))


def test_the_bounds_of_the_parts_are_rounded_once():
    "Thirds of 100 steps begin at 0, 33 and 67; three times 33 would leave a step over."
    thirds = join([(PolynomialDecay(), 10 / 3)] * 3).multipliers(100, 10)
    assert np.flatnonzero(thirds == 1).tolist() == [0, 33, 67]


def test_sgdr_is_a_join_of_cosines():
    by_hand = join([(CosineDecay(), 1), (CosineDecay(), 2), (CosineDecay(), 4)])
    np.testing.assert_array_equal(by_hand.multipliers(700, 100), SGDR().multipliers(700, 100))
    assert by_hand.cycle_ends(700, 100) == SGDR().cycle_ends(700, 100) == [99, 299, 699]


def test_only_parts_before_a_rise_end_a_cycle():
    schedule = join([(Constant(), 1), (PolynomialDecay(floor=0.5), 1), (Constant(), 1), (SGDR(2, 1), 4)])
    assert schedule.cycle_ends(70, 10) == [19, 49, 69]
    assert join([(Triangular(cycle_len=2), 4), (Constant(), None)]).cycle_ends(60, 10) == [20, 39, 59]


def test_momentum_comes_from_the_parts():
    shape = join([(OneCycle(), "50%"), (CosineDecay(floor=0.5), None)]).momentum_shape(80, 10)
    np.testing.assert_array_equal(shape[:40], OneCycle().momentum_shape(40, 10))
    np.testing.assert_array_equal(shape[40:], CosineDecay(floor=0.5).momentum_shape(40, 10))


def test_compositions_nest():
    schedule = join([(warmup(Constant(), 1), 2), (join([(CosineDecay(), "50%"), (Constant(), None)]), None)])
    multipliers = schedule.multipliers(60, 10)
    np.testing.assert_allclose(multipliers[[0, 5, 10, 19, 20, 30, 40, 59]], [0, 0.5, 1, 1, 1, 0.5, 1, 1])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "parts must be at least one pair"),
        ([CosineDecay()], "parts must be pairs"),
        ([("cosine", 1)], r"parts\[0\] must be a Schedule, got 'cosine'"),
        ([(CosineDecay(), None), (Constant(), 1)], r"length of parts\[0\] must be .* got None"),
        ([(CosineDecay(), 1), (Constant(), -1)], r"length of parts\[1\] must be .* got -1"),
    ],
)
def test_bad_parts(parts, message):
    with pytest.raises(ValueError, match=message):
        join(parts)


@pytest.mark.parametrize(
    ("parts", "steps"),
    [
        ([(CosineDecay(), 3), (Constant(), 3)], r"\[30, 30\] steps, and the run has 70"),
        ([(CosineDecay(), 5), (Constant(), 3)], r"\[50, 30\] steps, and the run has 70"),
        ([(CosineDecay(), 7), (Constant(), None)], r"\[70, 0\] steps"),
        ([(CosineDecay(), 8), (Constant(), None)], r"\[80, -10\] steps"),
        ([(CosineDecay(), "0.2 steps"), (Constant(), None)], r"\[0, 70\] steps"),
    ],
)
def test_parts_that_do_not_fill_the_run_are_refused(parts, steps):
    with pytest.raises(ValueError, match=f"the parts take {steps}"):
        join(parts).multipliers(70, 10)


# Being values


@pytest.mark.parametrize("schedule", [warmup(SGDR(), "10%", 0.1), join([(Constant(), 1), (SGDR(), None)])], ids=str)
def test_reprs_evaluate_back(schedule):
    again = eval(repr(schedule), vars(lrlab.callbacks))
    assert again == schedule and hash(again) == hash(schedule)


def test_the_classes_take_what_the_functions_take():
    assert Warmup(SGDR(), 1) == warmup(SGDR(), 1)
    assert Join([(SGDR(), 1)]) == join([(SGDR(), 1)]) == join(iter([[SGDR(), 1]]))
