"""CooldownOnPlateau: early stopping that ends with the cooldown; and what fastai's early stopping does instead."""

from __future__ import annotations

import numpy as np
import pytest
from fastai.callback.tracker import EarlyStoppingCallback

from lrlab.callbacks import (
    Constant,
    CooldownOnPlateau,
    CosineDecay,
    FlatCosine,
    HyperHistory,
    Resumable,
    StepDecay,
    Trapezoid,
    join,
)
from tests.callbacks.conftest import StopAfter, Stopped
from tests.callbacks.test_extend import same_data
from tests.callbacks.test_resume import same

AT_ONCE = {"min_delta": 1e6, "verbose": False}  # no epoch after the first is better


def fit(learn, schedule, *cbs, epochs=9, **options):
    history = HyperHistory()
    learn.fit_schedule(epochs, schedule, 0.1, cbs=[history, CooldownOnPlateau(**AT_ONCE | options), *cbs])
    return history.to_df()


@pytest.mark.parametrize(
    ("schedule", "epochs"),
    [
        (Trapezoid(warmup="10%", decay=2), [0, 1, 7, 8]),
        (Trapezoid(warmup=0, decay="25%", shape="1-sqrt"), [0, 1, 6, 7, 8]),  # begins at step 68, within epoch 6
        (FlatCosine(pct_start=0.75), [0, 1, 6, 7, 8]),
        (join([(Constant(), "60 steps"), (CosineDecay(), None)]), [0, 1, 6, 7, 8]),
        ({0: Constant(), -1: Trapezoid(warmup=0, decay=1)}, [0, 1, 8]),
    ],
    ids=repr,
)
def test_the_rest_of_the_plateau_is_left_out(make_learner, schedule, epochs):
    learn = make_learner(groups=3)
    last = (schedule[-1] if isinstance(schedule, dict) else schedule).multipliers(90, 10)
    table = fit(learn, schedule).query("group == 2")
    assert table.epoch.unique().tolist() == epochs and len(learn.recorder.values) == len(epochs)
    np.testing.assert_allclose(table.lr, 0.1 * last.reshape(9, 10)[epochs].ravel())
    assert table.step.tolist() == list(range(10 * len(epochs)))


def test_patience_and_an_improvement(make_learner, capsys):
    assert fit(make_learner(), Trapezoid(0, 1), patience=3).epoch.unique().tolist() == [0, 1, 2, 3, 8]
    learn = make_learner()
    learn.fit_schedule(5, Trapezoid(0, 1), 1e-3, cbs=CooldownOnPlateau())
    assert len(learn.recorder.values) == 5 and not capsys.readouterr().out  # the loss falls all the time
    fit(make_learner(), Trapezoid(0, 1), verbose=True)
    assert "Epoch 1: valid_loss not better than" in (out := capsys.readouterr().out) and "begins (epoch 8)" in out


def test_a_fit_of_steps(make_learner):
    learn, history = make_learner(), HyperHistory()
    cbs = [history, CooldownOnPlateau(**AT_ONCE)]
    learn.fit_schedule(steps=75, schedule=Trapezoid(0, "20 steps"), lr_max=0.1, cbs=cbs)
    assert history.to_df().groupby("epoch").size().to_dict() == {0: 10, 1: 10, 5: 10, 6: 10, 7: 5}


@pytest.mark.parametrize("stop", [1, 7])
def test_a_stopped_fit_is_resumed_in_its_cooldown(make_learner, tmp_path, stop):
    def run(name, *cbs):
        learn = make_learner(data=same_data(1))
        learn.path = tmp_path / name
        return fit(learn, Trapezoid(0, 2), Resumable("run"), *cbs), dict(learn.model.state_dict())

    table, weights = run("whole", StopAfter(99))
    with pytest.raises(Stopped):
        run("stopped", StopAfter(stop))
    resumed_table, resumed = run("stopped", StopAfter(99))
    assert resumed_table.equals(table) and table.epoch.unique().tolist() == [0, 1, 7, 8] and same(weights, resumed)


@pytest.mark.parametrize("schedule", [Constant(), CosineDecay(), StepDecay(), Trapezoid(0, "100%")], ids=repr)
def test_schedules_without_plateau_and_cooldown_are_refused(make_learner, schedule):
    with pytest.raises(ValueError, match="needs a schedule with a plateau and a cooldown after it, such as Trapezoid"):
        fit(make_learner(), schedule)


def test_what_else_is_refused(make_learner):
    with pytest.raises(ValueError, match="needs a schedule in the same fit"):
        make_learner().fit(2, cbs=CooldownOnPlateau())
    with pytest.raises(ValueError, match="CooldownOnPlateau counts epochs or steps"):
        make_learner().fit_schedule(minutes=1, schedule=Trapezoid("10%"), cbs=CooldownOnPlateau())
    with pytest.raises(ValueError, match="monitor must be one of train_loss, valid_loss; got 'accuracy'"):
        make_learner().fit_schedule(9, Trapezoid(0, 1), cbs=CooldownOnPlateau("accuracy"))


def test_early_stopping_of_fastais_is_warned_of(make_learner, recwarn):
    def early(schedule, patience):
        stop = EarlyStoppingCallback(min_delta=1e6, patience=patience)
        learn = make_learner()
        learn.fit_schedule(5, schedule, 0.1, cbs=stop)
        return learn.recorder.lrs[-1], [str(warning.message) for warning in recwarn if "Early" in str(warning.message)]

    assert early(Constant(), 1) == (0.1, []) and early(CosineDecay(), 4)[1] == []
    lr, (sentence,) = early(CosineDecay(), 1)
    assert lr > 0.06  # which is what the sentence warns of
    assert "may end the fit while the LR of CosineDecay(floor=0.0) is still high" in sentence
