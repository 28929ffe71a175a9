"""What users type: learning rates, seeds and schedules, parsed and never evaluated."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrlab.callbacks import CosineRestarts, OneCycle, Schedule, Triangular, warmup
from lrlab.recipes.kitchen import options, schedule_names
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.learning_rates import parse_lr


@pytest.mark.parametrize("text, seeds", [("3", [0, 1, 2]), (2, [0, 1]), ("0,5,7", [0, 5, 7]), ("4,", [4])])
def test_seeds(text, seeds):
    assert options.parse_seeds(text) == seeds


@pytest.mark.parametrize("scalar", [np.float32, np.float64, np.int64, np.array, torch.tensor])
def test_scalars_of_numpy_and_torch_are_numbers(scalar):
    assert parse_lr(scalar(2)).peak == options.parse_one_lr(scalar(2), "lr") == options.parse_minutes(scalar(2)) == 2
    assert parse_lr(slice(scalar(1), scalar(2))).first == options.parse_tolerance(scalar(1)) == 1
    if scalar not in (np.float32, np.float64):
        assert options.parse_seeds(scalar(2)) == [0, 1] and options.parse_epochs(scalar(2)) == [2]
        assert options.number(1, 9)(scalar(2), "threads") == options.parse_jobs(scalar(2)) == 2


@pytest.mark.parametrize("text", ["0", "-1", "1,1", "x", "", "1.5", "-3,2", "99999"])
def test_impossible_seeds_are_named(text):
    with pytest.raises(UserError, match="`seeds`"):
        options.parse_seeds(text)


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 7, 8, 12, 30])
@pytest.mark.parametrize("name", schedule_names.NAMES)
def test_every_named_schedule_ends_with_the_run(name, epochs):
    "Decays are down and cycles are at their end when the budget is spent, whatever the budget."
    steps_per_epoch = 31
    schedule = schedule_names.parse_schedules(name, epochs)[name]
    multipliers = schedule.multipliers(epochs * steps_per_epoch, steps_per_epoch)
    assert len(multipliers) == epochs * steps_per_epoch
    if name not in ("constant", "inverse_sqrt"):
        ends = schedule.cycle_ends(epochs * steps_per_epoch, steps_per_epoch)
        assert ends and ends[-1] >= epochs * steps_per_epoch - 2
        assert multipliers[-1] < 0.25


def test_sgdr_doubles_its_cycles_in_the_default_budget():
    assert schedule_names.parse_schedules("sgdr", 7)["sgdr"] == CosineRestarts(cycle_len=1.0, cycle_mult=2)


def test_names_and_calls_mix():
    text = 'cosine, OneCycle(pct_start=0.3), one-cycle, warmup(Triangular(cycle_len="30 steps"), "10%")'
    schedules = schedule_names.parse_schedules(text, 5)
    assert list(schedules)[:3] == ["cosine", "OneCycle(pct_start=0.3)", "one_cycle"]
    assert schedules["OneCycle(pct_start=0.3)"] == OneCycle(pct_start=0.3)
    assert list(schedules.values())[3] == warmup(Triangular(cycle_len="30 steps"), "10%")


@pytest.mark.parametrize(
    "text, says",
    [
        ("cosin", "did you mean cosine"),
        ("", "empty"),
        ("cosine,cosine", "twice"),
        ("OneCycle(pct_start=2)", "pct_start"),
        ("OneCycle(pct=0.3)", "pct"),
        ("OneCycl(pct_start=0.3)", "did you mean OneCycle"),
        ("OneCycle(", "not a constructor call"),
        ("(1, 2)", "not a schedule"),
        ("__import__('os').system('true')", "there is no"),
        ("OneCycle(pct_start=__import__('os'))", "there is no"),
        ("OneCycle(**{})", r"\*\*"),
        ("CosineDecay().__class__()", "there is no"),
        ("SCHEDULES()", "there is no"),
    ],
)
def test_bad_schedules_are_explained(text, says):
    with pytest.raises(UserError, match=says):
        schedule_names.parse_schedules(text, 5)


@settings(max_examples=300)
@given(st.text(max_size=60) | st.text("()[]{},.'\"=*_abcOneCycleCosineDecay0123 ", max_size=60))
def test_no_text_gives_anything_but_schedules_or_one_sentence(text):
    try:
        schedules = schedule_names.parse_schedules(text, 5)
    except UserError as error:
        assert str(error)
    else:
        assert all(isinstance(schedule, Schedule) for schedule in schedules.values())


@pytest.mark.parametrize("jobs", ["0", "-1", "many", "1.5", "1000"])
def test_impossible_jobs_are_named(jobs):
    with pytest.raises(UserError, match="`jobs`"):
        options.parse_jobs(jobs)


def test_auto_jobs_are_at_least_one():
    assert options.parse_jobs("auto") is None
