"""HyperHistory against what the optimizer and the Recorder saw."""

from __future__ import annotations

import numpy as np
from fastai.basics import Callback
from fastai.callback.training import GradientAccumulation

from lrlab.callbacks import CosineRestarts, HyperHistory


class BatchLosses(Callback):
    "Every training batch's loss, read at once."

    run_valid = False

    def before_fit(self):
        self.seen = []

    def after_batch(self):
        self.seen.append(self.learn.loss.item())


def test_every_step_and_group(make_learner, witness):
    learn, history, losses = make_learner(groups=3), HyperHistory(), BatchLosses()
    learn.fit_schedule(2, CosineRestarts(), slice(1e-3, 1e-1), moms=(0.9, 0.8), cbs=[history, witness, losses])
    df = history.to_df()
    assert list(df) == ["step", "epoch", "group", "lr", "mom", "loss"]
    assert df.step.tolist() == np.repeat(range(20), 3).tolist()
    assert df.epoch.tolist() == [0] * 30 + [1] * 30
    assert df.group.tolist() == [0, 1, 2] * 20
    assert df.lr.tolist() == np.ravel(witness.lrs).tolist()
    assert df.mom.tolist() == np.ravel(witness.momenta).tolist()
    assert df.loss[::3].tolist() == losses.seen


def test_accumulated_batches_are_one_step(make_learner, witness):
    learn, history, losses = make_learner(), HyperHistory(), BatchLosses()
    learn.fit(2, 1e-2, cbs=[history, witness, losses, GradientAccumulation(16 * 4)])
    df = history.to_df()
    assert len(df) == len(witness.lrs) == 5  # 20 batches, four to a step, across the end of the epoch
    assert df.epoch.tolist() == [0, 0, 1, 1, 1]
    np.testing.assert_allclose(df.loss, np.reshape(losses.seen, (5, 4)).mean(1), rtol=1e-6)


def test_validation_and_lr_find_leave_it_alone(make_learner):
    history = HyperHistory()
    learn = make_learner(cbs=history)
    assert history.to_df().empty
    learn.fit(1)
    before = history.to_df()
    learn.validate()
    learn.get_preds()
    learn.lr_find(show_plot=False)
    assert history.to_df().equals(before)
    learn.fit(2)
    assert len(history.to_df()) == 20
