"""SnapshotEnsemble and CycleAverage: the weights of the true minima, and what is made of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fastai.basics import Callback
from fastai.callback.tracker import SaveModelCallback
from fastai.callback.training import GradientAccumulation

from lrlab.callbacks import Constant, CosineRestarts, CycleAverage, SnapshotEnsemble, Triangular

CYCLES = CosineRestarts(cycle_len=1, cycle_mult=1)


class Weights(Callback):
    "Keeps the weights after every step."

    run_valid = False

    def before_fit(self):
        self.after_step_n = []

    def after_step(self):
        self.after_step_n.append({k: v.detach().clone() for k, v in self.learn.model.state_dict().items()})


def equal(a, b) -> bool:
    return all(torch.equal(a[name], b[name]) for name in b)


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        (CYCLES, [9, 19, 29, 39]),
        (CosineRestarts(cycle_len=1, cycle_mult=2), [9, 29]),  # the run cuts the third cycle off
        (Triangular(cycle_len=2), [20, 39]),  # lowest as the next cycle begins
    ],
)
def test_snapshots_are_of_the_minima(make_learner, schedule, steps):
    learn, ensemble, weights = make_learner(groups=3), SnapshotEnsemble(), Weights()
    learn.fit_schedule(4, schedule, 0.05, cbs=[ensemble, weights])
    assert ensemble.steps == steps
    lrs = schedule.multipliers(40, 10)
    assert all(lrs[step] <= min(lrs[max(0, step - 3) : step + 3]) for step in steps)
    for step, snapshot in zip(steps, ensemble.snapshots, strict=True):
        assert equal(snapshot, weights.after_step_n[step])


def test_snapshots_under_accumulation(make_learner):
    learn, ensemble, weights = make_learner(), SnapshotEnsemble(), Weights()
    cbs = [ensemble, weights, GradientAccumulation(64)]
    learn.fit_schedule(4, CosineRestarts(cycle_len="5 steps", cycle_mult=1), 0.1, cbs=cbs)
    assert ensemble.steps == [4, 9]
    assert equal(ensemble.snapshots[0], weights.after_step_n[4])


def test_ensemble_preds_are_the_mean_and_leave_the_model(make_learner):
    learn, ensemble = make_learner(groups=3), SnapshotEnsemble()
    learn.fit_schedule(3, CYCLES, 0.1, cbs=ensemble)
    learn.fit(1, 1e-3)
    own = {name: value.clone() for name, value in learn.model.state_dict().items()}
    preds, targs = ensemble.ensemble_preds(learn)
    last_two, _ = ensemble.ensemble_preds(learn, last=2)
    assert equal(own, learn.model.state_dict())
    single = []
    for snapshot in ensemble.snapshots:
        learn.model.load_state_dict(snapshot)
        single.append(learn.get_preds()[0])
    torch.testing.assert_close(preds, torch.stack(single).mean(0))
    torch.testing.assert_close(last_two, torch.stack(single[1:]).mean(0))
    assert torch.equal(targs, learn.get_preds()[1]) and not torch.equal(single[0], single[2])
    with pytest.raises(ValueError, match=r"last must be a whole number in \[1, 3\], got 4"):
        ensemble.ensemble_preds(learn, last=4)


def test_every_needs_no_schedule_and_keep_forgets(make_learner):
    learn, ensemble = make_learner(), SnapshotEnsemble(every=2, keep=2)
    learn.fit_one_cycle(7, 0.1, cbs=ensemble)
    assert ensemble.steps == [39, 59]
    learn.fit(2, cbs=ensemble)
    assert ensemble.steps == [19] and len(ensemble.snapshots) == 1


def test_average_of_the_minima(make_learner):
    learn, average, ensemble = make_learner(groups=3), CycleAverage(skip=1), SnapshotEnsemble()
    learn.fit_schedule(4, CYCLES, 0.1, cbs=[average, ensemble])
    assert average.n_averaged == 3
    for name, parameter in learn.model.named_parameters():
        expected = torch.stack([snapshot[name] for snapshot in ensemble.snapshots[1:]]).double().mean(0).float()
        torch.testing.assert_close(parameter.data, expected)


def test_batchnorm_is_measured_again(make_learner):
    learn, average = make_learner(groups=3), CycleAverage()
    learn.dls.train.shuffle = False
    learn.fit_schedule(2, CYCLES, 0.1, cbs=average)
    layer, norm = learn.model[0], learn.model[1][0]
    with torch.no_grad():
        batches = [layer(x) for x, _ in learn.dls.train]
    torch.testing.assert_close(norm.running_mean, torch.stack([o.mean(0) for o in batches]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([o.var(0) for o in batches]).mean(0))
    assert norm.momentum == 0.1 and not learn.model.training


def test_measuring_draws_no_random_numbers(make_learner):
    losses = []
    for cbs in ([], [CycleAverage()]):
        learn = make_learner(groups=3)
        learn.fit_schedule(1, Constant(), 1e-3, cbs=cbs)
        losses.append([batch[0].tolist() for batch in learn.dls.train])
    assert losses[0] == losses[1]


def test_average_is_what_a_tracker_saves(make_learner):
    learn = make_learner(groups=3)
    with pytest.raises(ValueError, match="CycleAverage and SaveModelCallback"):
        learn.fit_schedule(2, CYCLES, cbs=[CycleAverage(), SaveModelCallback()])
    learn.fit_schedule(2, CYCLES, 0.1, cbs=[CycleAverage(), SaveModelCallback(at_end=True)])
    averaged = {name: value.clone() for name, value in learn.model.state_dict().items()}
    learn.fit(1)
    learn.load("model", with_opt=False)
    assert equal(averaged, learn.model.state_dict())


@pytest.mark.parametrize("callback", [SnapshotEnsemble, CycleAverage])
def test_errors(make_learner, callback):
    learn = make_learner()
    with pytest.raises(ValueError, match="every must be .* got 0"):
        callback(every=0)
    with pytest.raises(ValueError, match="finds the cycles in the ScheduleLR of the same fit"):
        learn.fit(1, cbs=callback())
    with pytest.raises(ValueError, match="no cycle ends within the 10 steps"):
        learn.fit_schedule(1, CosineRestarts(cycle_len=2), cbs=callback())


def test_more_errors(make_learner):
    with pytest.raises(ValueError, match="keep must be .* got 0"):
        SnapshotEnsemble(keep=0)
    with pytest.raises(ValueError, match="skip must be .* got -1"):
        CycleAverage(skip=-1)
    with pytest.raises(ValueError, match="skip must be below the fit's 2 cycle ends, got 2"):
        make_learner().fit_schedule(2, CYCLES, cbs=CycleAverage(skip=2))
    with pytest.raises(ValueError, match="no snapshots yet"):
        SnapshotEnsemble().ensemble_preds(make_learner())


def test_lr_find_and_validation_leave_them_alone(make_learner):
    ensemble = SnapshotEnsemble()
    learn = make_learner(cbs=ensemble)
    learn.fit_schedule(2, CYCLES, 0.1)
    learn.lr_find(show_plot=False)
    learn.validate()
    assert ensemble.steps == [9, 19] and np.isfinite(ensemble.ensemble_preds(learn)[0]).all()
