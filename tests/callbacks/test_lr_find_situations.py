"""lr_range_test under accumulation, unusual losses, permanent callbacks and lazy layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fastai.basics import Callback, CancelBatchException, CancelFitException, nn
from fastai.callback.training import GradientAccumulation

from lrlab.callbacks import (
    CosineDecay,
    CycleAverage,
    HyperHistory,
    ReduceOnPlateau,
    Resumable,
    ScheduleLR,
    SnapshotEnsemble,
    StopOnDivergence,
)


class OwnAccumulation(Callback):
    "Steps at every n-th batch only."

    def __init__(self, n):
        self.n, self.count = n, 0

    def after_backward(self):
        self.count += 1
        if self.count % self.n:
            raise CancelBatchException


ACCUMULATIONS = {
    "none": lambda: Callback(),
    "a batch": lambda: GradientAccumulation(16),
    "four batches": lambda: GradientAccumulation(64),
    "more than an epoch": lambda: GradientAccumulation(16 * 13),
    "the user's own": lambda: OwnAccumulation(4),
}


@pytest.mark.parametrize("make", ACCUMULATIONS.values(), ids=ACCUMULATIONS)
def test_the_lr_grows_from_step_to_step(make_learner, make):
    seen = []
    note = Callback(after_step=lambda self: seen.append(self.learn.opt.hypers[-1]["lr"]))
    found = make_learner(cbs=[make(), note]).lr_range_test(end_lr=0.1, num_it=24, stop_div=False)
    assert len(found.lrs) == 24
    np.testing.assert_allclose(found.lrs, seen)
    np.testing.assert_allclose(found.lrs, 1e-7 * 1e6 ** (np.arange(24) / 24))


@pytest.mark.parametrize("cb", [GradientAccumulation(10**7), OwnAccumulation(10**7)])
def test_a_run_without_steps_has_no_suggestion(make_learner, cb, monkeypatch):
    monkeypatch.setattr("lrlab.callbacks.lr_find.batches_per_step", lambda learn: 1)
    found = make_learner(cbs=cb).lr_range_test(num_it=10)
    assert set(found.suggestions.values()) == {None} and len(found.lrs) == 0
    assert found.stopped == "32 batches made no optimizer step"
    assert found.reasons["valley"].endswith(f": {found.stopped}")
    with pytest.raises(
        ValueError, match="the LR range test suggests no LR: valley needs 2 points, and the test gave 0"
    ):
        found.lr()


class StopsAfter(Callback):
    "A callback of the user's own that ends every fit after its third batch."

    def after_batch(self):
        if self.training and self.iter == 2:
            raise CancelFitException


def test_a_test_that_another_callback_ends_suggests_nothing(make_learner):
    found = make_learner(cbs=StopsAfter()).lr_range_test()
    assert set(found.suggestions.values()) == {None}
    assert found.stopped == found.reasons["valley"] == "a callback of the Learner ended it after 2 of 100 steps"


def test_a_suggestion_is_never_none(make_learner):
    found = make_learner().lr_range_test()
    assert found.lr() == found.suggestions["valley"] and found.lr("steep") == found.suggestions["steep"]
    with pytest.raises(ValueError, match="method must be one of 'valley', .* got 'best'"):
        found.lr("best")


class Shifted(Callback):
    "Lowers every loss by a constant, as log-likelihoods and contrastive losses may be negative."

    order = -5

    def __init__(self, shift):
        self.shift = shift

    def after_loss(self):
        self.learn.loss = self.learn.loss - self.shift


@pytest.mark.parametrize("shift", [0, 5, 50, 1000])
def test_losses_below_zero_or_across_it_are_followed_to_where_they_explode(make_learner, shift):
    found = make_learner(cbs=Shifted(shift)).lr_range_test()
    plain = make_learner().lr_range_test(stop_div=False)
    lowest = plain.lrs[np.argmin(plain.losses)]
    assert found.lrs[-1] > lowest, "it goes on past the lowest loss"
    assert found.stopped.startswith("the loss is four times its best") and found.lrs[-1] < 10
    assert found.suggestions["minimum"] is not None


@pytest.mark.parametrize(
    "make",
    [HyperHistory, StopOnDivergence, lambda: SnapshotEnsemble(every=1), lambda: CycleAverage(every=1),
     lambda: ReduceOnPlateau(min_delta=9), lambda: Resumable("a"), lambda: ScheduleLR(CosineDecay(), (0.9, 0.8))],
)  # fmt: skip
@pytest.mark.parametrize("fitted", [False, True])
def test_our_callbacks_do_not_change_a_range_test(make_learner, make, fitted):
    found = []
    for cbs in ([], [make()]):
        learn = make_learner(groups=3, cbs=cbs)
        if fitted:
            learn.fit(1, 1e-4, cbs=None)
        torch.manual_seed(1)
        found.append(learn.lr_range_test(end_lr=0.1, num_it=30, stop_div=False).lrs)
    assert found[0].tolist() == found[1].tolist() and len(found[0]) == 30


def test_a_model_that_gets_its_shapes_from_the_first_batch(make_learner):
    learn = make_learner(model=nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(1)))
    model = learn.model
    found = learn.lr_range_test(num_it=30)
    assert len(found.lrs) > 10 and learn.model is model and learn.opt is None
    assert all(isinstance(p, nn.parameter.UninitializedParameter) for p in model.parameters())
    learn.fit(1, found.lr("minimum"))
    assert model[0].weight.shape == (4, 1)


def test_a_range_test_before_every_fit_changes_nothing(make_learner):
    results = []
    for tested in (False, True):
        learn = make_learner(groups=3)
        for epochs in (1, 2):
            if tested:
                learn.lr_range_test(num_it=20)
                learn.preview_schedule(epochs, CosineDecay(), 0.1).to_df()
            learn.fit_schedule(epochs, CosineDecay(), slice(1e-3, 1e-1))
        results.append([p.tolist() for p in learn.model.parameters()])
    assert results[0] == results[1]
