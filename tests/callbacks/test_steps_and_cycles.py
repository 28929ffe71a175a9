"""What counts as a step, where the schedule stands, and cycle ends, when training does not go as planned."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
import torch.utils.data as torch_data
from fastai.basics import (
    Callback,
    CancelBatchException,
    CancelEpochException,
    CancelStepException,
    CancelTrainException,
    DataLoader,
    DataLoaders,
)
from fastai.callback.data import PartialDL
from fastai.callback.training import GradientAccumulation, ShortEpochCallback

from lrlab.callbacks import (
    CosineDecay,
    CosineRestarts,
    CycleAverage,
    HyperHistory,
    OneCycle,
    PolynomialDecay,
    SnapshotEnsemble,
    StopOnDivergence,
    Triangular,
)
from lrlab.callbacks.arguments import Budget

LINEAR = PolynomialDecay()
CYCLES = CosineRestarts(cycle_len=1, cycle_mult=1)


class Accumulate(Callback):
    "The user's own accumulation: cancels all but every n-th batch, at any event and order."

    run_valid = False

    def __init__(self, n, at="after_backward", order=0, error=CancelBatchException):
        self.n, self.order, self.error, self.count = n, order, error, 0
        setattr(self, at, self.cancel)

    def cancel(self):
        if self.learn.training:
            self.count += 1
            if self.count % self.n:
                raise self.error


def fit(make_learner, witness, schedule, cbs=(), epochs=3, **kwargs):
    learn = make_learner(**kwargs)
    learn.fit_schedule(epochs, schedule, 0.1, cbs=[witness, *cbs])
    return [lrs[-1] for lrs in witness.lrs]


# Several batches to a step


@pytest.mark.parametrize("schedule", [CosineDecay(), CYCLES, OneCycle(), Triangular(1, floor=0)], ids=str)
@pytest.mark.parametrize(
    ("at", "order"), [("after_backward", 0), ("after_backward", 30), ("before_step", 0), ("before_step", 20)]
)
def test_own_accumulation_has_the_lrs_of_fastais(make_learner, witness, schedule, at, order):
    "fastai's callback tells the plan; the user's own does not, and the run takes as many steps."
    expected = fit(make_learner, witness, schedule, [GradientAccumulation(16 * 5)])
    with pytest.warns(UserWarning, match="epoch 0 made 2 optimizer steps, and 10 were planned") as caught:
        observed = fit(make_learner, witness, schedule, [Accumulate(5, at, order)])
    assert len(expected) == 6
    np.testing.assert_allclose(observed, expected, rtol=1e-9)
    assert len([one for one in caught if "were planned" in str(one.message)]) == 1


def test_history_counts_the_steps_that_were_made(make_learner):
    learn, history = make_learner(), HyperHistory()
    with pytest.warns(UserWarning, match="were planned"):
        learn.fit_schedule(2, LINEAR, 0.1, cbs=[history, Accumulate(4)])
    df = history.to_df()
    assert df.step.tolist() == [0, 1, 2, 3, 4] and df.epoch.tolist() == [0, 0, 1, 1, 1]
    assert df.lr.is_monotonic_decreasing and df.lr.iloc[-1] <= 0.1 * (1 - 16 / 20) + 1e-12


def test_batches_that_are_skipped_are_in_no_loss_and_shift_nothing(make_learner, witness):
    history = HyperHistory()
    with pytest.warns(UserWarning, match="made 7 optimizer steps, and 10 were planned"):
        lrs = fit(make_learner, witness, LINEAR, [history, SkipBatches()], epochs=1)
    assert lrs == pytest.approx([0.1 * (1 - i / 10) for i in (0, 1, 3, 4, 6, 7, 9)])
    assert len(history.to_df()) == 7 and np.isfinite(history.to_df().loss).all()


class SkipBatches(Callback):
    "Leaves out every third batch, as for a loss that is not finite."

    run_valid = False

    def after_loss(self):
        if self.learn.iter % 3 == 2:
            self.learn.loss = torch.tensor(float("nan"))
            raise CancelBatchException


@pytest.mark.parametrize("order", [-5, 0, 6, 7, 8, 20])
@pytest.mark.parametrize("name", ["before_step", "before_backward"])
def test_steps_that_are_cancelled_count(make_learner, name, order):
    learn, history = make_learner(), HyperHistory()
    cb = Accumulate(3, name, order, CancelStepException)
    if name == "before_backward":
        cb = Accumulate(3, "before_step", order, CancelStepException)
        cb.n = 2
    learn.fit_schedule(1, LINEAR, 0.1, cbs=[history, cb])
    df = history.to_df()
    assert df.step.tolist() == list(range(10)) and df.lr.tolist() == pytest.approx(0.1 * LINEAR.multipliers(10, 10))
    assert history.skipped == [step for step in range(10) if (step + 1) % cb.n]


# Loaders


def loaders(train) -> DataLoaders:
    return DataLoaders(train, DataLoader(DATA, bs=16))


X = torch.randn(160, 1, generator=torch.Generator().manual_seed(0))
DATA = torch_data.TensorDataset(X, 2 * X + 3)


def batch_sampler():
    sampler = torch_data.BatchSampler(torch_data.RandomSampler(DATA), 8, drop_last=False)
    return torch_data.DataLoader(DATA, batch_sampler=sampler)


class OddSampler:
    "Batches of 4, 12, 4, 12, ...: it has no batch size."

    def __iter__(self):
        bounds = np.cumsum([0, *[4, 12] * 10])
        return iter([list(range(a, b)) for a, b in zip(bounds, bounds[1:], strict=False)])

    def __len__(self):
        return 20


@pytest.mark.parametrize(
    ("train", "n_acc", "steps"),
    {
        "a batch sampler": (batch_sampler, 16, 20),
        "a partial loader": (lambda: PartialDL(DATA, bs=8, partial_n=68, shuffle=True), 32, 4),
        "torch's loader": (lambda: torch_data.DataLoader(DATA, batch_size=16), 32, 10),
        "torch's loader with a sampler": (
            lambda: torch_data.DataLoader(DATA, 16, sampler=torch_data.SubsetRandomSampler(range(40))), 20, 3),
    }.values(),
)  # fmt: skip
def test_accumulation_over_unusual_loaders_is_planned(make_learner, witness, train, n_acc, steps):
    lrs = fit(make_learner, witness, LINEAR, [GradientAccumulation(n_acc)], epochs=2, data=loaders(train()))
    assert lrs == pytest.approx(0.1 * LINEAR.multipliers(steps, 1))


def test_accumulation_over_batches_of_unknown_size_follows_the_fraction(make_learner, witness):
    data = loaders(torch_data.DataLoader(DATA, batch_sampler=OddSampler()))
    with pytest.warns(UserWarning, match="made 10 optimizer steps, and 20 were planned"):
        lrs = fit(make_learner, witness, LINEAR, [GradientAccumulation(16)], epochs=2, data=data)
    assert lrs == pytest.approx(0.1 * LINEAR.multipliers(20, 10))


class Resize(Callback):
    "Changes the training loader before each epoch."

    order = -5

    def __init__(self, sizes):
        self.sizes = sizes

    def before_epoch(self):
        self.learn.dls.loaders[0] = self.learn.dls.train.new(bs=self.sizes[self.learn.epoch])


@pytest.mark.parametrize("sizes", [(80, 32, 16), (16, 32, 80), (16, 16, 40), (40, 16, 16)])
@pytest.mark.parametrize("schedule", [CosineDecay(), LINEAR], ids=str)
def test_a_batch_size_that_changes_between_epochs(make_learner, witness, schedule, sizes):
    data = loaders(DataLoader(DATA, bs=sizes[0], shuffle=True))
    with pytest.warns(UserWarning, match="follows the fraction of the run") as caught:
        lrs = fit(make_learner, witness, schedule, [Resize(sizes)], data=data)
    batches = [160 // size for size in sizes]
    share = [(epoch + i / n) / 3 for epoch, n in enumerate(batches) for i in range(n)]
    at = schedule._curve(Budget(1000, 100))
    assert lrs == pytest.approx([0.1 * at(np.array([p * 1000])).item() for p in share])
    assert len([one for one in caught if "fraction" in str(one.message)]) == 1


class Endless(DataLoader):
    "Gives more, or fewer, batches than its length."

    extra = 0

    def __iter__(self):
        for i, batch in enumerate([*super().__iter__()] * 2):
            if i < len(self) + self.extra:
                yield batch


@pytest.mark.parametrize("extra", [-3, -1, 1, 7])
def test_a_loader_whose_length_is_wrong(make_learner, witness, extra):
    train = Endless(DATA, bs=16)
    train.extra = extra
    with pytest.warns(UserWarning, match=f"made {10 + extra} optimizer steps, and 10 were planned"):
        lrs = fit(make_learner, witness, LINEAR, epochs=2, data=loaders(train))
    assert len(lrs) == 2 * (10 + extra) and (np.diff(lrs) <= 1e-12).all()
    assert lrs[10 + extra] == pytest.approx(0.05)


def test_a_run_that_goes_as_planned_warns_of_nothing(make_learner, witness):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(make_learner, witness, CYCLES, [HyperHistory(), SnapshotEnsemble(), GradientAccumulation(40)])


@pytest.mark.parametrize("observer", [HyperHistory, StopOnDivergence])
def test_observers_stand_aside_where_no_step_is_made(make_learner, observer):
    learn = make_learner()
    learn.fit(1, cbs=[observer(), GradientAccumulation(10**6)])
    assert len(learn.recorder.values) == 1


# The ends of cycles


class Cut(Callback):
    "Cancels a part of training in one epoch, after some batches."

    order = 30

    def __init__(self, epoch, batch, error=CancelTrainException):
        self.cut_epoch, self.cut_batch, self.error = epoch, batch, error

    def after_batch(self):
        if self.learn.training and (self.learn.epoch, self.learn.iter) == (self.cut_epoch, self.cut_batch):
            raise self.error


def lowest(history, ensemble) -> list[float]:
    lrs = history.to_df().set_index("step").lr
    return [round(lrs[step], 4) for step in ensemble.steps]


@pytest.mark.filterwarnings("ignore:epoch . made")
@pytest.mark.parametrize(
    ("cb", "lrs"),
    {
        "as planned": (Callback(), [0.0024] * 3),
        "short epochs": (ShortEpochCallback(0.5), [0.05] * 3),
        "longer short epochs": (ShortEpochCallback(0.8), [0.0095] * 3),
        "skipped batches": (SkipBatches(), [0.0024] * 3),
        "a late cut": (Cut(1, 7), [0.0024, 0.0206, 0.0024]),
        "a late cut of the last epoch": (Cut(2, 8), [0.0024, 0.0024, 0.0095]),
    }.values(),
)
def test_a_snapshot_is_of_the_lowest_lr_of_its_cycle(make_learner, cb, lrs):
    learn, history, ensemble, average = make_learner(), HyperHistory(), SnapshotEnsemble(), CycleAverage()
    learn.fit_schedule(3, CYCLES, 0.1, cbs=[cb, history, ensemble, average])
    assert lowest(history, ensemble) == lrs and average.n_averaged == 3
    assert ensemble.missing == average.missing == []


@pytest.mark.filterwarnings("ignore:epoch . made")
@pytest.mark.parametrize(
    ("cb", "missing"),
    {
        "an early cut": (Cut(1, 3), [2]),
        "an early cut of the first": (Cut(0, 0), [1]),
        "a cancelled epoch": (Cut(1, 2, CancelEpochException), [2]),
        "an early cut of the last": (Cut(2, 4), [3]),
    }.values(),
)
def test_a_cycle_that_is_cut_before_its_minimum_is_left_out_and_named(make_learner, cb, missing):
    learn, history, ensemble, average = make_learner(), HyperHistory(), SnapshotEnsemble(), CycleAverage()
    with pytest.warns(UserWarning, match=f"SnapshotEnsemble leaves out cycle {missing[0]}: training was cut"):
        learn.fit_schedule(3, CYCLES, 0.1, cbs=[cb, history, ensemble, average])
    assert ensemble.missing == average.missing == missing and average.n_averaged == 2
    assert lowest(history, ensemble) == [0.0024] * 2


def test_every_epoch_that_is_cut_still_has_its_snapshot(make_learner):
    learn, ensemble = make_learner(), SnapshotEnsemble(every=1)
    learn.fit(3, 1e-2, cbs=[ensemble, Cut(1, 3)])
    assert ensemble.steps == [9, 13, 23]


@pytest.mark.filterwarnings("ignore:epoch . made")
def test_own_accumulation_ends_cycles_after_their_last_step(make_learner):
    learn, history, ensemble = make_learner(), HyperHistory(), SnapshotEnsemble()
    learn.fit_schedule(3, CYCLES, 0.1, cbs=[history, ensemble, Accumulate(5)])
    assert ensemble.steps == [1, 3, 5] and lowest(history, ensemble) == [0.05] * 3
