"""lr_range_test: fastai's numbers, and no trace of it afterwards."""

from __future__ import annotations

import random
from functools import partial

import numpy as np
import pytest
import torch
from fastai.basics import SGD, Adam, Callback, OptimWrapper, set_seed
from fastai.callback.progress import CSVLogger
from fastai.callback.schedule import minimum, slide, steep, valley
from fastai.callback.tracker import SaveModelCallback

from lrlab.callbacks import CosineDecay, HyperHistory, ScheduleLR, lr_range_test


class Around(torch.optim.Optimizer):
    "Wraps another optimizer and shares its groups, as Lookahead of timm and SAM do."

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})
        self.inner = torch.optim.Adam(self.param_groups)
        self.inner.param_groups = self.param_groups

    def step(self, closure=None):
        self.inner.step()

    def state_dict(self):
        return self.inner.state_dict()


OPTIMIZERS = {
    "Adam": Adam,
    "SGD": partial(SGD, mom=0.9),
    "torch's Adam": partial(OptimWrapper, opt=torch.optim.Adam),
    "torch's SGD": partial(OptimWrapper, opt=torch.optim.SGD),
    "one around another": partial(OptimWrapper, opt=Around),
}


class At(Callback):
    "Does `what` at one training step."

    run_valid = False

    def __init__(self, step, what):
        self.when, self.what = step, what

    def after_loss(self):
        if self.learn.train_iter == self.when:
            self.what(self.learn)


def interrupt(learn):
    raise KeyboardInterrupt


def nan_loss(learn):
    learn.loss = learn.loss * torch.nan


def everything(learn) -> dict:
    "All that the test must not change, in a comparable form."
    plain = (int, float, str, bool, type(None))
    return {
        "model": {name: tensor.tolist() for name, tensor in learn.model.state_dict().items()},
        "grads": [None if p.grad is None else p.grad.tolist() for p in learn.model.parameters()],
        "modes": [module.training for module in learn.model.modules()],
        "opt": None if learn.opt is None else repr(learn.opt.state_dict()),
        "learner": {name: value for name, value in vars(learn).items() if isinstance(value, plain)},
        "names": sorted(vars(learn)),
        "cbs": [(cb, sorted(vars(cb)), cb.run) for cb in learn.cbs],
        "recorder": repr([learn.recorder.__dict__.get(name) for name in ("lrs", "losses", "values", "iters")]),
        "smooth_loss": repr(vars(learn.recorder.smooth_loss)),
        "random": (random.getstate(), torch.get_rng_state().tolist(), repr(np.random.get_state())),
        "dls": [dl.rng.getstate() for dl in learn.dls.loaders],
    }


@pytest.mark.parametrize("opt_func", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("trained", [False, True], ids=["fresh", "trained"])
def test_nothing_is_changed(make_learner, opt_func, trained):
    learn = make_learner(groups=3, opt_func=opt_func, cbs=[HyperHistory(), ScheduleLR(CosineDecay())])
    if trained:
        learn.fit(2, slice(1e-4, 1e-2))
    before = everything(learn)
    found = lr_range_test(learn)
    assert everything(learn) == before
    assert (learn.opt is not None) == trained
    assert len(found.lrs) > 20


@pytest.mark.parametrize("opt_func", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_next_fit_is_as_without_it(make_learner, opt_func):
    losses = []
    for with_test in (False, True):
        learn = make_learner(opt_func=opt_func)
        learn.fit(1, 1e-2)
        if with_test:
            lr_range_test(learn)
        learn.fit(1, 1e-2)
        losses.append([*learn.recorder.losses, *learn.recorder.values])
    assert losses[0] == losses[1]


def test_ctrl_c_restores_and_goes_on_up(make_learner):
    learn = make_learner(groups=3, cbs=ScheduleLR(CosineDecay()))
    learn.fit(1)
    learn.add_cb(At(30, interrupt))
    before = everything(learn)
    with pytest.raises(KeyboardInterrupt):
        lr_range_test(learn)
    assert everything(learn) == before


def test_nan_ends_it_and_restores(make_learner):
    learn = make_learner()
    learn.add_cb(At(60, nan_loss))
    before = everything(learn)
    found = lr_range_test(learn)
    assert everything(learn) == before
    assert len(found.lrs) == 60 and np.isfinite(found.losses).all()
    assert "not finite at step 60" in found.stopped
    assert found.suggestions["valley"] > 0


def test_nan_at_once_gives_reasons_instead_of_suggestions(make_learner):
    found = lr_range_test(make_learner(cbs=At(0, nan_loss)))
    assert found.suggestions == dict.fromkeys(["valley", "slide", "minimum", "steep"])
    assert "the loss is not finite at step 0, LR 1e-07" in found.reasons["valley"]
    assert found.to_df().empty
    found.plot()


@pytest.mark.parametrize("num_it", [100, 200])
def test_the_numbers_are_fastais(make_learner, num_it):
    learn = make_learner(n_trn=20)
    set_seed(3)
    ours = lr_range_test(learn, num_it=num_it)
    set_seed(3)
    theirs = learn.lr_find(num_it=num_it, show_plot=False, suggest_funcs=(valley, slide, minimum, steep))
    assert ours.suggestions == theirs._asdict()
    assert ours.losses.tolist() == [loss.item() for loss in learn.recorder.losses]
    np.testing.assert_allclose(ours.lrs, learn.recorder.lrs, rtol=1e-9)


@pytest.mark.parametrize("num_it", [6, 7, 12, 20, 33])
def test_few_steps_are_enough(make_learner, num_it):
    found = lr_range_test(make_learner(), start_lr=3e-2, end_lr=0.3, num_it=num_it, stop_div=False)
    assert len(found.lrs) == num_it
    assert found.suggestions["valley"] > 0 and found.suggestions["minimum"] > 0
    assert (found.suggestions["slide"] is None) == ("slide" in found.reasons) == (num_it < 23)


def test_groups_keep_the_ratio_of_a_slice(make_learner, witness):
    learn = make_learner(groups=3, cbs=witness)
    seen = []
    learn.add_cb(At(50, lambda learn: seen.extend(h["lr"] for h in learn.opt.hypers)))
    found = lr_range_test(learn, start_lr=slice(1e-9, 1e-7), end_lr=10)
    np.testing.assert_allclose(seen, [1e-5, 1e-4, 1e-3], rtol=1e-9)
    assert found.lrs[50] == seen[-1]


def test_nothing_is_written(make_learner, tmp_path):
    (tmp_path / "file").touch()
    learn = make_learner()
    learn.path = tmp_path / "file"  # no folder can be made here
    assert len(lr_range_test(learn).lrs) > 20


def test_a_csv_log_and_the_best_model_survive(make_learner, tmp_path):
    learn = make_learner(cbs=[CSVLogger(), SaveModelCallback()])
    learn.fit(2)
    log, best = (tmp_path / "history.csv").read_text(), learn.save_model.best
    lr_range_test(learn)
    assert (tmp_path / "history.csv").read_text() == log and learn.save_model.best == best
    assert [type(cb).__name__ for cb in learn.cbs[-2:]] == ["CSVLogger", "SaveModelCallback"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"start_lr": 0.0}, "start_lr must be above 0"),
        ({"start_lr": 1.0, "end_lr": 0.1}, "start_lr must be above 0 and below end_lr=0.1"),
        ({"end_lr": float("nan")}, "end_lr must be a number"),
        ({"num_it": 5}, "num_it must be a whole number of at least 6, got 5"),
        ({"suggest": ["best"]}, "suggest must be some of valley, .* got 'best'"),
    ],
)
def test_bad_arguments(make_learner, bad, message):
    with pytest.raises(ValueError, match=message):
        lr_range_test(make_learner(), **bad)


def test_a_method_of_learner(make_learner):
    assert make_learner().lr_range_test(num_it=10, suggest=["steep"]).suggestions.keys() == {"steep"}
