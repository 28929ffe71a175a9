"""Random sequences of fits, freezes, validations, interrupts and resumes: ours change nothing where they do nothing."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import torch
from fastai.basics import (
    Adam,
    Callback,
    CancelEpochException,
    CancelTrainException,
    Learner,
    MSELossFlat,
    nn,
    noop,
    set_seed,
)
from fastai.callback import hook  # noqa: F401  (learn.summary)
from fastai.callback.progress import ProgressCallback
from fastai.callback.training import GradientAccumulation
from fastai.test_utils import synth_dbunch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrlab.callbacks import (
    Constant,
    GradualUnfreeze,
    HyperHistory,
    ReduceOnPlateau,
    Resumable,
    ScheduleHyper,
    ScheduleLR,
    SnapshotEnsemble,
    StartAt,
    StopOnDivergence,
)
from tests.callbacks.conftest import StopAfter, Stopped, split

OURS = {  # set so that they change nothing
    "ScheduleLR": lambda: ScheduleLR(Constant()),
    "ScheduleHyper": lambda: ScheduleHyper("wd", Constant()),
    "HyperHistory": HyperHistory,
    "StopOnDivergence": lambda: StopOnDivergence(factor=1e9),
    "SnapshotEnsemble": lambda: SnapshotEnsemble(every=1),
    "ReduceOnPlateau": lambda: ReduceOnPlateau(patience=99),
    "StartAt": lambda: StartAt(0),
}
BATCHES = 3


class Steps(Callback):
    "All hyper-parameters at every optimizer step."

    order = 1000

    def __init__(self):
        self.seen = []

    def after_step(self):
        self.seen.append([dict(hyper) for hyper in self.learn.opt.hypers])


class Interrupt(Callback):
    "Raises at one training batch of the fit."

    order = 40

    def __init__(self, batch, error):
        self.at_batch, self.error, self.done = batch, error, 0

    def after_batch(self):
        if self.learn.training:
            self.done += 1
            if self.done == self.at_batch + 1:
                raise self.error


EPOCHS, LR = st.integers(1, 3), st.sampled_from([1e-3, 1e-2])
STEPS = st.one_of(
    st.tuples(st.just("fit"), EPOCHS, LR),
    st.tuples(st.just("fit_accumulated"), EPOCHS, LR),
    st.tuples(st.just("interrupt"), EPOCHS, LR, st.integers(0, 8), st.sampled_from([KeyboardInterrupt, RuntimeError])),
    st.tuples(
        st.just("cut"), EPOCHS, LR, st.integers(0, 8), st.sampled_from([CancelTrainException, CancelEpochException])
    ),
    st.tuples(st.just("resume"), st.integers(2, 3), LR, st.integers(0, 1)),
    st.tuples(st.sampled_from(["freeze", "unfreeze", "validate", "get_preds", "range_test", "preview", "summary"])),
)
SEQUENCE = st.lists(STEPS, min_size=1, max_size=6)
CALLBACKS = st.lists(st.sampled_from(sorted(OURS)), unique=True, max_size=4)


class Run:
    "One Learner through a sequence, with some of our callbacks or with none."

    def __init__(self, folder: str, permanent: list[str], of_fit: list[str]) -> None:
        set_seed(0)
        data = synth_dbunch(bs=8, n_train=BATCHES, n_valid=1)
        model = nn.Sequential(nn.Linear(1, 4), nn.Sequential(nn.BatchNorm1d(4), nn.ReLU()), nn.Linear(4, 1))
        cbs = [OURS[name]() for name in permanent]
        self.learn = Learner(data, model, MSELossFlat(), Adam, splitter=split, path=Path(folder), cbs=cbs)
        self.learn.remove_cbs(ProgressCallback)
        self.learn.logger = noop
        self.ours, self.of_fit, self.steps, self.fits = bool(permanent or of_fit), of_fit, Steps(), 0

    def fit(self, epochs, lr, *cbs):
        self.learn.fit(epochs, lr, wd=0.1, cbs=[self.steps, *cbs, *(OURS[name]() for name in self.of_fit)])

    def fit_accumulated(self, epochs, lr):
        self.fit(epochs, lr, GradientAccumulation(16))

    def interrupt(self, epochs, lr, batch, error):
        try:
            self.fit(epochs, lr, Interrupt(batch, error("stop")))
        except error:
            self.learn.opt.zero_grad()

    def cut(self, epochs, lr, batch, error):
        self.fit(epochs, lr, Interrupt(batch, error("cut")))

    def resume(self, epochs, lr, stop):
        self.fits += 1
        if not self.ours:
            self.fit(epochs, lr)
            return
        try:
            self.fit(epochs, lr, Resumable(f"{self.fits}"), StopAfter(stop))
        except Stopped:
            self.learn.model[0].weight.data.fill_(9)  # the file brings it back
            self.fit(epochs, lr, Resumable(f"{self.fits}"))

    def freeze(self):
        self.learn.freeze()

    def unfreeze(self):
        self.learn.unfreeze()

    def validate(self):
        self.learn.validate()

    def get_preds(self):
        self.learn.get_preds()

    def summary(self):
        self.learn.summary()

    def range_test(self):
        if self.ours:
            self.learn.lr_range_test(num_it=8)

    def preview(self):
        if self.ours:
            self.learn.preview_schedule(2, Constant(), 0.1).to_df()

    def result(self) -> dict:
        opt = self.learn.opt
        return {
            "steps": self.steps.seen,
            "model": {name: value.tolist() for name, value in self.learn.model.state_dict().items()},
            "frozen": [p.requires_grad for p in self.learn.model.parameters()],
            "hypers": opt and [dict(hyper) for hyper in opt.hypers],
            "random": torch.get_rng_state().tolist(),
            "attributes": sorted(vars(self.learn).keys() - {"hyper_history", "smooth_loss", *NAMES}),
        }


NAMES = {make().name for make in OURS.values()}


def run(sequence, permanent=(), of_fit=()) -> dict:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        both = Run(folder, list(permanent), [name for name in of_fit if name not in permanent])
        for name, *arguments in sequence:
            getattr(both, name)(*arguments)
        return both.result()


@given(SEQUENCE, CALLBACKS, CALLBACKS)
@settings(max_examples=30)
def test_what_remains_is_what_a_plain_learner_would_have(sequence, permanent, of_fit):
    plain, ours = run(sequence), run(sequence, permanent or ["HyperHistory"], of_fit)
    for name in plain:
        assert plain[name] == ours[name], name


@given(SEQUENCE, st.integers(1, 2))
@settings(max_examples=10)
def test_gradual_unfreezing_leaves_what_it_says_after_any_sequence(sequence, every):
    "The number of trained groups after a fit is told by its epochs alone, whatever happened before."
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = Run(folder, ["HyperHistory"], [])
        for name, *arguments in sequence:
            getattr(one, name)(*arguments)
        one.fit(2, 1e-3, GradualUnfreeze(every=every))
        assert one.learn.opt.frozen_idx == 2 - 1 // every
