"""Schedule lint: what it says, and that it is silent where all is well."""

from __future__ import annotations

import pytest

from lrlab.callbacks import (
    SGDR,
    Constant,
    CosineDecay,
    CosineRestarts,
    Custom,
    ExponentialDecay,
    FlatCosine,
    OneCycle,
    Points,
    PolynomialDecay,
    Rex,
    StepDecay,
    Trapezoid,
    Triangular,
    join,
    warmup,
)


@pytest.mark.parametrize(
    "schedule",
    [
        Constant(), StepDecay(), ExponentialDecay(), PolynomialDecay(), CosineDecay(), Rex(), OneCycle(), FlatCosine(),
        Trapezoid(), Points(), SGDR(), SGDR(1, 1), Triangular(7 / 3), Triangular(7), warmup(CosineDecay(), 1),
        StepDecay("200 steps"), SGDR("100 steps"), warmup(SGDR(2, 1), 1), join([(Constant(), 1), (SGDR(2, 1), 6)]),
    ],
    ids=str,
)  # fmt: skip
def test_nothing_to_say(schedule):
    assert schedule.lint(700, 100) == []


@pytest.mark.parametrize(
    ("schedule", "hint"),
    [
        (
            Triangular(2),
            "Triangular ends mid-cycle at multiplier 0.991: the run cuts cycle 4 after 100 of its 200 steps",
        ),
        (
            CosineRestarts(2, 2),
            "CosineRestarts ends mid-cycle at multiplier 0.963: the run cuts cycle 3 after 100 of its 800 steps",
        ),
        (CosineRestarts(7), "CosineRestarts never restarts: the run is its first cycle"),
        (StepDecay(300), 'every=300 counts epochs, and there are 7; write "300 steps" if steps are meant'),
        (StepDecay("3 steps", 0.99), "every='3 steps' is 0.03 of an epoch; write 3 if epochs are meant"),
        (Custom(lambda p: 1 + p / 2), "goes above lr_max, up to multiplier 1.5"),
        (Points(((0, 0.2), (1, 0.1))), "never comes near lr_max: its highest multiplier is 0.2"),
        (
            ExponentialDecay(0.01, "1 epochs"),
            "hardly trains in 57 % of its steps: the multiplier is below 1e-6 there",
        ),
    ],
)
def test_what_it_says(schedule, hint):
    assert schedule.lint(700, 100) == [hint]


def test_epochs_for_steps_are_found_in_a_cycle_length():
    said = CosineRestarts(cycle_len=300).lint(500, 100)
    assert said[0] == 'cycle_len=300 counts epochs, and there are 5; write "300 steps" if steps are meant'
    assert any("ends mid-cycle" in hint for hint in said)


@pytest.mark.parametrize(
    ("schedule", "refusal", "hint"),
    [
        (
            warmup(CosineDecay(), 300),
            "the fit would refuse this: length=300 is 30000 steps, longer than the run's 500",
            'length=300 counts epochs, and there are 5; write "300 steps" if steps are meant',
        ),
        (
            join([(CosineDecay(), 100), (Constant(), None)]),
            "the fit would refuse this: the parts take [10000, -9500] steps",
            'length of parts[0]=100 counts epochs, and there are 5; write "100 steps" if steps are meant',
        ),
        (
            SGDR("1 steps", 0.5),
            "the fit would refuse this: cycle_len of 1 steps",
            "cycle_len='1 steps' is 0.01 of an epoch; write 1 if epochs are meant",
        ),
    ],
)
def test_what_the_fit_would_refuse_comes_first(schedule, refusal, hint):
    said = schedule.lint(500, 100)
    assert said[0].startswith(refusal)
    assert said[1:] == [hint]


def test_parts_are_linted_in_their_own_share_of_the_run():
    said = warmup(SGDR(2, 1), 2).lint(700, 100)
    assert said == [
        "CosineRestarts ends mid-cycle at multiplier 0.508: the run cuts cycle 3 after 100 of its 200 steps"
    ]
    said = join([(Triangular(4), 2), (CosineDecay(), None)]).lint(700, 100)
    assert said == [
        'cycle_len=4 counts epochs, and there are 2; write "4 steps" if steps are meant',
        "Triangular ends mid-cycle at multiplier 0.995: the run cuts cycle 1 after 200 of its 400 steps",
    ]
