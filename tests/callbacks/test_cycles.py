"""SnapshotEnsemble and CycleAverage: the weights of the true minima, and what is made of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fastai.basics import Callback, nn
from fastai.callback.tracker import SaveModelCallback
from fastai.callback.training import BnFreeze, GradientAccumulation

from lrlab.callbacks import Constant, CosineRestarts, CycleAverage, SnapshotEnsemble, Triangular
from lrlab.callbacks.averaging import measure_batchnorm

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


# Batch-norm under CycleAverage


class Kept(nn.Module):
    "A pretrained batch-norm that the model itself keeps in eval mode, beside one that trains."

    def __init__(self):
        super().__init__()
        self.first, self.frozen, self.trained, self.last = (
            nn.Linear(1, 4),
            nn.BatchNorm1d(4),
            nn.BatchNorm1d(4),
            nn.Linear(4, 1),
        )

    def train(self, mode=True):
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, x):
        return self.last(self.trained(self.frozen(self.first(x))))


def filled(layer):
    with torch.no_grad():
        layer.running_mean.fill_(1.5)
        layer.running_var.fill_(9.0)
    return layer


def is_filled(layer) -> bool:
    return layer.running_mean.eq(1.5).all().item() and layer.running_var.eq(9).all().item()


def test_batchnorm_that_the_model_keeps_frozen_stays(make_learner):
    learn = make_learner(model=Kept())
    frozen, trained = filled(learn.model.frozen), filled(learn.model.trained)
    learn.fit_schedule(2, CYCLES, 1e-3, cbs=CycleAverage())
    assert is_filled(frozen) and not is_filled(trained)
    assert [m.training for m in learn.model.modules()] == [False] * 5 and trained.momentum == 0.1


def test_batchnorm_that_a_callback_freezes_stays(make_learner):
    learn = make_learner(groups=3, train_bn=False, cbs=BnFreeze())
    norm = filled(learn.model[1][0])
    learn.freeze_to(2)
    learn.fit_schedule(2, CYCLES, 1e-3, cbs=CycleAverage())
    assert is_filled(norm)
    learn.unfreeze()
    learn.fit_schedule(2, CYCLES, 1e-3, cbs=CycleAverage())
    assert not is_filled(norm)


def test_batchnorm_without_running_statistics_has_none_to_measure(make_learner):
    model = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 1))
    learn, average = make_learner(model=model), CycleAverage()
    learn.fit_schedule(2, CYCLES, 1e-3, cbs=average)
    assert average.n_averaged == 2 and model[1].running_mean is None


class Prepare(Callback):
    "Prepares every batch, as callbacks that crop, normalize or move batches do."

    def before_batch(self):
        self.learn.xb = (self.xb[0] * 100 + 7,)


@pytest.mark.parametrize("cb", [Prepare(), Callback(before_batch=lambda self: None)])
def test_batches_pass_the_callbacks_that_prepare_them(make_learner, cb):
    learn = make_learner(groups=3, cbs=cb)
    learn.dls.train.shuffle = False
    learn.fit_schedule(2, CYCLES, 1e-3, cbs=CycleAverage())
    layer, norm = learn.model[0], learn.model[1][0]
    with torch.no_grad():
        seen = [layer(x * 100 + 7 if isinstance(cb, Prepare) else x).mean(0) for x, _ in learn.dls.train]
    torch.testing.assert_close(norm.running_mean, torch.stack(seen).mean(0))


def test_measuring_leaves_the_learner_as_it_is(make_learner):
    learn = make_learner(groups=3)
    learn.fit(1)
    before = {name: value for name, value in vars(learn).items()}
    measure_batchnorm(learn)
    assert before == vars(learn) and before.keys() == vars(learn).keys()


# Several outputs


class Heads(nn.Module):
    "A model with several outputs, in a tuple, a list or a dict."

    def __init__(self, form):
        super().__init__()
        self.a, self.b, self.form = nn.Linear(1, 1), nn.Linear(1, 2), form

    def forward(self, x):
        return self.form((self.a(x), self.b(x)))


@pytest.mark.parametrize("form", [tuple, list, lambda o: (o[0], (o[1], o[0]))])
def test_an_ensemble_averages_every_output(make_learner, form):
    learn, ensemble = make_learner(model=Heads(form)), SnapshotEnsemble()
    learn.loss_func = lambda preds, target: (preds[0] - target).pow(2).mean()
    learn.fit_schedule(3, CYCLES, 0.1, cbs=ensemble)
    preds, _ = ensemble.ensemble_preds(learn)
    singles = []
    for snapshot in ensemble.snapshots:
        learn.model.load_state_dict(snapshot)
        singles.append(learn.get_preds()[0][0])
    torch.testing.assert_close(preds[0], torch.stack(singles).mean(0))
    assert len(preds) == 2


def test_the_order_of_predictions_is_that_of_the_dataset_or_of_the_loader(make_learner):
    from fastai.basics import DataLoader

    learn, ensemble = make_learner(), SnapshotEnsemble()
    learn.fit_schedule(2, CYCLES, 0.1, cbs=ensemble)
    backwards = DataLoader(
        learn.dls.valid.dataset, bs=16, get_idxs=lambda: list(range(len(learn.dls.valid.dataset)))[::-1]
    )
    straight, _ = ensemble.ensemble_preds(learn)
    ordered, _ = ensemble.ensemble_preds(learn, dl=backwards)
    unordered, _ = ensemble.ensemble_preds(learn, dl=backwards, reorder=False)
    torch.testing.assert_close(ordered, straight)
    torch.testing.assert_close(unordered, straight.flip(0))


@pytest.mark.parametrize("last", [0, -1, 4, True, 1.5])
def test_how_many_of_the_latest_must_be_there(make_learner, last):
    learn, ensemble = make_learner(), SnapshotEnsemble()
    learn.fit_schedule(3, CYCLES, 0.1, cbs=ensemble)
    with pytest.raises(ValueError, match="last must be a whole number"):
        ensemble.ensemble_preds(learn, last=last)


class FirstOutput(Callback):
    "As fastai's RNNCallback: only the first output of the model goes to the loss."

    def after_pred(self):
        self.learn.pred = self.learn.pred[0]


class TwoOutputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.line = nn.BatchNorm1d(1), nn.Linear(1, 1)

    def forward(self, x):
        return self.line(self.norm(x)), x


def test_a_model_with_several_outputs_is_averaged(make_learner):
    learn = make_learner()
    learn.model = TwoOutputs()
    learn.add_cb(FirstOutput())
    average, loss_func = CycleAverage(), learn.loss_func
    with learn.no_bar(), learn.no_logging():
        learn.fit_schedule(2, CYCLES, lr_max=0.1, cbs=average)
    xs = torch.cat([x for x, _ in learn.dls.train])
    assert average.n_averaged == 2 and learn.loss_func is loss_func
    assert torch.allclose(learn.model.norm.running_mean, xs.mean(0), atol=1e-5)
