"""Schedule-free optimizers: equal to the reference package, and the averaged weights wherever fastai evaluates."""

from __future__ import annotations

import copy
import sys
from functools import partial

import pytest
import torch
from fastai.basics import SGD, Adam, Callback, CancelFitException, Learner, load_learner, nn, noop
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.progress import ProgressCallback
from fastai.callback.schedule import ParamScheduler, SchedCos
from fastai.callback.tracker import SaveModelCallback
from fastai.test_utils import synth_dbunch
from schedulefree import AdamWScheduleFreeReference, SGDScheduleFreeReference

from lrlab.callbacks import (
    Constant,
    HyperHistory,
    OneCycle,
    Resumable,
    ScheduleFree,
    schedule_free_adamw,
    schedule_free_sgd,
    warmup,
)
from tests.callbacks.conftest import StopAfter, Stopped, split, three_groups
from tests.callbacks.extendable_fit import make_learner as make_digits
from tests.callbacks.extendable_fit import outcome
from tests.callbacks.test_fit_boundaries import make as make_items
from tests.callbacks.test_resume import same

ADAMW = {"betas": (0.95, 0.99), "warmup_steps": 7}
KINDS = {
    "AdamW": (partial(schedule_free_adamw, **ADAMW), partial(AdamWScheduleFreeReference, **ADAMW)),
    "SGD": (schedule_free_sgd, SGDScheduleFreeReference),
}


class Batches(Callback):
    "Keeps every training batch, and the weights that it was trained with."

    order = 1000

    def __init__(self):
        self.kept, self.weights = [], []

    def before_batch(self):
        if self.learn.training:
            self.kept.append((*self.learn.xb, *self.learn.yb))
            self.weights.append(parameters(self.learn))


def parameters(learn: Learner) -> list[torch.Tensor]:
    return [p.detach().clone() for p in learn.model.parameters()]


def far_apart(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return max((x - y).abs().max().item() for x, y in zip(a, b, strict=True)) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_as_the_reference_package(make_learner, kind):
    "Without batch-norm, because the gradient of a bias before it is noise that Adam makes large."
    (opt_func, reference), lrs = KINDS[kind], [0.02, 0.05, 0.1]
    model = nn.Sequential(nn.Linear(1, 4), nn.Sequential(nn.Tanh(), nn.Linear(4, 4)), nn.Linear(4, 1))
    learn = make_learner(model=copy.deepcopy(model), splitter=split, opt_func=opt_func, cbs=ScheduleFree())
    batches = Batches()
    learn.fit(3, lr=lrs, wd=0.1, cbs=batches)

    opt = reference([{"params": params, "lr": lr} for params, lr in zip(split(model), lrs, strict=True)])
    for group in opt.param_groups:
        group["weight_decay"] = 0.1
    for epoch in range(3):
        opt.train()
        for x, y in batches.kept[10 * epoch : 10 * epoch + 10]:
            opt.zero_grad()
            learn.loss_func(model(x), y).backward()
            opt.step()
        opt.eval()
    for ours, theirs in zip(learn.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    assert far_apart(parameters(learn), batches.weights[-1])  # which the batches were trained with


@pytest.fixture
def trained(tmp_path):
    "A Learner with batch-norm, its averaged weights and the model that they give with the statistics of the data."
    learn, batches = make_items(tmp_path, ScheduleFree(batches=None)), Batches()
    learn.opt_func = schedule_free_adamw
    learn.fit(2, 0.1, cbs=batches)
    expected = copy.deepcopy(learn.model)
    x = torch.cat([x for x, _ in batches.kept[:4]])
    with torch.no_grad():
        inputs = expected[0](x)
        expected[1][0].running_mean.copy_(inputs.mean(0))
        expected[1][0].running_var.copy_(torch.stack([part.var(0) for part in inputs.split(8)]).mean(0))
    assert far_apart(parameters(learn), batches.weights[-1])
    return learn, expected.eval()


def test_statistics_of_batchnorm_are_those_of_the_averaged_weights(trained):
    learn, expected = trained
    (mean, var, _), (their_mean, their_var, _) = list(learn.model.buffers()), list(expected.buffers())
    torch.testing.assert_close(mean, their_mean)
    torch.testing.assert_close(var, their_var, rtol=0.2, atol=0.05)  # other batches of the same data
    assert not learn.model.training


def test_wherever_fastai_evaluates_or_saves_it_uses_the_averaged_weights(trained, tmp_path):
    learn, expected = trained
    expected.load_state_dict(learn.model.state_dict())
    x, y = learn.dls.valid.one_batch()
    preds = expected(x).detach()
    loss = torch.nn.functional.mse_loss(preds, y).item()
    assert learn.recorder.values[-1][1] == pytest.approx(loss) == learn.validate()[0]
    torch.testing.assert_close(learn.get_preds()[0], preds)
    learn.save("a")
    learn.export("a.pkl")
    torch.testing.assert_close(load_learner(tmp_path / "a.pkl").model(x), preds)
    groups = copy.deepcopy(learn.opt.state_dict()["param_groups"])
    learn.fit(1, 0.1)
    assert learn.validate()[0] != pytest.approx(loss)
    learn.load("a")
    assert learn.validate()[0] == pytest.approx(loss)
    assert same(learn.opt.state_dict()["param_groups"], groups)


def test_range_tests_train_and_leave_no_trace(trained):
    learn, _ = trained
    before, loss = parameters(learn), learn.validate()[0]
    assert len(learn.lr_range_test(num_it=20, stop_div=False).lrs) == 20
    learn.lr_find(show_plot=False, num_it=25)
    assert same(before, parameters(learn)) and learn.validate()[0] == loss
    assert learn.opt.hypers[0]["k"] == 8 and not learn.opt.hypers[0]["train_mode"]


def test_the_saved_best_model_is_the_one_that_was_measured(make_learner):
    learn = make_learner(groups=3, opt_func=schedule_free_adamw, cbs=ScheduleFree())
    learn.fit_schedule(3, warmup(Constant(), "20%"), 0.1, cbs=SaveModelCallback())
    best = min(row[1] for row in learn.recorder.values)
    assert learn.validate()[0] == pytest.approx(best)


@pytest.mark.parametrize("opt_func", [schedule_free_adamw, schedule_free_sgd])
def test_a_stopped_fit_is_resumed_bit_for_bit(tmp_path, opt_func):
    def fit(name, last=9, seed=1):
        learn, history = make_digits(tmp_path / name, seed, opt_func), HyperHistory()
        learn.fit_schedule(
            3, warmup(Constant(), "10%"), 1e-2, cbs=[ScheduleFree(), history, Resumable("run"), StopAfter(last)]
        )
        return outcome(learn, history)

    whole = fit("whole")
    with pytest.raises(Stopped):
        fit("stopped", last=0)
    resumed = fit("stopped", seed=2)
    for name in whole:
        assert same(whole[name], resumed[name]), name


def test_another_fit_continues_the_average(make_learner):
    learn = make_learner(opt_func=schedule_free_sgd, cbs=ScheduleFree())
    learn.fit(1, 0.1)
    learn.fit(2, 0.1)
    assert learn.opt.hypers[0]["k"] == 30


@pytest.mark.parametrize("error", [CancelFitException(), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("at", ["before_batch", "after_step", "after_train", "after_epoch"])
def test_a_fit_that_ends_early_leaves_the_averaged_weights(make_learner, error, at):
    class Raise(Callback):
        def __call__(self, event_name):
            if event_name == at and self.learn.epoch == 1 and self.learn.train_iter >= 19:
                raise error

    learn, batches = make_learner(groups=3, opt_func=schedule_free_adamw, cbs=ScheduleFree()), Batches()
    try:
        learn.fit(3, 0.1, cbs=[batches, Raise()])
    except KeyboardInterrupt:
        pass
    assert not learn.opt.hypers[0]["train_mode"] and len(batches.kept) in (19, 20, 21)
    assert far_apart(parameters(learn), batches.weights[-1])
    learn.fit(1, 0.1)


def test_mixed_precision_and_frozen_groups(make_learner):
    learn = make_learner(groups=3, opt_func=schedule_free_adamw, cbs=[ScheduleFree(), MixedPrecision("bf16")])
    learn.freeze_to(1)
    before = parameters(learn)
    learn.fit(2, 0.1)
    changed = [not torch.equal(a, b) for a, b in zip(before, parameters(learn), strict=True)]
    assert changed == [False, False, True, True, True, True]
    learn.unfreeze()
    learn.fit(1, 0.1)
    assert not torch.equal(before[0], parameters(learn)[0])


def test_what_is_refused(make_learner, monkeypatch):
    def refused(sentence, **kwargs):
        with pytest.raises(ValueError, match=sentence):
            learn.fit_schedule(**{"n_epoch": 2, "schedule": Constant(), "lr_max": 0.1} | kwargs)

    learn = make_learner(opt_func=schedule_free_adamw)
    refused("a schedule-free optimizer needs its callback: Learner")
    refused("ScheduleLR changes the momentum", schedule=OneCycle(), moms=(0.95, 0.85), cbs=ScheduleFree())
    momentum = ParamScheduler({"mom": SchedCos(0.9, 0.8)})
    refused("ParamScheduler changes the momentum", cbs=[ScheduleFree(), momentum])
    learn = make_learner(opt_func=Adam)
    refused("needs an optimizer of the package schedulefree.* got Optimizer", cbs=ScheduleFree())
    with pytest.raises(ValueError, match="batches must be a whole number of at least 1, got 0"):
        ScheduleFree(0)
    monkeypatch.setitem(sys.modules, "schedulefree", None)
    with pytest.raises(ImportError, match=r"pip install 'lrlab\[schedulefree\]'"):
        schedule_free_sgd([], lr=1)


def test_a_plain_learner_of_ones_own(tmp_path):
    learn = Learner(
        synth_dbunch(),
        three_groups(),
        loss_func=torch.nn.functional.mse_loss,
        opt_func=partial(schedule_free_sgd, momentum=0.95),
        cbs=ScheduleFree(),
        path=tmp_path,
    )
    learn.remove_cbs(ProgressCallback)
    learn.logger = noop
    assert learn.validate() is not None  # before any optimizer was made
    learn.fit(2, 0.05)
    assert learn.opt.hypers[0]["mom"] == 0.95 and learn.opt_func is not SGD
