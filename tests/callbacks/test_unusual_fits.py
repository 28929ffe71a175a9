"""Fits that are seldom: without a Recorder, without a full batch, after half a step, with epochs that fastai skips."""

from __future__ import annotations

import pytest
import torch
from fastai.basics import Callback, CancelEpochException, CancelTrainException, Lookahead, OptimWrapper, Recorder
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


class SetsLR(Callback):
    "Sets the LR as many do it, without a word to any schedule."

    def __init__(self, event_name):
        setattr(self, event_name, lambda: self.learn.opt.set_hyper("lr", 0.01))


@pytest.mark.parametrize("event_name", ["before_fit", "before_epoch", "before_batch", "after_epoch"])
def test_an_lr_that_the_schedule_overwrites_is_warned_of(make_learner, witness, event_name):
    learn = make_learner()
    cbs = [witness, SetsLR(event_name)]
    if event_name == "before_fit":  # before the fit: it is the lr_max
        learn.fit_schedule(2, PolynomialDecay(), 0.1, cbs=cbs)
    else:
        with pytest.warns(UserWarning, match=r"lr was set to 0.01 during the fit, .* ScheduleLR\(Poly.* every batch"):
            learn.fit_schedule(2, PolynomialDecay(), 0.1, cbs=cbs)
    lr_max = 0.01 if event_name == "before_fit" else 0.1
    assert [lr for [lr] in witness.lrs] == pytest.approx(list(lr_max * PolynomialDecay().multipliers(20, 10)))


@pytest.mark.parametrize("kind", [CancelTrainException, CancelEpochException])
def test_a_reduced_lr_does_not_stay_where_a_batch_ends_the_epoch(make_learner, witness, kind):
    class End(Callback):
        order = 2000

        def after_step(self):
            if self.learn.epoch == 2:
                raise kind

    plateau = ReduceOnPlateau("train_loss", min_delta=1e3, factor=2, verbose=False)
    data = synth_dbunch(n_train=3, n_valid=0)
    make_learner(data=data).fit(4, 0.1, cbs=[plateau, End(), witness])
    assert [lr for [lr] in witness.lrs] == pytest.approx([0.1] * 6 + [0.05] * 4)  # the epoch that was cut is not judged


@pytest.mark.parametrize(
    "fit", [lambda learn: learn.fit_schedule(1, CosineDecay()), lambda learn: learn.lr_range_test()]
)
def test_an_optimizer_that_ignores_the_lr_is_refused(make_learner, fit):
    def opt_func(params, lr):
        return Lookahead(OptimWrapper(params, torch.optim.SGD, lr=lr))

    with pytest.raises(ValueError, match="Lookahead around an OptimWrapper ignores every LR"):
        fit(make_learner(opt_func=opt_func))
