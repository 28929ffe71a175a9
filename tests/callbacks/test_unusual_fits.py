"""Fits that are seldom: without a Recorder, without a full batch, after half a step, with epochs that fastai skips."""

from __future__ import annotations

import pytest
import torch
from fastai.basics import Recorder
from fastai.callback.training import GradientAccumulation
from fastai.test_utils import synth_dbunch

from lrlab.callbacks import (
    CooldownOnPlateau,
    CosineDecay,
    Extendable,
    PolynomialDecay,
    ReduceOnPlateau,
    Resumable,
    ScheduleLR,
    Trapezoid,
)


@pytest.mark.parametrize(
    ("name", "act"),
    {
        "ReduceOnPlateau": lambda learn: learn.fit(1, cbs=ReduceOnPlateau()),
        "CooldownOnPlateau": lambda learn: learn.fit_schedule(3, Trapezoid(1, 1), cbs=CooldownOnPlateau()),
        "Resumable": lambda learn: learn.fit(1, cbs=Resumable("run")),
        "Extendable": lambda learn: learn.fit_schedule(3, Trapezoid(1, 1), cbs=Extendable("run")),
        "the LR range test": lambda learn: learn.lr_range_test(),
    }.items(),
)
def test_a_recorder_that_is_missing_is_asked_for(make_learner, name, act):
    learn = make_learner()
    learn.remove_cb(Recorder)
    with pytest.raises(ValueError, match=f"{name} needs fastai's Recorder"):
        act(learn)


def test_a_time_without_a_full_batch_is_refused(make_learner):
    learn = make_learner(data=synth_dbunch(n_train=0))
    with pytest.raises(ValueError, match="would make no step: the training data give no full batch"):
        learn.fit_schedule(minutes=1, schedule=CosineDecay())


def test_the_preview_forgets_what_was_accumulated_as_the_next_fit_does(make_learner, witness):
    learn = make_learner(cbs=GradientAccumulation(48))  # the batches have 16 items, the epoch has 10 batches
    for _ in range(2):
        preview = learn.preview_schedule(2, PolynomialDecay(), 0.1).lrs.tolist()
        learn.fit_schedule(2, PolynomialDecay(), 0.1, cbs=witness)
        assert preview == witness.lrs


def test_an_extendable_fit_may_start_with_fastais_start_epoch(make_learner):
    learn = make_learner(cbs=ScheduleLR(Trapezoid(1, 1)))
    learn.fit(4, 0.1, cbs=Extendable("run"), start_epoch=1)
    [state] = torch.load(learn.path / "models" / "run.pth")["states"]
    assert state["step"] == 30
