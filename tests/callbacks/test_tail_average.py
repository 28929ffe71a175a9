"""TailAverage: the mean of the weights, with its own batch-norm statistics, wherever fastai evaluates."""

from __future__ import annotations

import copy

import pytest
import torch
from fastai.basics import Callback, CancelFitException
from fastai.callback.tracker import SaveModelCallback

from lrlab.callbacks import Constant, CosineDecay, CycleAverage, HyperHistory, Resumable, ScheduleFree, TailAverage
from lrlab.callbacks.fit_length import TimeLimit
from tests.callbacks.conftest import StopAfter, Stopped
from tests.callbacks.extendable_fit import make_learner as make_digits
from tests.callbacks.extendable_fit import outcome
from tests.callbacks.test_fit_boundaries import make as make_items
from tests.callbacks.test_fit_length import Takes
from tests.callbacks.test_resume import same
from tests.callbacks.test_schedule_free import parameters


class Trace(Callback):
    "The weights after every step."

    order = 1000

    def __init__(self):
        self.weights, self.inputs = [], []

    def before_batch(self):
        if self.learn.training:
            self.inputs.append(self.learn.xb[0])

    def after_step(self):
        self.weights.append(parameters(self.learn))


def mean_of(weights, decay=None):
    "By the definition, in float64."
    mean = [value.double() for value in weights[0]]
    for n, values in enumerate(weights[1:], 2):
        share = 1 / n if decay is None else max(1 - decay, 1 / n)
        mean = [old + share * (new.double() - old) for old, new in zip(mean, values, strict=True)]
    return [value.float() for value in mean]


CASES = [("50%", None, 6), (1, None, 4), ("9 steps", None, 9), (0, 0.8, 0)]


@pytest.mark.parametrize(("start", "decay", "first"), CASES)
def test_the_model_has_the_mean_of_the_weights_and_its_statistics(tmp_path, start, decay, first):
    learn, trace, average = make_items(tmp_path), Trace(), TailAverage(start, decay, batches=None)
    learn.fit_schedule(3, Constant(), 0.05, cbs=[trace, average])
    assert average.n_averaged == 12 - first
    torch.testing.assert_close(parameters(learn), mean_of(trace.weights[first:], decay), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(learn.model[0].weight, trace.weights[-1][0], atol=1e-4)
    with torch.no_grad():
        inputs = learn.model[0](torch.cat(trace.inputs[:4]))
    torch.testing.assert_close(learn.model[1][0].running_mean, inputs.mean(0))
    x, y = learn.dls.valid.one_batch()
    loss = torch.nn.functional.mse_loss(learn.model(x), y).item()
    assert learn.recorder.values[-1][1] == pytest.approx(loss) == learn.validate()[0]


def test_training_is_not_changed_and_keep_false_leaves_its_weights(tmp_path):
    def fit(*cbs):
        learn, history = make_digits(tmp_path), HyperHistory()
        learn.fit_schedule(3, CosineDecay(), 1e-2, cbs=[history, *cbs])
        return outcome(learn, history)

    alone, beside = fit(), fit(TailAverage(keep=False))
    assert alone["values"][0] == beside["values"][0] and alone["values"][-1] != beside["values"][-1]
    for name in alone.keys() - {"values"}:
        assert same(alone[name], beside[name]), name


@pytest.mark.parametrize("decay", [None, 0.9])
def test_a_stopped_fit_is_resumed_bit_for_bit(tmp_path, decay):
    def fit(name, last=9, seed=1):
        learn, history = make_digits(tmp_path / name, seed), HyperHistory()
        cbs = [TailAverage("30%", decay), history, Resumable("run"), StopAfter(last)]
        learn.fit_schedule(3, Constant(), 1e-2, cbs=cbs)
        return outcome(learn, history)

    whole = fit("whole")
    with pytest.raises(Stopped):
        fit("stopped", last=1)
    resumed = fit("stopped", seed=2)
    for name in whole:
        assert same(whole[name], resumed[name]), name


def test_the_saved_best_model_is_the_one_that_was_measured(tmp_path):
    learn = make_items(tmp_path)
    learn.fit_schedule(4, Constant(), 0.1, cbs=[TailAverage("25%"), SaveModelCallback()])
    best = min(row[1] for row in learn.recorder.values)
    assert learn.validate()[0] == pytest.approx(best)


def test_the_average_of_a_fit_that_ends_early_and_of_the_next_one(tmp_path):
    class Cancel(Callback):
        def before_batch(self):
            if self.learn.training and self.learn.train_iter == 9:
                raise CancelFitException

    learn, trace, average = make_items(tmp_path), Trace(), TailAverage()
    learn.fit_schedule(3, Constant(), 0.05, cbs=[trace, average, Cancel()])
    torch.testing.assert_close(parameters(learn), mean_of(trace.weights[6:9]), rtol=1e-5, atol=1e-6)
    loss, again = learn.validate()[0], copy.deepcopy(parameters(learn))
    learn.fit_schedule(1, Constant(), 0.0, wd=0.0, cbs=average)
    assert average.n_averaged == 2 and learn.validate()[0] == pytest.approx(loss, rel=0.2)
    torch.testing.assert_close(parameters(learn), again)


def test_in_a_fit_that_ends_with_its_time(make_learner):
    learn, clock, average = make_learner(), Takes(), TailAverage("50%")
    learn.fit(1, 0.1, cbs=[average, TimeLimit(46 / 60, lambda: clock.now), clock])
    assert average.n_averaged == 10 + 10 + 4 - 9  # after 21.5 of 43 seconds: from the ninth step of the second epoch on


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: TailAverage("110%"), "start must be a positive number of epochs.* at most 100%"),
        (lambda: TailAverage(decay=1), r"decay must be a number in \(0, 1\), got 1"),
        (lambda: TailAverage(batches=0.5), "batches must be a whole number of at least 1, got 0.5"),
        (lambda: TailAverage(3), "start=3 must lie before the end of the fit of 30 steps"),
        (lambda: [TailAverage(), TailAverage(decay=0.9)], "TailAverage and TailAverage in one fit would both replace"),
        (lambda: [TailAverage(keep=False), CycleAverage(every=1)], "in one fit would both replace"),
        (lambda: [CycleAverage(every=1), CycleAverage(every=2)], "in one fit would both replace"),
        (lambda: [ScheduleFree(), TailAverage()], "ScheduleFree and TailAverage in one fit would both replace"),
        (lambda: [TailAverage(keep=False), SaveModelCallback()], "SaveModelCallback would both replace the weights"),
    ],
)
def test_what_is_refused(make_learner, make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_learner().fit(3, cbs=make())
