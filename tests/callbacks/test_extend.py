"""Extendable, extend and cool_down: a continued fit is bit for bit the fit of that length."""

from __future__ import annotations

import signal
from functools import partial

import pytest
import torch
from fastai.basics import SGD, Adam, DataLoaders, Learner, OptimWrapper, nn, set_seed
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.mixup import MixUp
from fastai.callback.rnn import ModelResetter
from fastai.callback.schedule import ParamScheduler, SchedCos
from fastai.callback.tracker import SaveModelCallback
from fastai.callback.training import GradientAccumulation
from fastai.losses import CrossEntropyLossFlat
from fastai.test_utils import synth_dbunch
from fastai.text.models.awdlstm import AWD_LSTM
from fastai.text.models.core import SequentialRNN

from lrlab.callbacks import (
    Constant,
    CooldownOnPlateau,
    CosineDecay,
    Custom,
    Extendable,
    GradualUnfreeze,
    HyperHistory,
    InverseSqrt,
    OneCycle,
    PolynomialDecay,
    ReduceOnPlateau,
    Resumable,
    ScheduleFree,
    ScheduleHyper,
    SnapshotEnsemble,
    StopOnDivergence,
    Trapezoid,
    join,
    schedule_free_adamw,
    warmup,
)
from tests import processes
from tests.callbacks import extendable_fit
from tests.callbacks.conftest import StopAfter, Stopped
from tests.callbacks.extendable_fit import make_learner as make_digits
from tests.callbacks.extendable_fit import outcome
from tests.callbacks.test_resume import same


def test_another_process_extends_a_fit_and_a_kill_leaves_its_file(tmp_path):
    "The cooldown begins within an epoch: at step 44 of 60, ten steps an epoch."

    def start(name, *args):
        (tmp_path / name).mkdir(exist_ok=True)
        return processes.start(extendable_fit.main, tmp_path / name, *args)

    whole, first = start("whole", "fit", 9), start("extended", "fit", 6)
    assert processes.end(first) == 0
    before = (tmp_path / "extended/models/run.pth").read_bytes()
    assert processes.end(start("extended", "kill", 3)) == -signal.SIGKILL
    assert (tmp_path / "extended/models/run.pth").read_bytes() == before
    assert processes.end(start("extended", "extend", 3)) == 0 and processes.end(whole) == 0
    whole, extended = (torch.load(tmp_path / name / "result.pth", weights_only=False) for name in ("whole", "extended"))
    assert len(whole["history"]["lr"]) == 90
    for name in whole:
        assert same(whole[name], extended[name]), name


def test_the_hidden_state_of_a_recurrent_model_continues(tmp_path):
    "The cooldown begins within an epoch: after the third batch of four."

    def outcome(epochs, *more):
        set_seed(1)
        words = torch.randint(0, 7, (16, 6))
        items = list(zip(words[:, :-1], words[:, 1:], strict=True))
        dls = DataLoaders.from_dsets(items, items, bs=4, shuffle=False, num_workers=0)
        model = SequentialRNN(AWD_LSTM(7, 4, 6, 1), nn.Linear(4, 7))
        learn = Learner(dls, model, CrossEntropyLossFlat(), cbs=ModelResetter(), path=tmp_path)
        with learn.no_bar(), learn.no_logging():
            learn.fit_schedule(epochs, Trapezoid("2 steps", "5 steps"), 1e-2, cbs=Extendable(f"run {epochs}"))
            for epochs in more:
                learn.extend(epochs)
        return learn.model.state_dict(), list(learn.recorder.losses)

    assert same(outcome(3), outcome(2, 1))


CASES = {
    "Adam": (Adam, Trapezoid("7 steps", "20%"), {}, []),
    "SGD, momentum against the LR": (
        partial(SGD, mom=0.9),
        Trapezoid(1, "25%", "cosine"),
        {"moms": (0.95, 0.85)},
        [],
    ),
    "torch's AdamW": (partial(OptimWrapper, opt=torch.optim.AdamW), Trapezoid(0, "13 steps"), {"wd": 0.1}, []),
    "no cooldown": (Adam, InverseSqrt("5 steps"), {}, []),
    "a decay of wd that ends early": (
        Adam,
        Trapezoid(1, 1),
        {},
        [lambda: ScheduleHyper("wd", join([(PolynomialDecay(), "8 steps"), (Constant(), None)]))],
    ),
    "accumulation across epochs": (partial(SGD, mom=0.9), Trapezoid(0, "35%"), {}, [lambda: GradientAccumulation(150)]),
    "mixed precision, mixup": (Adam, Trapezoid(1, "25%"), {}, [lambda: MixedPrecision("bf16"), MixUp]),
    "schedule-free": (schedule_free_adamw, warmup(Constant(), "5 steps"), {}, [ScheduleFree]),
    "plateaus and snapshots": (
        Adam,
        Trapezoid(1, "25%"),
        {},
        [
            lambda: ReduceOnPlateau(patience=1, min_delta=1.0, factor=2, verbose=False),
            lambda: SnapshotEnsemble(every=1),
        ],
    ),
}


@pytest.mark.parametrize(("opt_func", "schedule", "options", "more"), CASES.values(), ids=CASES)
def test_cooldowns_and_extensions_are_the_separate_fits(tmp_path, opt_func, schedule, options, more):
    def learner(seed):
        history = HyperHistory()
        learn = make_digits(tmp_path, seed, opt_func)
        return learn, history, [history, StopOnDivergence(), *(make() for make in more)]

    def separate(epochs):
        learn, history, cbs = learner(seed=1)
        learn.fit_schedule(epochs, schedule, 1e-2, **options, cbs=cbs)
        return outcome(learn, history)

    learn, history, cbs = learner(seed=1)
    learn.fit_schedule(4, schedule, 1e-2, **options, cbs=[*cbs, Extendable("run", budgets=[2, 3])])
    results = {4: outcome(learn, history)}
    for epochs in (2, 3):
        learn, history, cbs = learner(seed=2)  # other weights, other data order: all must come from the file
        learn.cool_down(epochs, "run", cbs=cbs)
        results[epochs] = outcome(learn, history)
    learn, history, cbs = learner(seed=3)
    learn.extend(1, "run", cbs=cbs)
    learn.extend(1, "run", cbs=cbs)
    results[6] = outcome(learn, history)
    for epochs, result in results.items():
        for name, value in separate(epochs).items():
            assert same(value, result[name]), (epochs, name)


def test_workers_and_one_learner(tmp_path):
    "The batches before a cooldown come from the workers again; the Learner and its callbacks are the ones of the fit."
    learn, history = make_digits(tmp_path, num_workers=2), HyperHistory()
    cbs = [history, SaveModelCallback(monitor="accuracy", at_end=True)]
    learn.fit_schedule(2, Trapezoid(0, "25%"), 1e-2, cbs=[*cbs, Extendable("run")])
    learn.extend(1, cbs=cbs)
    extended = outcome(learn, history)
    learn, history = make_digits(tmp_path, num_workers=2), HyperHistory()
    learn.fit_schedule(3, Trapezoid(0, "25%"), 1e-2, cbs=[history, SaveModelCallback(monitor="accuracy", at_end=True)])
    for name, value in outcome(learn, history).items():
        assert same(value, extended[name]), name


def same_data(seed):
    "One data set in an order of its own, as in a new process."
    set_seed(0)
    data = synth_dbunch()
    for dl in data.loaders:
        dl.rng.seed(seed)
    return data


@pytest.mark.parametrize("frozen", [False, True])
def test_groups_of_layers(make_learner, frozen):
    "A slice of LRs, a schedule for each group, frozen or gradually unfrozen groups."
    schedules = {0: Constant(), -1: Trapezoid("3 steps", "25%")}

    def learner():
        learn, history = make_learner(groups=3, data=same_data(1), seed=1), HyperHistory()
        if frozen:
            learn.freeze_to(1)
        return learn, history, [history, *([] if frozen else [GradualUnfreeze(every=2)])]

    learn, history, cbs = learner()
    learn.fit_schedule(6, schedules, slice(1e-3, 1e-1), cbs=cbs)
    expected = outcome(learn, history)

    learn, history, cbs = learner()
    learn.fit_schedule(5, schedules, slice(1e-3, 1e-1), cbs=[*cbs, Extendable("run")])
    learn.extend(1, cbs=cbs)
    assert [p.requires_grad for p in learn.model.parameters()] == [not frozen] * 2 + [True] * 4
    extended = outcome(learn, history)
    for name, value in expected.items():
        assert same(value, extended[name]), name


def test_an_extension_that_was_stopped_is_resumed(make_learner):
    def learner(seed):
        return make_learner(data=same_data(seed), seed=seed), HyperHistory()

    learn, history = learner(seed=1)
    learn.fit_schedule(6, Trapezoid(0, "25%"), 1e-1, cbs=history)
    expected = outcome(learn, history)
    learn, history = learner(seed=1)
    learn.fit_schedule(3, Trapezoid(0, "25%"), 1e-1, cbs=[history, StopAfter(9), Extendable("run")])
    learn, history = learner(seed=2)
    with pytest.raises(Stopped):
        learn.extend(3, "run", cbs=[history, StopAfter(3), Resumable("long")])
    learn, history = learner(seed=3)
    learn.extend(3, "run", cbs=[history, StopAfter(9), Resumable("long")])
    extended = outcome(learn, history)
    for name, value in expected.items():
        assert same(value, extended[name]), name


def test_the_file_holds_a_state_for_each_budget_and_one_for_the_fit(make_learner, tmp_path):
    learn, file = make_learner(), tmp_path / "models/run.pth"

    def steps():
        return [state["step"] for state in torch.load(file, weights_only=True)["states"]]

    learn.fit_schedule(8, Trapezoid(1, "25%"), 1e-1, cbs=Extendable("run", budgets=[4, 2]))
    assert steps() == [15, 30, 60]
    size = file.stat().st_size
    learn.extend(4)
    assert steps() == [15, 30, 90] and file.stat().st_size < 1.5 * size
    learn.fit_schedule(8, Trapezoid(1, "25%"), 1e-2, cbs=Extendable("run", budgets=[2]))
    assert steps() == [15, 60]  # of this fit alone
    assert [path.name for path in file.parent.iterdir()] == ["run.pth"]


def test_a_trunk_that_does_not_grow_with_the_run_is_extended_again(make_learner):
    schedule = join([(Constant(), "15 steps"), (CosineDecay(), None)])
    learn = make_learner()
    learn.fit_schedule(3, schedule, 1e-1, cbs=Extendable("run"))
    learn.extend(1)
    learn.extend(2)
    assert learn.n_epoch == 6


def test_an_extendable_may_stay_in_the_learner(make_learner, tmp_path):
    learn = make_learner(cbs=Extendable("run"))
    learn.fit_schedule(3, Trapezoid(0, 1), 1e-1)
    before = (tmp_path / "models/run.pth").read_bytes()
    learn.cool_down(3)
    assert (tmp_path / "models/run.pth").read_bytes() == before
    assert [type(cb) for cb in learn.cbs].count(Extendable) == 1
    learn.extend(1)
    assert learn.n_epoch == 4 and (tmp_path / "models/run.pth").read_bytes() != before


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        (CosineDecay(), "it depends on the length of the run from its first steps; use Trapezoid"),
        (OneCycle(), "it depends on the length of the run from its first steps"),
        (Trapezoid(), "warmup='10%' grows with the run; give the warm-up in epochs or steps"),
        (warmup(Constant(), "10%"), "length='10%' grows with the run"),
        (join([(Constant(), 1), (CosineDecay(), 2)]), "the parts take .* and the run has 40"),
        (Custom(lambda p: 1.0), "Extendable can store the schedules of lrlab.callbacks, apart from Custom"),
    ],
    ids=repr,
)
def test_schedules_that_cannot_be_extended_are_refused_before_the_fit(make_learner, schedule, why):
    learn = make_learner()
    with pytest.raises(ValueError, match=why):
        learn.fit_schedule(3, schedule, 1e-2, cbs=Extendable("run"))
    assert not learn.recorder.values


def test_what_else_is_refused(make_learner, tmp_path):
    def fit(*cbs, budgets=()):
        make_learner().fit_schedule(4, Trapezoid(0, 1), 1e-2, cbs=[*cbs, Extendable("run", budgets=budgets)])

    def refused(sentence, act):
        with pytest.raises(ValueError, match=sentence):
            act()

    refused("no fit with an Extendable; name its file", lambda: make_learner().extend(1))
    refused("there is no .*run.pth: fit with", lambda: make_learner().extend(1, "run"))
    refused("needs a schedule in the same fit", lambda: make_learner().fit(2, cbs=Extendable("run")))
    refused("budgets must be below the n_epoch=4 of the fit, got 4", lambda: fit(budgets=[4]))
    refused(r"budgets\[0\] must be a whole number of at least 1, got 0", lambda: fit(budgets=[0]))
    refused("ParamScheduler, which follows the share", lambda: fit(ParamScheduler({"mom": SchedCos(0.9, 0.8)})))
    refused("CooldownOnPlateau, which ends the trunk before", lambda: fit(CooldownOnPlateau()))

    fit()
    refused("its number of parameter groups is 1, this one's 3", lambda: make_learner(groups=3).extend(1, "run"))
    refused("its list of callbacks is .*, this one's", lambda: make_learner().extend(1, "run", cbs=MixUp()))
    refused("its callbacks is .*, this one's .*hyper_history", lambda: make_learner().extend(1, "run", HyperHistory()))
    refused(
        r"its data is .*160, 16, None.*, this one's .*80, 8, None",
        lambda: make_learner(data=synth_dbunch(bs=8)).extend(1, "run"),
    )
    refused("its optimizer is", lambda: make_learner(opt_func=SGD).extend(1, "run"))
    refused(
        r"Trapezoid.* with n_epoch=2 differs from the fit with n_epoch=4 from step 11 on",
        lambda: make_learner().cool_down(2, "run"),
    )
    (tmp_path / "models/run.pth").write_bytes(b"half a file")
    refused("run.pth is damaged or no file of Extendable", lambda: make_learner().extend(1, "run"))
    make_learner().fit(2, cbs=Resumable("other"))
    refused("other.pth is no file of Extendable", lambda: make_learner().extend(1, "other"))


def test_after_an_exception_in_the_skipped_batches_the_learner_trains(make_learner):
    learn = make_learner()
    learn.fit_schedule(2, Trapezoid(0, "5 steps"), 1e-2, cbs=Extendable("run"))
    create_batch = learn.dls.train.create_batch

    def fail(samples):
        raise Stopped("no such image")

    learn.dls.train.create_batch = fail
    with pytest.raises(Stopped):
        learn.extend(1)
    learn.dls.train.create_batch = create_batch
    learn.fit(1, 1e-2)
    assert len(learn.recorder.losses) == 10


def test_a_batch_method_of_the_user_is_used_and_stays(make_learner):
    learn = make_learner()
    learn.fit_schedule(2, Trapezoid(0, "5 steps"), 1e-2, cbs=Extendable("run"))
    usual, called = learn.one_batch, []

    def counted(i, b):
        called.append(i)
        usual(i, b)

    learn.one_batch = counted
    learn.extend(1)
    assert learn.one_batch is counted and called
