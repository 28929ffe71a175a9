"""Fits of so many steps, and fits that end with their time, told by a clock of the test's own."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from fastai.basics import Callback
from fastai.callback.progress import ProgressCallback
from fastai.callback.schedule import ParamScheduler, SchedLin
from fastai.callback.tracker import SaveModelCallback
from fastai.callback.training import GradientAccumulation, ShortEpochCallback

from lrlab.callbacks import (
    Constant,
    CosineDecay,
    CosineRestarts,
    ExpRange,
    Extendable,
    HyperHistory,
    OneCycle,
    PolynomialDecay,
    Resumable,
    ScheduleHyper,
    ScheduleLR,
    SnapshotEnsemble,
    Trapezoid,
    join,
    warmup,
)
from lrlab.callbacks.fit_length import Stopwatch, TimeLimit
from tests.callbacks.conftest import StopAfter, Stopped
from tests.callbacks.extendable_fit import make_learner as make_digits
from tests.callbacks.extendable_fit import outcome
from tests.callbacks.test_resume import same


@pytest.mark.parametrize("steps", [1, 7, 10, 23, 30])
def test_so_many_steps_are_made_and_the_schedule_ends_with_them(make_learner, witness, steps):
    "The epochs have 10 steps. The last one is cut, and has all its metrics."
    learn, history = make_learner(metrics=[partial(torch.nn.functional.mse_loss)]), HyperHistory()
    learn.fit_schedule(steps=steps, schedule=CosineDecay(), lr_max=0.1, cbs=[history, witness])
    np.testing.assert_allclose(np.ravel(witness.lrs), 0.1 * CosineDecay().multipliers(steps, 10), rtol=1e-12)
    assert len(history.to_df()) == len(learn.recorder.losses) == steps
    assert learn.n_epoch == len(learn.recorder.values) == -(-steps // 10)
    assert {len(row) for row in learn.recorder.values} == {3} and learn.pct_train == 1


def test_a_fit_of_whole_epochs_in_steps_is_the_fit_in_epochs(tmp_path):
    def fit(**length):
        learn, history = make_digits(tmp_path), HyperHistory()
        cbs = [history, SaveModelCallback(monitor="accuracy", at_end=True)]
        learn.fit_schedule(schedule=OneCycle(), lr_max=1e-2, moms=(0.95, 0.85), cbs=cbs, **length)
        return outcome(learn, history)

    epochs, steps = fit(n_epoch=2), fit(steps=20)
    for name in epochs:
        assert same(epochs[name], steps[name]), name


def test_steps_are_those_of_the_optimizer(make_learner, witness):
    "Batches of 16 items accumulate to 40: ten batches make 3 steps, 3, 4, ..."
    learn = make_learner()
    learn.fit_schedule(
        steps=5, schedule=PolynomialDecay(), lr_max=0.1, cbs=[GradientAccumulation(40), HyperHistory(), witness]
    )
    np.testing.assert_allclose(np.ravel(witness.lrs), 0.1 * np.linspace(1, 0.2, 5))
    assert len(learn.recorder.values) == 2


def test_lengths_in_epochs_are_whole_epochs_where_the_last_one_is_cut(make_learner, witness):
    make_learner().fit_schedule(steps=25, schedule=warmup(Constant(), 2), lr_max=0.1, cbs=witness)
    np.testing.assert_allclose(np.ravel(witness.lrs)[::5], [0, 0.025, 0.05, 0.075, 0.1], atol=1e-12)


def test_a_loader_that_changes_and_epochs_that_are_cut_do_not_shift_the_end(make_learner, witness):
    learn = make_learner()
    learn.dls.train.get_idxs = lambda: list(range(80))  # 5 batches where 10 were announced
    learn.fit_schedule(steps=25, schedule=PolynomialDecay(), lr_max=0.1, cbs=witness)
    assert witness.lrs[0] == [0.1] and witness.lrs[-1][0] <= 0.1 * 2.01 / 25
    with pytest.warns(UserWarning, match="epoch 0 made 6 optimizer steps, and 10 were planned"):
        make_learner().fit_schedule(
            steps=25, schedule=PolynomialDecay(), lr_max=0.1, cbs=[ShortEpochCallback(0.5), witness]
        )
    assert len(witness.lrs) == 6 + 6 + 5 and witness.lrs[-1] == pytest.approx([0.1 / 25])


def test_schedules_of_fastais_end_with_the_steps(make_learner, witness):
    scheduler = ParamScheduler({"mom": SchedLin(0.9, 0.5)})
    make_learner().fit_schedule(steps=15, schedule=Constant(), lr_max=1e-2, cbs=[scheduler, witness])
    np.testing.assert_allclose(np.ravel(witness.momenta), 0.9 - 0.4 * np.arange(15) / 15)


def test_snapshots_and_a_preview_know_the_steps(make_learner):
    learn, snapshots = make_learner(), SnapshotEnsemble(every=1)
    learn.fit_schedule(steps=25, schedule=Constant(), lr_max=1e-2, cbs=snapshots)
    assert snapshots.steps == [9, 19, 24]
    preview = learn.preview_schedule(schedule=PolynomialDecay(), lr_max=0.1, steps=25)
    table = preview.to_df()
    np.testing.assert_allclose(table.lr, 0.1 * PolynomialDecay().multipliers(25, 10))
    assert table.epoch.value_counts().tolist() == [10, 10, 5]
    assert preview.plot().get_lines()[0].get_xdata()[-1] == 2.5


def test_a_stopped_fit_of_steps_is_resumed(make_learner, tmp_path):
    def fit(path, steps=25, last=9, seed=1):
        learn, history = make_digits(tmp_path / path, seed), HyperHistory()
        cbs = [history, StopAfter(last), Resumable("run")]
        learn.fit_schedule(steps=steps, schedule=OneCycle(), lr_max=1e-2, cbs=cbs)
        return outcome(learn, history)

    expected = fit("whole")
    with pytest.raises(Stopped):
        fit("stopped", last=1)
    with pytest.raises(ValueError, match="its n_epoch is '25 steps', this one's '26 steps'"):
        fit("stopped", steps=26)
    resumed = fit("stopped", seed=2)
    for name in expected:
        assert same(expected[name], resumed[name]), name
    assert same(fit("stopped", seed=3)["model"], expected["model"])  # complete: nothing is trained


def test_a_fit_within_a_fit_has_a_length_of_its_own(make_learner):
    class Inner(Callback):
        order = 200

        def before_fit(self):
            learn = self.learn
            learn.remove_cb(self)
            learn.fit(3, 1e-3, cbs=[inner, snapshots])
            learn.n_epoch = 2  # which fastai leaves as the inner fit had it

    learn, history, inner, snapshots = make_learner(), HyperHistory(), HyperHistory(), SnapshotEnsemble(every=1)
    learn.fit_schedule(steps=15, schedule=Constant(), lr_max=1e-2, cbs=[history, Inner()])
    assert len(inner.to_df()) == 30 and snapshots.steps == [9, 19, 29] and len(history.to_df()) == 15


# Fits that end with their time


class Takes(Callback):
    "A clock that training batches, validation and saving move on: seconds each."

    order = 200

    def __init__(self, batch: float = 1.0, validation: float = 3.0, saving: float = 0.0) -> None:
        self.batch, self.validation, self.saving, self.now = batch, validation, saving, 1000.0

    def __call__(self, event_name):
        if event_name == "after_batch" and self.learn.training:
            self.now += self.batch
        self.now += {"after_validate": self.validation, "after_epoch": self.saving}.get(event_name, 0)


def fit_for(learn, seconds, schedule, clock, *cbs):
    learn.fit(1, 0.1, cbs=[ScheduleLR(schedule), TimeLimit(seconds / 60, lambda: clock.now), clock, *cbs])
    return clock.now - 1000


@pytest.mark.parametrize(
    ("seconds", "steps", "ends"),
    [
        (42.5, [10, 10, 10], 39),  # after the third epoch no step fits beside its validation
        (46, [10, 10, 10, 4], 46),
        (50, [10, 10, 10, 8], 50),
        (32.5, [10, 10, 3], 32),
        (14, [10], 13),
        (6, [6], 9),  # no epoch has told how long validation takes
        (0.5, [1], 4),
    ],
)
def test_the_time_ends_the_fit_with_its_schedule(make_learner, witness, seconds, steps, ends):
    "Ten batches of a second and three seconds of validation make an epoch."
    learn, clock, history = make_learner(), Takes(), HyperHistory()
    assert fit_for(learn, seconds, PolynomialDecay(), clock, witness, history) == ends
    lrs = np.ravel(witness.lrs)
    assert history.to_df().groupby("epoch").size().tolist() == steps
    assert learn.n_epoch == len(learn.recorder.values) == len(steps)
    assert {len(row) for row in learn.recorder.values} == {2}
    assert lrs[0] == pytest.approx(0.1) and np.all(np.diff(lrs) <= 0)
    if seconds >= 32:  # comes within a step of its end, as a fit of epochs does
        assert lrs[-1] <= 0.1 * 1.6 / (ends - 3)
        shares = np.concatenate([13 * epoch + np.arange(n) for epoch, n in enumerate(steps)]) / (ends - 3)
        np.testing.assert_allclose(lrs, 0.1 * (1 - shares), atol=0.1 * 7 / ends)


def test_a_fit_that_slows_down_still_ends_in_time(make_learner, witness):
    clock = Takes()

    class Slower(Callback):
        def after_epoch(self):
            clock.batch = 2.0

    assert 55 <= fit_for(make_learner(), 60, PolynomialDecay(), clock, Slower(), witness) <= 60
    assert witness.lrs[-1][0] <= 0.1 * 4 / 57


def test_saving_counts_as_time_too(make_learner):
    assert fit_for(make_learner(), 46, Constant(), Takes(saving=2.0)) == 45


def test_what_the_time_schedule_moves(make_learner, witness):
    "Momentum, another hyper-parameter, fastai's own schedules: all follow the time."
    learn, clock = make_learner(groups=3), Takes(validation=0.0)
    schedules = {0: Constant(), -1: Trapezoid(warmup="10%", decay="20%")}
    learn.fit(
        1,
        0.1,
        wd=0.5,
        cbs=[
            ScheduleLR(schedules, moms=(0.95, 0.85)),
            ScheduleHyper("wd", PolynomialDecay()),
            TimeLimit(20 / 60, lambda: clock.now),
            clock,
            witness,
        ],
    )
    lrs, momenta = np.array(witness.lrs), np.array(witness.momenta)
    assert len(lrs) == 20 and (lrs[:, 0] == 0.1).all()
    np.testing.assert_allclose(lrs[:, 2], 0.1 * np.minimum(1, np.minimum(np.arange(20) / 2, (20 - np.arange(20)) / 4)))
    np.testing.assert_allclose(momenta[:, 2], 0.95 - lrs[:, 2])
    assert learn.opt.hypers[0]["wd"] == 0.5
    clock, scheduler = Takes(validation=0.0), ParamScheduler({"mom": SchedLin(0.9, 0.5)})
    fit_for(make_learner(), 20, Constant(), clock, scheduler, witness)
    np.testing.assert_allclose(np.ravel(witness.momenta), 0.9 - 0.4 * np.arange(20) / 20)


def test_accumulated_gradients_make_a_step_before_the_end(make_learner, witness):
    learn, clock = make_learner(), Takes()
    assert fit_for(learn, 25.5, Constant(), clock, GradientAccumulation(48), witness) == 24
    assert len(witness.lrs) == 6  # of three batches; the seventh step would end too late


def test_a_resumed_fit_has_the_time_that_is_left(make_learner, tmp_path):
    def fit(clock, *cbs, seconds=46):
        history = HyperHistory()
        learn = make_learner()
        fit_for(learn, seconds, PolynomialDecay(), clock, history, Resumable("run", every=2), *cbs)
        return learn, history.to_df().lr.tolist()

    _, expected = fit(Takes())
    (tmp_path / "models/run.pth").unlink()
    with pytest.raises(Stopped):
        fit(Takes(), StopAfter(2))  # saved after the second epoch; the third is lost
    with pytest.raises(ValueError, match="its n_epoch is '0.766667 minutes', this one's '0.833333 minutes'"):
        fit(Takes(), seconds=50)
    learn, lrs = fit(Takes())
    np.testing.assert_allclose(lrs, expected, atol=1e-3)
    assert len(lrs) == len(expected) == 34 and learn.n_epoch == 4
    weights = learn.model.state_dict()
    learn, lrs = fit(Takes())  # complete
    assert len(lrs) == 34 and learn.n_epoch == 4 and same(dict(weights), dict(learn.model.state_dict()))


def test_an_epoch_that_was_cut_is_the_last_one_though_time_is_left(make_learner):
    clock = Takes()

    class Faster(Callback):
        order = 20_000

        def after_train(self):
            clock.validation = 0.1 if self.learn.epoch == 3 else 3.0

    for _ in range(2):  # the second time it is resumed
        clock, history = Takes(), HyperHistory()
        cbs = [history, Resumable("run"), Faster()]
        fit_for(make_learner(), 46, PolynomialDecay(), clock, *cbs)
        assert history.to_df().groupby("epoch").size().tolist() == [10, 10, 10, 4]


def test_fit_schedule_takes_minutes(make_learner, monkeypatch):
    clock = Takes()
    monkeypatch.setattr("lrlab.callbacks.schedule_lr.TimeLimit", partial(TimeLimit, clock=lambda: clock.now))
    learn, history = make_learner(), HyperHistory()
    learn.add_cb(ProgressCallback())
    with learn.no_logging():
        learn.fit_schedule(minutes=0.5, schedule=CosineDecay(), lr_max=0.1, cbs=[clock, history])
    assert len(history.to_df()) == 21 and clock.now == 1030
    assert learn.opt.hypers[0]["lr"] == 0.1


def test_the_share_of_the_time_never_falls():
    "At any speed, which may change, and with validation of any length."
    rng = np.random.default_rng(0)
    for _ in range(50):
        now, seconds = [0.0], rng.uniform(5, 100)
        watch, shares = Stopwatch(seconds, lambda now=now: now[0]), []
        batches, step, validation = rng.integers(1, 20), rng.uniform(0.1, 3), rng.uniform(0, 20)
        while watch.has_time_for(1) or not watch.batches:
            watch.start_epoch(batches)
            for _ in range(batches):
                now[0] += step * rng.uniform(0.5, 2)
                watch.end_batch()
                shares.append(watch.share)
                if not watch.has_time_for(1):
                    break
            now[0] += validation * rng.uniform(0.8, 1.2)
            watch.end_epoch()
        assert np.all(np.diff(shares) >= 0) and 0 < shares[0] and shares[-1] <= 1


# What is refused


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "must be one of n_epoch, steps and minutes; got none of them"),
        ({"n_epoch": 3, "steps": 10}, "must be one of n_epoch, steps and minutes; got n_epoch=3 and steps=10"),
        ({"steps": 10, "minutes": 1}, "got steps=10 and minutes=1"),
        ({"steps": 2.5}, "steps must be a whole number of at least 1, got 2.5"),
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"minutes": 0}, r"minutes must be a number in \(0, inf\), got 0"),
        ({"minutes": True}, r"minutes must be a number in \(0, inf\), got True"),
        ({"steps": 10, "start_epoch": 1}, "start_epoch=1 needs a fit of n_epoch, and this one has 10 steps"),
        ({"n_epoch": 1, "schedule": None}, "schedule must be a Schedule such as CosineDecay\\(\\), got None"),
        ({"steps": 10, "cbs": Extendable("a")}, "by epochs, and this one has 10 steps; give it n_epoch"),
        ({"minutes": 5, "cbs": Extendable("a")}, "by epochs, and this one has 5 minutes; give it n_epoch"),
        ({"minutes": 1, "cbs": SnapshotEnsemble(every=1)}, "SnapshotEnsemble counts epochs or steps"),
        ({"minutes": 1, "schedule": Trapezoid(warmup=1)}, "warmup=1 counts steps or epochs.* give a percentage"),
        ({"minutes": 1, "schedule": CosineRestarts()}, "cycle_len=1 counts"),
        ({"minutes": 1, "schedule": warmup(Constant(), "3 steps")}, "length='3 steps' counts"),
        ({"minutes": 1, "schedule": join([(Constant(), 1), (Constant(), None)])}, "=1 counts"),
        ({"minutes": 1, "schedule": ExpRange("10%")}, "gamma=0.9994 counts"),
        ({"n_epoch": 1, "cbs": "SnapshotEnsemble"}, "cbs must be a callback or a list of .* got 'SnapshotEnsemble'"),
        ({"n_epoch": 1, "cbs": [None]}, "cbs must be a callback or a list of callbacks, got None"),
    ],
    ids=str,
)
def test_what_is_refused_is_refused_before_the_first_step(make_learner, options, sentence):
    learn = make_learner()
    before = [p.clone() for p in learn.model.parameters()]
    with pytest.raises(ValueError, match=sentence):
        learn.fit_schedule(**{"schedule": CosineDecay(), **options})
    assert all(torch.equal(a, b) for a, b in zip(before, learn.model.parameters(), strict=True))
    assert not any(isinstance(cb, ScheduleLR) for cb in learn.cbs)


def test_after_a_refusal_or_an_exception_the_learner_fits(make_learner):
    learn = make_learner()
    with pytest.raises(Stopped):
        learn.fit_schedule(minutes=5, schedule=CosineDecay(), cbs=StopAfter(1))
    learn.fit_schedule(steps=5, schedule=CosineDecay(), lr_max=0.1)
    learn.fit(1)
    assert learn.n_epoch == 1 and len(learn.recorder.losses) == 10
