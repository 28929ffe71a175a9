"""The schedules by themselves: golden values, boundaries, errors, and what holds for all over random arguments.

Long because its tables are: a schedule is added by a row in each, and they share the schedules and their arguments.
"""

from __future__ import annotations

import math
import pickle
import tracemalloc
from fractions import Fraction

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrlab.callbacks
from lrlab.callbacks import (
    SCHEDULES,
    SGDR,
    Constant,
    CosineDecay,
    CosineRestarts,
    Custom,
    ExponentialDecay,
    ExpRange,
    FlatCosine,
    InverseSqrt,
    MultiStep,
    OneCycle,
    Points,
    PolynomialDecay,
    Rex,
    Schedule,
    StepDecay,
    Trapezoid,
    Triangular,
    Warmup,
    join,
    scaled,
    warmup,
)


def fading(p: float) -> float:
    return 1 - p / 2


# Examples

GOLDEN = [  # schedule, total_steps, steps_per_epoch, {step: multiplier}
    (Constant(), 10, 5, {0: 1, 9: 1}),
    (StepDecay(), 30, 10, {0: 1, 9: 1, 10: 0.5, 19: 0.5, 20: 0.25}),
    (StepDecay(every=7 / 3, gamma=0.1), 700, 100, {233: 1, 234: 0.1, 466: 0.1, 467: 0.01, 699: 0.01}),
    (StepDecay(every="30%", gamma=0.1), 100, 7, {29: 1, 30: 0.1, 60: 0.01, 90: 0.001}),
    (MultiStep(), 100, 7, {0: 1, 49: 1, 50: 0.1, 74: 0.1, 75: 0.01, 99: 0.01}),
    (MultiStep((1, "15 steps", 9), 0.5), 30, 10, {9: 1, 10: 0.5, 14: 0.5, 15: 0.25, 29: 0.25}),
    (ExponentialDecay(gamma=0.5), 20, 10, {0: 1, 5: math.sqrt(0.5), 10: 0.5}),
    (PolynomialDecay(), 10, 5, {0: 1, 5: 0.5, 9: 0.1}),
    (PolynomialDecay(power=2, floor=0.2), 10, 5, {0: 1, 5: 0.4}),
    (CosineDecay(), 10, 5, {0: 1, 5: 0.5}),
    (CosineDecay(floor=0.1), 300, 5, {0: 1, 100: 0.775, 150: 0.55, 200: 0.325}),
    (InverseSqrt(warmup="25%"), 100, 10, {0: 0, 5: 0.2, 25: 1, 36: 5 / 6, 64: 5 / 8}),
    (Rex(), 10, 5, {0: 1, 5: 2 / 3}),
    (Triangular(cycle_len=1, floor=0), 40, 10, {0: 0, 5: 1, 10: 0, 15: 1, 12: 0.4}),
    (Triangular(cycle_len=1, gamma=0.5), 40, 10, {0: 0.1, 5: 1, 15: 0.55, 25: 0.325}),
    (Triangular(cycle_len=1, gamma=0.5, decay="peak"), 60, 10, {5: 1, 15: 0.5, 35: 0.125, 45: 0.1, 55: 0.1}),
    (Triangular(cycle_len=1, cycle_mult=3, floor=0), 40, 10, {5: 1, 10: 0, 25: 1}),
    (ExpRange(cycle_len=1, gamma=0.9, floor=0.2), 40, 10, {0: 0.2, 5: 0.2 + 0.8 * 0.9**5, 25: 0.2 + 0.8 * 0.9**25}),
    (SGDR(), 700, 100, {0: 1, 50: 0.5, 100: 1, 200: 0.5, 300: 1, 500: 0.5}),  # fastai is late at step 300
    (SGDR(gamma=0.5, floor=0.3), 700, 100, {0: 1, 100: 0.5, 200: 0.4, 300: 0.3, 699: 0.3}),
    (SGDR(gamma=0.5, floor=0.2, decay="amplitude"), 700, 100, {0: 1, 100: 0.6, 300: 0.4}),
    (SGDR(cycle_len=4, cycle_mult=0.5), 700, 100, {0: 1, 200: 0.5, 400: 1, 600: 1, 650: 0.5}),
    (SGDR("1 steps", cycle_mult=1), 10, 5, {0: 1, 5: 1, 9: 1}),
    (SGDR("1 steps"), 10, 5, {0: 1, 1: 1, 2: 0.5, 3: 1, 5: 0.5, 7: 1}),
    (SGDR("5 steps", 1.5, rounding="each"), 30, 5, {0: 1, 5: 1, 12: 1, 17: 0.5, 22: 1}),
    (Triangular("5 steps", 1.5, rounding="each", floor=0), 30, 5, {0: 0, 5: 0, 12: 0, 17: 1, 22: 0}),
    (OneCycle(), 100, 10, {0: 0.04, 25: 1}),
    (OneCycle(pct_start=0, div_final=10), 10, 5, {0: 1, 5: 0.55}),
    (OneCycle(pct_start=1, div=10), 10, 5, {0: 0.1, 5: 0.55}),
    (FlatCosine(div_final=10), 100, 10, {0: 1, 75: 1, 74: 1}),
    (FlatCosine(pct_start=0.5, div_final=10), 100, 10, {50: 1, 75: 0.55}),
    (FlatCosine(pct_start=1), 10, 10, {0: 1, 9: 1}),
    (Trapezoid(), 100, 10, {0: 0, 5: 0.5, 10: 1, 80: 1, 90: 0.5}),
    (Trapezoid(0, "100%", "1-sqrt", floor=0.2), 100, 10, {0: 1, 25: 0.6, 64: 0.36}),
    (Trapezoid(1, "20 steps", "exponential"), 40, 10, {0: 0, 5: 0.5, 10: 1, 20: 1, 30: 0.1, 35: 0.1**1.5}),
    (Trapezoid(1, 2, "exponential", floor=0.25), 40, 10, {0: 0.25, 2: 0.4, 20: 1, 25: 2**-0.5, 30: 0.5}),
    (Trapezoid("50%", "50%"), 139, 10, {0: 0, 35: 0.5, 69: 69 / 70, 70: 1, 138: 1 / 69}),
    (Points(), 10, 5, {0: 0, 3: 1, 9: 1 / 7}),
    (Points(((0.5, 0.2), (1, 1))), 10, 5, {0: 0.2, 5: 0.2}),
    (Custom(fading), 10, 5, {0: 1, 5: 0.75}),
]


@pytest.mark.parametrize(("schedule", "total_steps", "steps_per_epoch", "expected"), GOLDEN, ids=str)
def test_golden_values(schedule, total_steps, steps_per_epoch, expected):
    multipliers = schedule.multipliers(total_steps, steps_per_epoch)
    for step, multiplier in expected.items():
        assert multipliers[step] == pytest.approx(multiplier, abs=1e-12), f"step {step}"


def test_every_schedule_has_golden_values():
    assert {type(schedule) for schedule, *_ in GOLDEN} == set(SCHEDULES.values())


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=lambda schedule: schedule.__name__)
def test_every_schedule_has_an_example_in_its_docstring(schedule):
    assert ">>> " in schedule.__doc__


@pytest.mark.parametrize(
    ("length", "steps"),
    [
        (2, 20),
        (1.5, 15),
        ("2 epochs", 20),
        ("1 epoch", 10),
        ("30 steps", 30),
        ("1 step", 1),
        ("30%", 12),
        (" 7 STEPS ", 7),
        ("1e1 steps", 10),
        (".5 epochs", 5),
    ],
)
def test_lengths(length, steps):
    multipliers = StepDecay(every=length).multipliers(40, 10)
    assert np.flatnonzero(multipliers < 1)[0] == steps


# Cycles


@pytest.mark.parametrize(
    ("cycle_len", "cycle_mult", "starts"),
    [
        (1, 1, [0, 100, 200, 300, 400, 500, 600, 700]),
        (1, 2, [0, 100, 300, 700]),
        (7 / 4, 1, [0, 175, 350, 525, 700]),
        (7 / 3, 1, [0, 233, 467, 700]),  # 233.33 and 466.67 rounded, not 2 * 233
        (7 / 6, 1, [0, 117, 233, 350, 467, 583, 700]),
        (1, 1.5, [0, 100, 250, 475, 812]),  # 812.5 to even, as Python rounds
        (4, 0.5, [0, 400, 600, 700]),
        ("100 steps", 2, [0, 100, 300, 700]),
        ("50%", 1, [0, 350, 700]),
    ],
)
@pytest.mark.parametrize("kind", [Triangular, CosineRestarts])
def test_cycles_begin_on_the_exact_step(kind, cycle_len, cycle_mult, starts):
    schedule = kind(cycle_len=cycle_len, cycle_mult=cycle_mult, floor=0.1)
    multipliers = schedule.multipliers(700, 100)
    begins = multipliers == (1 if kind is CosineRestarts else 0.1)
    assert np.flatnonzero(begins).tolist() == [start for start in starts if start < 700]
    completed = [start for start in starts[1:] if start <= 700]
    if kind is CosineRestarts:
        assert schedule.cycle_ends(700, 100) == [end - 1 for end in completed]
    else:
        assert schedule.cycle_ends(700, 100) == [min(end, 699) for end in completed]


@given(st.integers(1, 60), st.integers(2, 60), st.integers(1, 50))
@settings(max_examples=100)
def test_equal_cycles_end_exactly_with_the_run(epochs, cycles, steps_per_epoch):
    "Whatever fraction of the run a cycle is: no drift, and the rounded bounds of exact arithmetic."
    total_steps = epochs * steps_per_epoch
    if total_steps < 3 * cycles:
        total_steps *= 3 * cycles
        epochs *= 3 * cycles
    ends = SGDR(epochs / cycles, cycle_mult=1).cycle_ends(total_steps, steps_per_epoch)
    assert [end + 1 for end in ends] == [round(Fraction(total_steps * i, cycles)) for i in range(1, cycles + 1)]


def test_a_cycle_cut_off_by_the_run_has_no_end():
    assert SGDR(cycle_len=2, cycle_mult=1).cycle_ends(70, 10) == [19, 39, 59]
    assert Triangular(cycle_len=2).cycle_ends(70, 10) == [20, 40, 60]
    assert SGDR(cycle_len=8).cycle_ends(70, 10) == []


@pytest.mark.parametrize("schedule", [OneCycle(), CosineDecay(), StepDecay(), Trapezoid(), Points()], ids=str)
def test_without_cycles_the_last_step_is_the_end(schedule):
    assert schedule.cycle_ends(70, 10) == [69]


# Errors

BAD = [
    ("gamma", [0, -0.1, 1.1, True, "0.5", None, math.nan, math.inf], [StepDecay, ExponentialDecay, Triangular]),
    ("gamma", [0, -0.1, 1.1, True, "0.5", None, math.nan, math.inf], [SGDR, ExpRange]),
    ("every", [0, -1, math.nan, math.inf, True, None, "", "3", "3 days"], [StepDecay, ExponentialDecay]),
    ("every", ["-3 steps", "0 steps", "101%", "nan epochs"], [StepDecay, ExponentialDecay]),
    ("gamma", [0, 1.1, "0.5", None], [MultiStep]),
    ("milestones", [(), 3, "50%", None], [MultiStep]),
    ("rounding", ["up", None, 1], [Triangular, SGDR]),
    ("cycle_len", [0, -1, math.nan, False, "x", "1e999 steps", [1]], [Triangular, ExpRange, SGDR]),
    ("cycle_mult", [0, -2, math.inf, math.nan, "2", True], [Triangular, SGDR]),
    ("decay", ["top", None, 1], [Triangular, SGDR]),
    ("floor", [-0.1, 1, 2, math.nan, "0", False], [PolynomialDecay, CosineDecay, Rex, Trapezoid]),
    ("floor", [-0.1, 1, 2, math.nan, "0", False], [Triangular, ExpRange, SGDR]),
    ("power", [0, -1, math.inf, math.nan, "2"], [PolynomialDecay]),
    ("warmup", [0, -1, "10", math.nan, True], [InverseSqrt]),
    ("warmup", [-1, "10", math.nan, True], [Trapezoid]),
    ("decay", [-1, "10", math.nan, True], [Trapezoid]),
    ("shape", ["sqrt", None, 1], [Trapezoid]),
    ("pct_start", [-0.1, 1.1, math.nan, "0.5", True], [OneCycle, FlatCosine]),
    ("div", [0, 0.5, -1, math.inf, math.nan, "25"], [OneCycle]),
    ("div_final", [0, 0.5, -1, math.inf, math.nan, "25"], [OneCycle, FlatCosine]),
    ("points", [(), 1, None, ((0, 0), (0, 1)), ((0.5, 0), (0.2, 1)), (1, 2)], [Points]),
    ("points", [((0, 2),), ((-1, 0),), ((0, math.nan),), ((0, "1"),)], [Points]),
    ("f", [None, 1, "f"], [Custom]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [(kind, name, value) for name, values, kinds in BAD for kind in kinds for value in values],
)
def test_a_bad_argument_is_named_with_its_value_and_range(kind, name, value):
    with pytest.raises(ValueError, match=f"{name} must be") as error:
        kind(**{name: value})
    shown = repr(value) if name not in ("points", "milestones") else ""
    assert shown in str(error.value)


@pytest.mark.parametrize(
    ("schedule", "total_steps", "message"),
    [
        (SGDR("0.4 steps"), 70, "cycle_len of 0.4 steps.* at least one step"),
        (SGDR(1e-300), 70, "at least one step"),
        (SGDR(2, cycle_mult=0.5), 70, "cycle_mult=0.5 makes a cycle of less than a step"),
        (Triangular("0.4 steps"), 70, "at least one step"),
        (SGDR("3 steps", 0.5, rounding="each"), 70, "cycle_mult=0.5 makes a cycle of less than a step"),
        (MultiStep((2, 1)), 70, r"milestones must rise, and \(2, 1\) are at the steps \[20, 10\]"),
        (StepDecay("0.5 steps"), 70, "every='0.5 steps' is 0.5 steps; it must be at least 1"),
        (InverseSqrt(300), 70, "warmup=300 is 3000 steps, longer than the run's 70"),
        (Trapezoid("60%", "50%"), 70, r"take 42 \+ 35 steps, more than the run's 70"),
        (Trapezoid(0, "71 steps"), 70, r"decay='71 steps' take 0 \+ 71 steps, more than the run's 70"),
        (Custom(lambda p: p - 0.5), 70, "at step 0 must be a number in .0, inf., got -0.5"),
        (Custom(lambda p: math.nan), 70, "at step 0 must be a number"),
        (Custom(lambda p: "high"), 70, "got 'high'"),
        (Constant(), 0, "total_steps must be a whole number of at least 1, got 0"),
        (Constant(), 1.5, "total_steps must be a whole number of at least 1, got 1.5"),
        (Constant(), True, "total_steps must be"),
    ],
)
def test_what_the_run_cannot_hold_raises_at_the_start_of_the_fit(schedule, total_steps, message):
    for method in (schedule.multipliers, schedule.momentum_shape):
        with pytest.raises(ValueError, match=message):
            method(total_steps, 10)


def test_a_bad_number_of_steps_per_epoch_is_named():
    with pytest.raises(ValueError, match="steps_per_epoch must be a whole number of at least 1, got 0"):
        Constant().multipliers(10, 0)


# Every schedule, over random arguments

STEPS_PER_EPOCH = 10
FLOOR, GAMMA = st.floats(0, 0.99), st.floats(0.01, 1)
LENGTH = st.one_of(
    st.integers(1, 9),
    st.floats(0.3, 9),
    st.integers(3, 60).map("{} steps".format),
    st.floats(0.5, 9).map("{:.3f} epochs".format),
    st.integers(10, 100).map("{}%".format),
)
SHARE = st.integers(0, 50).map("{}%".format)
DECAY = st.sampled_from(["peak", "amplitude"])
RISING = st.lists(st.floats(0, 1), min_size=1, max_size=5, unique=True).map(sorted)
RANDOM = {
    Constant: st.builds(Constant),
    StepDecay: st.builds(StepDecay, LENGTH, GAMMA),
    MultiStep: st.builds(MultiStep, st.sampled_from([("20%",), ("10%", "50%", "80%"), (0.3, 0.8, "3 epochs")]), GAMMA),
    ExponentialDecay: st.builds(ExponentialDecay, GAMMA, LENGTH),
    PolynomialDecay: st.builds(PolynomialDecay, st.floats(0.1, 9), FLOOR),
    CosineDecay: st.builds(CosineDecay, FLOOR),
    InverseSqrt: st.builds(InverseSqrt, SHARE.filter("0%".__ne__)),
    Rex: st.builds(Rex, FLOOR),
    Triangular: st.builds(Triangular, LENGTH, st.floats(1, 3), GAMMA, DECAY, FLOOR),
    ExpRange: st.builds(ExpRange, LENGTH, st.floats(0.9, 1), FLOOR),
    CosineRestarts: st.builds(CosineRestarts, LENGTH, st.floats(1, 3), GAMMA, DECAY, FLOOR),
    OneCycle: st.builds(OneCycle, st.floats(0, 1), st.floats(1, 1e3), st.floats(1, 1e9)),
    FlatCosine: st.builds(FlatCosine, st.floats(0, 1), st.floats(1, 1e9)),
    Trapezoid: st.builds(
        Trapezoid, SHARE, SHARE, st.sampled_from(["linear", "cosine", "1-sqrt", "exponential"]), FLOOR
    ),
    Points: RISING.flatmap(
        lambda at: st.tuples(*(st.tuples(st.just(p), st.floats(0, 1)) for p in at)).map(lambda points: Points(points))
    ),
    Custom: st.just(Custom(fading)),
}
ANY = st.one_of(*RANDOM.values())
COMPOSED = st.one_of(
    ANY,
    st.builds(warmup, ANY, st.just("20%"), st.floats(0, 1)),
    st.builds(lambda first, then: join([(first, "50%"), (then, None)]), ANY, ANY),
    st.builds(scaled, ANY, st.floats(0.01, 1)),
)
TOTAL = st.integers(40, 200)
thorough = settings(max_examples=400)


def test_every_schedule_is_drawn():
    assert set(RANDOM) == set(SCHEDULES.values())


@given(COMPOSED, TOTAL)
@thorough
def test_multipliers_are_finite_and_between_0_and_1(schedule, total_steps):
    multipliers = schedule.multipliers(total_steps, STEPS_PER_EPOCH)
    assert multipliers.shape == (total_steps,) and multipliers.dtype == np.float64
    assert np.isfinite(multipliers).all() and multipliers.min() >= 0 and multipliers.max() <= 1
    shape = schedule.momentum_shape(total_steps, STEPS_PER_EPOCH)
    assert shape.shape == (total_steps,) and shape.min() >= 0 and shape.max() <= 1


@given(COMPOSED, TOTAL, st.integers(1, 50))
@thorough
def test_the_array_is_the_same_whole_or_in_slices(schedule, total_steps, block):
    "A long run is computed in blocks; where they begin must not matter, nor must the steps before them."
    whole = schedule.multipliers(total_steps, STEPS_PER_EPOCH)
    shape = schedule.momentum_shape(total_steps, STEPS_PER_EPOCH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lrlab.callbacks.schedule, "BLOCK", block)
        np.testing.assert_array_equal(schedule.multipliers(total_steps, STEPS_PER_EPOCH), whole)
        np.testing.assert_array_equal(schedule.momentum_shape(total_steps, STEPS_PER_EPOCH), shape)


@given(COMPOSED)
@thorough
def test_repr_equality_hash_and_pickle(schedule):
    again = eval(repr(schedule), vars(lrlab.callbacks) | {"fading": fading})
    assert again == schedule and hash(again) == hash(schedule) and repr(again) == repr(schedule)
    assert pickle.loads(pickle.dumps(schedule)) == schedule


@given(COMPOSED, TOTAL)
@thorough
def test_cycle_ends_are_minima(schedule, total_steps):
    "No step of a cycle has a lower LR than its end; triangles are on the floor there, unless the run ends first."
    multipliers = schedule.multipliers(total_steps, STEPS_PER_EPOCH)
    ends = schedule.cycle_ends(total_steps, STEPS_PER_EPOCH)
    assert all(type(end) is int for end in ends) and ends == sorted(set(ends))
    assert all(0 <= end < total_steps for end in ends)
    if isinstance(schedule, CosineRestarts):
        for start, end in zip([0, *(end + 1 for end in ends)], ends, strict=False):
            assert multipliers[end] == multipliers[start : end + 1].min()
    if isinstance(schedule, Triangular | ExpRange):
        assert all(multipliers[end] == schedule.floor for end in ends if end < total_steps - 1)


@given(st.sampled_from([Triangular, CosineRestarts]), LENGTH, st.floats(1, 3), GAMMA, DECAY, FLOOR, TOTAL)
@thorough
def test_every_cycle_starts_at_its_documented_height(kind, cycle_len, cycle_mult, gamma, decay, floor, total_steps):
    schedule = kind(cycle_len, cycle_mult, gamma, decay, floor)
    multipliers = schedule.multipliers(total_steps, STEPS_PER_EPOCH)
    lengths = schedule.cycle_ends(total_steps, STEPS_PER_EPOCH)
    starts = [0, *(end + (kind is CosineRestarts) for end in lengths)]
    for i, start in enumerate(start for start in starts if start < total_steps - 1):
        top = max(gamma**i, floor) if decay == "peak" else floor + (1 - floor) * gamma**i
        assert multipliers[start] == pytest.approx(top if kind is CosineRestarts else floor, abs=1e-12)


STARTS_AND_ENDS = [  # kind, multiplier at step 0, limit at the end of the run
    (CosineDecay, lambda s: 1, lambda s: s.floor),
    (PolynomialDecay, lambda s: 1, lambda s: s.floor),
    (Rex, lambda s: 1, lambda s: s.floor),
    (InverseSqrt, lambda s: 0, None),
    (OneCycle, lambda s: 1 / s.div if s.pct_start else 1, lambda s: 1 / s.div_final if s.pct_start < 1 else 1),
    (FlatCosine, lambda s: 1, lambda s: 1 / s.div_final if s.pct_start < 1 else 1),
    (Trapezoid, lambda s: s.floor, lambda s: s.floor),
    (ExponentialDecay, lambda s: 1, None),
    (StepDecay, lambda s: 1, None),
    (Triangular, lambda s: s.floor, None),
    (ExpRange, lambda s: s.floor, None),
    (CosineRestarts, lambda s: 1, None),
]


@pytest.mark.parametrize(("kind", "start", "end"), STARTS_AND_ENDS)
def test_starts_and_ends_as_documented(kind, start, end):
    schedules = RANDOM[kind]
    if kind is Trapezoid:  # with a rise and a fall of at least one step each
        schedules = schedules.filter(lambda s: min(float(s.warmup[:-1]), float(s.decay[:-1])) >= 3)

    @given(schedules, TOTAL)
    @settings(max_examples=30)
    def check(schedule, total_steps):
        multipliers = schedule.multipliers(total_steps, STEPS_PER_EPOCH)
        assert multipliers[0] == pytest.approx(start(schedule), abs=1e-12)
        if end is not None:
            beyond = schedule._curve(lrlab.callbacks.arguments.Budget(total_steps, STEPS_PER_EPOCH))
            assert beyond(np.array([float(total_steps)])).item() == pytest.approx(end(schedule), abs=1e-12)

    check()


# Momentum


def test_momentum_moves_against_the_lr():
    assert OneCycle().momentum_shape(100, 10)[[0, 25]].tolist() == [0, 1]
    assert Triangular(cycle_len=1, gamma=0.5).momentum_shape(40, 10)[[0, 5, 10, 15]] == pytest.approx([0, 1, 0, 0.5])
    assert Constant().momentum_shape(3, 1).tolist() == [1, 1, 1]
    assert CosineDecay(floor=0.5).momentum_shape(4, 1) == pytest.approx(CosineDecay().multipliers(4, 1))
    assert Custom(lambda p: 2 * p).momentum_shape(4, 1).tolist() == [0, 0.5, 1, 1]


# Being a value


def test_numpy_numbers_become_plain_ones():
    schedule = SGDR(np.int64(2), np.float64(2), floor=np.float32(0.25))
    assert repr(schedule) == "CosineRestarts(cycle_len=2, cycle_mult=2.0, gamma=1.0, decay='peak', floor=0.25)"
    assert repr(Points(np.array([[0, 1], [1, 0]]))) == "Points(points=((0, 1), (1, 0)))"


def test_schedules_are_frozen():
    with pytest.raises(AttributeError):
        OneCycle().div = 3


def test_different_arguments_make_different_schedules():
    assert len({SGDR(), SGDR(gamma=0.5), Triangular(), OneCycle(), SGDR()}) == 4
    assert CosineDecay() != Rex()


def test_a_schedule_of_ones_own_needs_only_a_curve():
    class Half(Schedule):
        def _curve(self, budget):
            return lambda t: np.full_like(t, 0.5)

    assert Half().multipliers(3, 1).tolist() == [0.5] * 3
    assert warmup(Half(), "2 steps").multipliers(4, 1).tolist() == [0, 0.25, 0.5, 0.5]


def test_the_names_that_repr_uses_are_exported():
    assert set(SCHEDULES) <= set(lrlab.callbacks.__all__)
    assert {"Warmup", "Join"} <= set(lrlab.callbacks.__all__)
    assert isinstance(warmup(Constant(), 1), Warmup)


# Long runs and figures


@pytest.mark.parametrize("schedule", [SGDR(1 / 3, 1), OneCycle(), warmup(Triangular(), 1), ExpRange()], ids=str)
def test_ten_million_steps_take_less_than_100_mb(schedule):
    tracemalloc.start()
    multipliers = schedule.multipliers(10_000_000, 10_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert multipliers.nbytes == 80_000_000
    assert peak < 100_000_000


def test_plot_draws_the_lr_against_epochs():
    matplotlib.use("Agg")
    ax = SGDR().plot(7, 10, lr_max=0.1)
    (line,) = ax.lines
    epochs, lrs = line.get_data()
    assert epochs[-1] == 7
    np.testing.assert_array_equal(lrs[:-1], 0.1 * SGDR().multipliers(70, 10))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "learning rate")
    assert OneCycle().plot(1, 10, ax=ax) is ax and len(ax.lines) == 2
    matplotlib.pyplot.close(ax.figure)


def test_plot_names_bad_arguments():
    with pytest.raises(ValueError, match="epochs must be a number"):
        SGDR().plot(0, 10)
    with pytest.raises(ValueError, match="lr_max must be a number"):
        SGDR().plot(1, 10, lr_max="3e-3")
