"""ReduceOnPlateau on top of any schedule and optimizer; GradualUnfreeze."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest
import torch
from fastai.basics import Adam, Callback, CancelValidException, OptimWrapper, ValueMetric
from fastai.test_utils import synth_dbunch

from lrlab.callbacks import CosineDecay, GradualUnfreeze, OneCycle, ReduceOnPlateau

NEVER_BETTER = {"min_delta": 1e6}
SCALES = np.repeat([1, 1, 0.5, 0.25, 0.125], 10)  # the first epoch always is the best so far


@pytest.mark.parametrize(
    "opt_func", [Adam, partial(OptimWrapper, opt=torch.optim.AdamW), partial(OptimWrapper, opt=torch.optim.Adagrad)]
)
@pytest.mark.parametrize("groups", [1, 3])
def test_reductions_multiply_the_schedule(make_learner, witness, opt_func, groups):
    learn = make_learner(groups=groups, opt_func=opt_func)
    learn.fit_schedule(5, CosineDecay(), 0.1, cbs=[ReduceOnPlateau(factor=2, **NEVER_BETTER), witness])
    expected = 0.1 * CosineDecay().multipliers(50, 10) * SCALES
    np.testing.assert_allclose(np.array(witness.lrs), np.repeat(expected[:, None], groups, 1))
    assert learn.opt.hypers[-1]["lr"] == 0.1


def test_without_a_schedule(make_learner, witness):
    learn = make_learner()
    learn.fit(5, 0.1, cbs=[ReduceOnPlateau(factor=2, **NEVER_BETTER), witness])
    np.testing.assert_allclose(np.ravel(witness.lrs), 0.1 * SCALES)
    np.testing.assert_allclose(learn.recorder.lrs, np.ravel(witness.lrs))  # what was used is what is recorded


def test_on_top_of_fastais_one_cycle(make_learner, witness):
    learn = make_learner()
    learn.fit_one_cycle(5, 0.1, cbs=[ReduceOnPlateau(factor=2, **NEVER_BETTER), witness])
    np.testing.assert_allclose(np.ravel(witness.lrs), 0.1 * OneCycle().multipliers(50, 10) * SCALES, atol=1e-7)


def test_patience_and_least_scale(make_learner, witness):
    learn = make_learner()
    learn.fit(6, 1.0, cbs=[ReduceOnPlateau(patience=2, factor=10, min_scale=0.05, **NEVER_BETTER), witness])
    np.testing.assert_allclose(np.ravel(witness.lrs)[::10], [1, 1, 1, 0.1, 0.1, 0.05])


def test_no_reduction_while_it_gets_better(make_learner):
    learn, plateau = make_learner(), ReduceOnPlateau()
    learn.fit(4, 1e-3, cbs=plateau)
    assert plateau.lr_scale == 1 and plateau.best == learn.recorder.values[-1][1]


def test_a_new_fit_forgets_and_lr_find_is_not_scaled(make_learner, witness):
    learn = make_learner(cbs=ReduceOnPlateau(factor=2, **NEVER_BETTER))
    learn.fit(3, 0.1)
    learn.lr_find(show_plot=False)
    np.testing.assert_allclose(learn.recorder.lrs[0], 1e-7)
    learn.fit(1, 0.2, cbs=witness)
    assert witness.lrs[0] == [0.2]


@pytest.mark.parametrize(
    "bad", [{"factor": 1}, {"patience": 0}, {"min_scale": 1}, {"min_delta": -1}, {"factor": float("nan")}]
)
def test_bad_arguments(bad):
    (name, value), *_ = bad.items()
    with pytest.raises(ValueError, match=f"{name} must be .* got {value}"):
        ReduceOnPlateau(**bad)


def test_an_unknown_monitor_is_refused_at_the_start(make_learner):
    with pytest.raises(ValueError, match="monitor must be one of train_loss, valid_loss.* got 'accuracy'"):
        make_learner().fit(1, cbs=ReduceOnPlateau("accuracy"))


class Changed(Callback):
    "Which groups changed in each epoch."

    def before_fit(self):
        self.by_epoch = []

    def before_train(self):
        self.before = [torch.cat([p.detach().flatten() for p in group]) for group in self.learn.opt.param_lists]

    def after_train(self):
        now = [torch.cat([p.detach().flatten() for p in group]) for group in self.learn.opt.param_lists]
        self.by_epoch.append([not torch.equal(a, b) for a, b in zip(self.before, now, strict=True)])


# Batch-norm in the second group trains even where it is frozen: fastai's `train_bn`.
@pytest.mark.parametrize("opt_func", [Adam, partial(OptimWrapper, opt=torch.optim.AdamW)])
def test_groups_thaw_by_epoch(make_learner, opt_func):
    learn, changed = make_learner(groups=3, opt_func=opt_func, train_bn=False), Changed()
    learn.fit(1, 1e-2)  # leaves gradients and averages behind
    learn.fit_schedule(6, CosineDecay(), 1e-2, cbs=[GradualUnfreeze(every=2), changed])
    assert changed.by_epoch == [[False, False, True]] * 2 + [[False, True, True]] * 2 + [[True, True, True]] * 2


def test_start(make_learner):
    learn, changed = make_learner(groups=3, train_bn=False), Changed()
    learn.fit(2, 1e-2, cbs=[GradualUnfreeze(start=2), changed])
    assert changed.by_epoch == [[False, True, True], [True, True, True]]


def test_thawing_keeps_the_averages_of_groups_that_train(make_learner):
    steps = []

    class Look(Callback):
        def before_epoch(self):
            weight = self.learn.opt.param_lists[-1][0]
            steps.append(self.learn.opt.state[weight].get("step", 0))

    learn = make_learner(groups=3, opt_func=Adam)
    learn.fit(3, cbs=[GradualUnfreeze(), Look()])
    assert steps == [0, 10, 20]


def test_unfreeze_errors(make_learner):
    with pytest.raises(ValueError, match="every must be .* got 0"):
        GradualUnfreeze(every=0)
    with pytest.raises(ValueError, match="start must be .* got 0.5"):
        GradualUnfreeze(start=0.5)
    with pytest.raises(ValueError, match="at least 2 parameter groups"):
        make_learner().fit(1, cbs=GradualUnfreeze())


class Metric(Callback):
    "Makes a metric of the Recorder a given sequence."

    order = 40

    def __init__(self, name, values):
        self.metric_name, self.values = name, values

    def metric(self):
        value = ValueMetric(lambda: self.values[self.learn.epoch], self.metric_name)
        return value


def fit_monitored(make_learner, name, values, epochs=5, **kwargs):
    source = Metric(name, values)
    learn = make_learner(metrics=source.metric(), cbs=source)
    plateau = ReduceOnPlateau(monitor=name, factor=2, verbose=False, **kwargs)
    learn.fit(epochs, 1.0, cbs=plateau)
    return plateau, learn


FALLING, RISING = [5.0, 4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize(
    "name", ["mae", "_rmse", "mse", "error_rate", "hamming_loss", "exp_rmspe", "perplexity", "brier_score"]
)
def test_a_metric_that_gets_better_as_it_falls(make_learner, name):
    assert fit_monitored(make_learner, name, FALLING)[0].lr_scale == 1
    assert fit_monitored(make_learner, name, RISING)[0].lr_scale == 1 / 16


@pytest.mark.parametrize("name", ["accuracy", "f1_score", "roc_auc_score", "dice", "r2_score"])
def test_a_metric_that_gets_better_as_it_rises(make_learner, name):
    assert fit_monitored(make_learner, name, RISING)[0].lr_scale == 1
    assert fit_monitored(make_learner, name, FALLING)[0].lr_scale == 1 / 16
    assert fit_monitored(make_learner, name, FALLING, comp=np.less)[0].lr_scale == 1


def test_min_lr_is_absolute_and_holds_for_each_group(make_learner, witness):
    learn = make_learner(groups=3)
    cbs = [ReduceOnPlateau(factor=10, min_lr=0.002, verbose=False, **NEVER_BETTER), witness]
    learn.fit(5, [0.001, 0.01, 0.1], cbs=cbs)
    by_epoch = np.array(witness.lrs)[::10]
    np.testing.assert_allclose(by_epoch[:, 0], 0.001)  # the fit itself may be below
    np.testing.assert_allclose(by_epoch[:, 1], [0.01, 0.01, 0.002, 0.002, 0.002])
    np.testing.assert_allclose(by_epoch[:, 2], [0.1, 0.1, 0.01, 0.002, 0.002])


@pytest.mark.parametrize(
    ("cooldown", "scales"), [(0, [1, 1, 2, 4, 8, 16]), (1, [1, 1, 2, 2, 4, 4]), (3, [1, 1, 2, 2, 2, 2])]
)
def test_after_a_reduction_it_waits(make_learner, witness, cooldown, scales):
    learn = make_learner()
    learn.fit(6, 1.0, cbs=[ReduceOnPlateau(factor=2, cooldown=cooldown, verbose=False, **NEVER_BETTER), witness])
    np.testing.assert_allclose(1 / np.ravel(witness.lrs)[::10], scales)


def test_it_prints_a_line_at_each_reduction_unless_told_not_to(make_learner, capsys):
    make_learner().fit(4, 0.1, cbs=ReduceOnPlateau(factor=2, min_scale=0.5, **NEVER_BETTER))
    (line,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"Epoch 1: valid_loss not better than [\d.e+-]+, LR now times 0.5", line)
    make_learner().fit(4, 0.1, cbs=ReduceOnPlateau(verbose=False, **NEVER_BETTER))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("monitor", ["time", "epoch", "accuracy", "", "Valid_loss"])
def test_a_monitor_that_cannot_be_monitored_is_refused_at_the_start(make_learner, monitor):
    with pytest.raises(ValueError, match=f"monitor must be one of train_loss, valid_loss; got {monitor!r}"):
        make_learner().fit(1, cbs=ReduceOnPlateau(monitor))


def test_without_validation_data_the_training_loss_can_be_monitored(make_learner):
    learn = make_learner(data=synth_dbunch(n_valid=0))
    with pytest.raises(ValueError, match="monitor='valid_loss' is measured on the validation set, and there is none"):
        learn.fit(2, 1e-3, cbs=ReduceOnPlateau())
    learn.fit(4, 0.1, cbs=(plateau := ReduceOnPlateau("train_loss", verbose=False, **NEVER_BETTER)))
    assert plateau.lr_scale < 1


def test_an_epoch_without_validation_is_not_judged(make_learner):
    class Skip(Callback):
        def before_validate(self):
            if self.learn.epoch in (1, 2):
                raise CancelValidException

    plateau = ReduceOnPlateau(factor=2, verbose=False, **NEVER_BETTER)
    make_learner().fit(4, 0.1, cbs=[plateau, Skip()])
    assert plateau.lr_scale == 0.5
