"""StopOnDivergence: what it must call diverged, and what it must not."""

from __future__ import annotations

import math

import pytest
import torch
from fastai.basics import Callback
from fastai.callback.tracker import TerminateOnNaNCallback

from lrlab.callbacks import Constant, HyperHistory, OneCycle, StopOnDivergence


class LossesAre(Callback):
    "Makes the training losses a given sequence."

    order, run_valid = -5, False

    def __init__(self, losses):
        self.losses_to_show = iter(losses)

    def after_loss(self):
        self.learn.loss = torch.tensor(next(self.losses_to_show))


def test_an_exploding_fit_ends_and_says_where(make_learner):
    learn, stop, history = make_learner(), StopOnDivergence(), HyperHistory()
    learn.fit_schedule(10, Constant(), lr_max=10.0, cbs=[stop, history])
    df = history.to_df()
    assert stop.diverged
    assert (stop.lr, stop.loss) == (10.0, df.loss[stop.step])
    assert df.loss[stop.step] > 10 * df.loss[0] >= df.loss[stop.step - 1]
    assert len(df) == stop.step + 10 < 100
    assert f"step {stop.step}" in stop.reason and "LR 10" in stop.reason


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_fit_at_once(make_learner, bad):
    learn, stop, history = make_learner(), StopOnDivergence(), HyperHistory()
    learn.fit(3, cbs=[LossesAre([1.0, 2.0, bad]), stop, history])
    assert (stop.diverged, stop.step) == (True, 2) and not math.isfinite(stop.loss)
    assert len(history.to_df()) == 3


def test_it_knows_even_where_another_callback_ends_the_fit(make_learner):
    learn, stop = make_learner(), StopOnDivergence(every=7)
    learn.fit(1, cbs=[LossesAre([1.0, math.nan]), stop, TerminateOnNaNCallback()])
    assert (stop.diverged, stop.step) == (True, 1)


def test_looking_seldom_finds_the_same(make_learner):
    losses = [1.0] * 12 + [1e3] * 18
    found = []
    for every in (1, 4, 100):
        learn, stop = make_learner(), StopOnDivergence(every=every)
        learn.fit(3, cbs=[LossesAre(losses), stop])
        found.append((stop.step, stop.loss, stop.reason))
    assert found[0][:2] == (12, 1e3)
    assert found == [found[0]] * 3


@pytest.mark.parametrize(
    "losses",
    {
        "an early spike that recovers": [2.3, *[30.0] * 9, *[2.0] * 20],
        "outliers": [2.3, 1.0, 1e6, 1.0, 1e6] * 6,
        "a warm restart of a model that fits": [0.4, 0.01, 1e-6, 1e-6, 1e-6, *[0.6] * 25],
        "high from the start": [500.0] * 30,
    }.values(),
)
def test_what_is_not_divergence(make_learner, losses):
    learn, stop = make_learner(), StopOnDivergence()
    learn.fit(3, cbs=[LossesAre(losses), stop])
    assert not stop.diverged and stop.step is None and stop.reason == ""
    assert len(learn.recorder.losses) == 30


def test_a_high_one_cycle_run_that_recovers(make_learner):
    learn, stop, history = make_learner(), StopOnDivergence(), HyperHistory()
    learn.fit_schedule(10, OneCycle(), lr_max=0.5, moms=(0.95, 0.85), cbs=[stop, history])
    loss = history.to_df().loss
    assert loss.max() > 2 * loss[0] and loss.iloc[-1] < 0.02  # well above the start, then good
    assert not stop.diverged


def test_the_next_fit_starts_afresh_and_silence_is_the_default(make_learner, capsys):
    stop = StopOnDivergence()
    learn = make_learner(cbs=stop)
    learn.fit(10, lr=10.0)
    assert stop.diverged
    learn = make_learner(cbs=stop)
    learn.fit(1, lr=1e-3)
    assert not stop.diverged
    assert capsys.readouterr().out == ""
    stop.verbose = True
    learn.fit(10, lr=10.0)
    assert capsys.readouterr().out == f"{stop.reason}\n"


@pytest.mark.parametrize("bad", [{"factor": 1}, {"factor": math.nan}, {"floor": 0}, {"patience": 0}, {"every": 0.5}])
def test_bad_arguments(bad):
    (name, value), *_ = bad.items()
    with pytest.raises(ValueError, match=f"{name} must be .* got {value}"):
        StopOnDivergence(**bad)
