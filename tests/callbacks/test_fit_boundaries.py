"""Where a fit begins and ends: exceptions, validation within a fit, range tests, Learners that were never fitted."""

from __future__ import annotations

import copy
import pickle
from functools import cache, partial

import numpy as np
import pytest
import torch
from fastai.basics import (
    Adam,
    Callback,
    CancelFitException,
    DataLoaders,
    Datasets,
    Learner,
    MSELossFlat,
    Transform,
    event,
    load_learner,
    nn,
    noop,
    set_seed,
)
from fastai.callback import hook  # noqa: F401  (learn.summary)
from fastai.callback.progress import ProgressCallback

from lrlab.callbacks import (
    SGDR,
    CosineDecay,
    CycleAverage,
    GradualUnfreeze,
    HyperHistory,
    OneCycle,
    PolynomialDecay,
    ReduceOnPlateau,
    Resumable,
    ScheduleHyper,
    ScheduleLR,
    SnapshotEnsemble,
    StartAt,
    StopOnDivergence,
    TailAverage,
)
from tests.callbacks.conftest import split

OURS = {
    "ScheduleLR": lambda: ScheduleLR(SGDR(cycle_mult=1), moms=(0.95, 0.85)),
    "ScheduleHyper": lambda: ScheduleHyper("wd", CosineDecay()),
    "HyperHistory": HyperHistory,
    "StopOnDivergence": StopOnDivergence,
    "SnapshotEnsemble": lambda: SnapshotEnsemble(every=1),
    "CycleAverage": lambda: CycleAverage(every=1),
    "ReduceOnPlateau": lambda: ReduceOnPlateau(min_delta=1e3, factor=2, verbose=False),
    "GradualUnfreeze": GradualUnfreeze,
    "Resumable": lambda: Resumable("fit"),
    "StartAt": lambda: StartAt(1),
    "TailAverage": lambda: TailAverage("30%"),
}
EVENTS = [name for name in vars(event) if name.startswith(("before_", "after_")) and "cancel" not in name][1:]


class Item(Transform):
    "Turns a number into the item of this number, so that the loader has items as an image loader does."

    def __init__(self, values):
        self.values = values

    def encodes(self, i):
        return self.values[i]


def items(n: int = 40) -> DataLoaders:
    x = torch.randn(n, 1, generator=torch.Generator().manual_seed(0))
    splits = [list(range(n - 8)), list(range(n - 8, n))]
    return Datasets(list(range(n)), [[Item(x)], [Item(2 * x + 3)]], splits=splits).dataloaders(bs=8, num_workers=0)


def make(path, cbs=None, n=40) -> Learner:
    "A Learner of three groups with batch-norm, four batches an epoch."
    set_seed(0)
    model = nn.Sequential(nn.Linear(1, 4), nn.Sequential(nn.BatchNorm1d(4), nn.ReLU()), nn.Linear(4, 1))
    learn = Learner(items(n), model, MSELossFlat(), partial(Adam, mom=0.9), splitter=split, path=path, cbs=cbs)
    learn.remove_cbs(ProgressCallback)
    learn.logger = noop
    return learn


class Raise(Callback):
    "Raises at the first, or a later, time of an event."

    def __init__(self, name, error, order, times=1):
        self.event_name, self.error, self.order, self.left = name, error, order, times

    def __call__(self, event_name):
        if event_name == self.event_name:
            self.left -= 1
            if self.left == 0:
                raise self.error


def frame(learn: Learner) -> dict:
    "All of a Learner that a failed fit must not change: everything but weights and the results of training."
    for dl in learn.dls.loaders:
        vars(dl).pop("it", None)  # fastai's loaders keep the generator of an epoch that did not end
    return {
        "attributes": sorted(vars(learn).keys() - {"smooth_loss", "pct_train", "train_iter", "n_iter", "iter", "dl"}),
        "own methods": [name for name in vars(learn) if callable(getattr(type(learn), name, None))],
        "hypers": [dict(hyper) for hyper in learn.opt.hypers],
        "frozen": (learn.opt.frozen_idx, [p.requires_grad for p in learn.model.parameters()]),
        "callbacks": [type(cb) for cb in learn.cbs],
        "pickled": type(pickle.dumps(learn.cbs)),
    }


@pytest.mark.parametrize("stays", [False, True], ids=["of the fit", "of the Learner"])
@pytest.mark.parametrize("name", OURS)
def test_an_exception_at_any_event_leaves_the_learner_as_before(tmp_path, name, stays):
    learn = make(tmp_path, n=24)
    learn.fit(1, 1e-2, wd=0.1)  # makes optimizer and attributes
    for number, at in enumerate(EVENTS):
        # Of one event early where the callback stays and late where it does not; of the next the other way round.
        order, times = ((-200, 1), (1000, 2))[(number + stays) % 2]
        cb = OURS[name]()
        if name == "Resumable":
            cb = Resumable(f"{number}")
        raising = Raise(at, KeyboardInterrupt() if number % 3 else RuntimeError("stop"), order, times)
        if stays:
            learn.add_cb(cb)
        before = frame(learn)
        try:
            learn.fit(3, 1e-2, wd=0.1, cbs=[raising, *([] if stays else [cb])])
        except (RuntimeError, KeyboardInterrupt):
            assert frame(learn) == before, (at, order)
            assert not cb._in_fit and cb.skip_to == 0
        if stays:
            learn.remove_cb(cb)
        learn.opt.unfreeze()
    steps = Steps()
    learn.fit(2, 1e-2, wd=0.1, cbs=steps)
    assert steps.lrs == [1e-2] * 4


class Steps(Callback):
    "The LR of every optimizer step."

    order = 1000

    def __init__(self):
        self.lrs = []

    def after_step(self):
        self.lrs.append(self.learn.opt.hypers[-1]["lr"])


@pytest.mark.parametrize("name", OURS)
def test_a_failing_start_of_another_callback(tmp_path, name):
    learn = make(tmp_path)
    with pytest.raises(ValueError, match="monitor must be one of"):
        learn.fit(3, 1e-2, cbs=[OURS[name](), Named(monitor="accuracy")])
    steps = Steps()
    learn.fit(3, 1e-2, cbs=steps)
    assert len(steps.lrs) == 12
    assert len(learn.lr_range_test(num_it=20, stop_div=False).lrs) == 20
    assert isinstance(pickle.dumps(learn), bytes)


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda learn: pickle.loads(pickle.dumps(learn))], ids=["copy", "pickle"]
)
@pytest.mark.parametrize("name", OURS)
def test_a_copy_of_a_learner_fits_as_the_learner_does(tmp_path, name, again):
    learn = make(tmp_path, cbs=OURS[name]())
    learn.fit(2, 1e-2)
    copied = again(learn)
    for each, file in (learn, "a"), (copied, "b"):
        if name == "Resumable":
            each.resumable.file = tmp_path / file
        set_seed(1)
        each.fit(2, 1e-2)
    assert copied.recorder.values == learn.recorder.values


class Copy(Callback):
    "Copies the Learner after the second of three epochs."

    order, again, copied = 1000, None, None

    def after_epoch(self):
        if self.epoch == 1:
            learn = self.learn
            with learn.removed_cbs(self):
                self.copied = self.again(learn)


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda learn: pickle.loads(pickle.dumps(learn))], ids=["copy", "pickle"]
)
@pytest.mark.parametrize("name", OURS)
def test_a_copy_from_within_a_fit_is_in_no_fit(tmp_path, name, again):
    cb = OURS[name]()
    learn, copies = make(tmp_path, cbs=cb), Copy()
    copies.again = again
    learn.fit(3, 1e-2, cbs=copies)
    copied = copies.copied
    its_own = getattr(copied, cb.name)
    assert not its_own._in_fit and not its_own._in_epochs and not its_own._nested
    if name == "Resumable":
        its_own.file = tmp_path / "b"
    ends = []
    its_own.fit_ends = lambda failed: ends.append((failed, its_own._epoch))
    copied.fit(3, 1e-2)
    assert ends == [(False, 2)]  # it was told of the fit and of its epochs


class Named(ReduceOnPlateau):
    "The same under another name, so that it can stand beside the first."


# What only looks like a fit


def checks(learn: Learner) -> dict:
    "Everything of fastai's that sends the events of a fit without being one."
    return {
        "validate": learn.validate,
        "get_preds": learn.get_preds,
        "get_preds of the training data": lambda: learn.get_preds(ds_idx=0),
        "tta": lambda: learn.tta(n=1),
        "summary": learn.summary,
        "lr_find": lambda: learn.lr_find(show_plot=False, num_it=20),
        "lr_range_test": lambda: learn.lr_range_test(num_it=20),
        "preview": lambda: learn.preview_schedule(2, OneCycle()).plot(),
    }


def state(cb: Callback) -> str:
    "What a callback holds, for comparison."
    return repr({name: value for name, value in vars(cb).items() if name != "learn"})


WHAT = "validate, get_preds, get_preds of the training data, tta, summary, lr_find, lr_range_test, preview".split(", ")


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("name", OURS)
def test_nothing_happens_on_a_learner_that_was_never_fitted(tmp_path, name, what):
    cb = OURS[name]()
    learn = make(tmp_path, cb)
    weights, before = [p.clone() for p in learn.model.parameters()], state(cb)
    checks(learn)[what]()
    assert state(cb) == before
    assert all(torch.equal(a, b) for a, b in zip(weights, learn.model.parameters(), strict=True))
    assert not list(tmp_path.glob("models/fit*"))


@pytest.mark.parametrize("name", OURS)
def test_nothing_happens_after_a_fit_either(tmp_path, name):
    cb = OURS[name]()
    learn = make(tmp_path, cb)
    learn.fit(3, 1e-3)
    with torch.no_grad():
        learn.model[0].weight.fill_(7.0)  # as learn.load("best") or SaveModelCallback would
    for what, check in checks(learn).items():
        before = state(cb)
        check()
        assert state(cb) == before, what
        assert learn.model[0].weight.eq(7).all(), what


@pytest.mark.parametrize("name", OURS)
@pytest.mark.filterwarnings("ignore:load_learner")
def test_an_exported_learner_predicts(tmp_path, name):
    for fitted in (False, True):
        learn = make(tmp_path, OURS[name]())
        if fitted:
            learn.fit(2, 1e-3)
        expected = learn.get_preds()[0]
        learn.export("a.pkl")
        again = load_learner(tmp_path / "a.pkl")
        preds, _ = again.get_preds(dl=learn.dls.valid)
        torch.testing.assert_close(preds, expected)


# Validation within a fit


class Also(Callback):
    "A second validation, or predictions, within a fit: as a second validation set or logged predictions need it."

    def __init__(self, what, event_name, order):
        self.what, self.order, self.busy = what, order, False
        setattr(self, event_name, self.check)

    def check(self):
        if not self.busy:
            self.busy = True
            checks(self.learn)[self.what]()
            self.busy = False


RESULTS = {
    "HyperHistory": lambda cb, learn: cb.to_df().drop(columns="loss"),
    "SnapshotEnsemble": lambda cb, learn: cb.steps,
    "CycleAverage": lambda cb, learn: cb.n_averaged,
    "TailAverage": lambda cb, learn: cb.n_averaged,
    "Resumable": lambda cb, learn: torch.load(learn.path / "models/fit.pth", weights_only=True)["epoch"],
    "GradualUnfreeze": lambda cb, learn: [p.requires_grad for p in learn.model.parameters()],
    "ReduceOnPlateau": lambda cb, learn: cb.lr_scale,
    "StopOnDivergence": lambda cb, learn: (cb.diverged, cb._limit),
    "ScheduleLR": lambda cb, learn: learn.opt.hypers[-1]["lr"],
}


def trained(path, name: str, *beside: Callback) -> str:
    "What a callback and the LRs are after a fit, for comparison."
    learn, cb, steps = make(path, n=24), OURS[name](), Steps()
    learn.fit(3, 1e-3, cbs=[cb, steps, *beside])
    return str((RESULTS[name](cb, learn), steps.lrs))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    "The same by the callback's name alone; each is trained once."
    return cache(lambda name: trained(tmp_path_factory.mktemp("undisturbed"), name))


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("name", RESULTS)
def test_validation_after_an_epoch_changes_nothing_of_ours(tmp_path, undisturbed, name, number):
    "Every check and every order with every callback, and every pair of them with some."
    what = ["validate", "get_preds", "tta", "summary"][number]
    order = [-60, 55, 200][(number + list(RESULTS).index(name)) % 3]
    assert trained(tmp_path, name, Also(what, "after_epoch", order)) == undisturbed(name)


@pytest.mark.parametrize("event_name", ["before_fit", "before_epoch", "after_validate", "after_fit"])
@pytest.mark.parametrize("what", ["validate", "summary"])
def test_validation_at_other_events(tmp_path, event_name, what):
    learn, history, steps = make(tmp_path), HyperHistory(), Steps()
    learn.fit_schedule(3, PolynomialDecay(), 0.1, cbs=[history, steps, Also(what, event_name, 55)])
    np.testing.assert_allclose(steps.lrs, 0.1 * PolynomialDecay().multipliers(12, 4))
    np.testing.assert_allclose(history.to_df().lr[history.to_df().group == 2], steps.lrs)
    assert history.to_df().epoch.tolist() == sorted(history.to_df().epoch)


def test_a_range_test_within_a_fit_does_not_disturb_it(tmp_path):
    learn, history, steps = make(tmp_path), HyperHistory(), Steps()
    learn.fit_schedule(2, PolynomialDecay(), 0.1, cbs=[history, steps, Also("lr_range_test", "after_epoch", 200)])
    assert len(history.to_df()) == 3 * 8


def test_callbacks_that_come_and_go_within_a_fit(tmp_path):
    late, early = HyperHistory(), ScheduleLR(PolynomialDecay(), moms=(0.95, 0.85))

    class Swap(Callback):
        def after_epoch(self):
            if self.epoch == 0:
                self.learn.add_cb(late)
                self.learn.remove_cb(early)

    learn = make(tmp_path, early)
    learn.fit(3, 1e-2, cbs=Swap())
    assert late.to_df().epoch.unique().tolist() == [1, 2]
    assert learn.opt.hypers[0]["mom"] == 0.9 and not early._in_fit


def test_a_cancelled_start_is_no_fit(tmp_path):
    class Cancel(Callback):
        def before_fit(self):
            raise CancelFitException

    learn, history = make(tmp_path), HyperHistory()
    learn.fit_schedule(3, PolynomialDecay(), 0.1, cbs=[history, Cancel()])
    assert history.to_df().empty and learn.opt.hypers[0]["lr"] == 0.1


def test_one_callback_for_several_learners(tmp_path):
    history = HyperHistory()
    first, _ = make(tmp_path, history), make(tmp_path, history)
    first.fit(1, 0.1)
    assert len(history.to_df()) == 3 * 4 and history.learn is first


def test_a_callback_that_is_given_twice_is_refused_and_stays_usable(tmp_path):
    history = HyperHistory()
    learn = make(tmp_path, history)
    with pytest.raises(ValueError, match="one HyperHistory is in this fit twice"):
        learn.fit(1, cbs=history)
    learn.fit(1)
    assert len(history.to_df()) == 3 * 4
