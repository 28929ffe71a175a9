"""ScheduleLR in every situation a fastai user meets: the LRs are always the schedule's, and end when the run does.

Long because the situations are many; each is a few lines and stands by itself.
"""

from __future__ import annotations

import math
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from fastai.basics import (
    SGD,
    Adam,
    Callback,
    CancelFitException,
    Datasets,
    Learner,
    MSELossFlat,
    OptimWrapper,
    RMSProp,
    load_learner,
    nn,
    noop,
)
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.progress import CSVLogger
from fastai.callback.tracker import EarlyStoppingCallback, ReduceLROnPlateau, SaveModelCallback, TerminateOnNaNCallback
from fastai.callback.training import GradientAccumulation, GradientClip
from fastai.test_utils import synth_dbunch
from torch.amp import GradScaler, autocast

from lrlab.callbacks import (
    SGDR,
    Constant,
    CosineDecay,
    CosineRestarts,
    HyperHistory,
    OneCycle,
    PolynomialDecay,
    ScheduleLR,
    fit_schedule,
    preview_schedule,
    warmup,
)

LINEAR = PolynomialDecay()  # its n-th LR of N is (N - n) / N: easy to read


def linear(steps: int, lr: float = 1.0) -> np.ndarray:
    return lr * LINEAR.multipliers(steps, 1)


def column(witness, group: int = -1) -> np.ndarray:
    return np.array(witness.lrs)[:, group]


class CPUMixedPrecision(MixedPrecision):
    "fastai's callback with a real loss scaler for the CPU, that starts so high that the first steps overflow."

    def before_fit(self):
        super().before_fit()
        self.autocast = autocast("cpu", dtype=torch.bfloat16)
        self.learn.scaler = GradScaler("cpu", init_scale=2.0**127, growth_interval=7)


# What lr_max may be, and what may be frozen


@pytest.mark.parametrize(
    ("lr_max", "groups"),
    [
        (0.1, [0.1, 0.1, 0.1]),
        (slice(1e-3, 1e-1), [1e-3, 1e-2, 1e-1]),
        (slice(0.1), [0.01, 0.01, 0.1]),
        ([0.3, 0.2, 0.1], [0.3, 0.2, 0.1]),
        (np.array([0.3, 0.2, 0.1]), [0.3, 0.2, 0.1]),
        (None, [1e-3, 1e-3, 1e-3]),
    ],
)
def test_lr_max(make_learner, witness, lr_max, groups):
    learn = make_learner(groups=3)
    learn.fit_schedule(2, LINEAR, lr_max, cbs=witness)
    np.testing.assert_allclose(witness.lrs, np.outer(linear(20), groups), rtol=1e-12)
    np.testing.assert_allclose([hyper["lr"] for hyper in learn.opt.hypers], groups, rtol=1e-12)  # back in place
    assert all(type(lr) is float for row in witness.lrs for lr in row)
    preview = learn.preview_schedule(2, LINEAR, lr_max).to_df()
    assert preview.lr.tolist() == np.ravel(witness.lrs).tolist()


def test_frozen_then_unfrozen(make_learner, witness):
    learn = make_learner(groups=3)
    learn.freeze()
    first = learn.model[0].weight.clone()
    learn.fit_schedule(1, LINEAR, slice(1e-3, 1e-1), cbs=witness)
    assert torch.equal(learn.model[0].weight, first)
    np.testing.assert_allclose(column(witness), linear(10, 0.1))
    learn.unfreeze()
    learn.fit_schedule(2, LINEAR, slice(1e-3, 1e-1), cbs=witness)
    assert not torch.equal(learn.model[0].weight, first)
    np.testing.assert_allclose(column(witness, 0), linear(20, 1e-3))


# What a step is


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("n_acc", [16, 17, 40, 64, 200])
def test_accumulation(make_learner, witness, n_acc, drop_last):
    "Batches of 16, the last of 8: the run's steps are counted in items, and over the ends of epochs."
    data = synth_dbunch(n_train=10)
    data.train.dataset.tensors = tuple(o[:152] for o in data.train.dataset.tensors)
    learn = make_learner(data=data)
    learn.dls.train.n, learn.dls.train.drop_last = 152, drop_last
    learn.fit_schedule(3, LINEAR, 1.0, cbs=[GradientAccumulation(n_acc), witness])
    sizes, steps, count = ([16] * 9 + [8] * (not drop_last)) * 3, 0, 0
    for size in sizes:
        count += size
        steps, count = (steps + 1, 0) if count >= n_acc else (steps, count)
    np.testing.assert_allclose(column(witness), linear(steps))


def test_accumulation_as_in_the_preview(make_learner, witness):
    learn = make_learner(cbs=GradientAccumulation(64))
    preview = learn.preview_schedule(4, CosineRestarts(cycle_len="5 steps"), 0.1).to_df()
    learn.fit_schedule(4, CosineRestarts(cycle_len="5 steps"), 0.1, cbs=witness)
    assert preview.lr.tolist() == column(witness).tolist()
    assert preview.epoch.tolist() == [0, 0, 1, 1, 1, 2, 2, 3, 3, 3]


def test_a_skipped_step_advances_the_schedule(make_learner, witness):
    "So that the last step has the schedule's last LR, however many steps overflowed."
    learn, history = make_learner(cbs=CPUMixedPrecision()), HyperHistory()
    before = [p.clone() for p in learn.model.parameters()]
    learn.fit_schedule(2, LINEAR, 0.1, cbs=[history, witness])
    assert 0 < len(history.skipped) < 20
    np.testing.assert_allclose(history.to_df().lr, linear(20, 0.1))
    made = [step for step in range(20) if step not in history.skipped]
    np.testing.assert_allclose(column(witness), linear(20, 0.1)[made])
    assert not all(torch.equal(a, b) for a, b in zip(before, learn.model.parameters(), strict=True))


def test_mixed_precision_with_accumulation(make_learner, witness):
    learn, history = make_learner(cbs=[CPUMixedPrecision(), GradientAccumulation(32), GradientClip()]), HyperHistory()
    learn.fit_schedule(4, LINEAR, 0.1, cbs=[history, witness])
    assert history.skipped
    np.testing.assert_allclose(history.to_df().lr, linear(20, 0.1))


@pytest.mark.parametrize(("drop_last", "batches"), [(False, 4), (True, 3)])
def test_drop_last(make_learner, witness, drop_last, batches):
    data = synth_dbunch(bs=10, n_train=6)  # 60 items
    learn = make_learner(data=data)
    learn.dls.train.bs, learn.dls.train.drop_last = 16, drop_last
    learn.fit_schedule(2, LINEAR, 1.0, cbs=witness)
    np.testing.assert_allclose(column(witness), linear(2 * batches))


# Optimizers

WITH_MOMENTUM = {
    "SGD": (SGD, "mom", 0.9),
    "Adam": (Adam, None, None),
    "RMSProp": (RMSProp, "mom", 0.9),
    "torch SGD": (torch.optim.SGD, "momentum", 0.9),
    "torch Adam": (torch.optim.Adam, "betas", (0.9, 0.99)),
    "torch AdamW": (torch.optim.AdamW, None, None),
    "torch RMSprop": (torch.optim.RMSprop, "momentum", 0.9),
    "torch NAdam": (torch.optim.NAdam, None, None),
}
WITHOUT = [torch.optim.Adagrad, torch.optim.Rprop, torch.optim.Adadelta]


def opt_func(optimizer, name=None, value=None):
    kwargs = {} if name is None else {name: value}
    is_torchs = isinstance(optimizer, type)
    return partial(OptimWrapper, opt=optimizer, **kwargs) if is_torchs else partial(optimizer, **kwargs)


@pytest.mark.parametrize(("optimizer", "name", "value"), WITH_MOMENTUM.values(), ids=WITH_MOMENTUM)
def test_momentum_moves_only_when_asked(make_learner, witness, optimizer, name, value):
    learn = make_learner(groups=3, opt_func=opt_func(optimizer, name, value))
    learn.fit_schedule(2, OneCycle(), slice(1e-4, 1e-2), cbs=witness)
    own = witness.momenta[0]
    assert witness.momenta == [own] * 20
    np.testing.assert_allclose(witness.lrs, np.outer(OneCycle().multipliers(20, 10), [1e-4, 1e-3, 1e-2]))
    history = HyperHistory()
    learn.fit_schedule(2, OneCycle(), slice(1e-4, 1e-2), moms=(0.95, 0.85), cbs=[witness, history])
    momentum = 0.95 - 0.1 * OneCycle().momentum_shape(20, 10)
    np.testing.assert_allclose(witness.momenta, np.repeat(momentum[:, None], 3, 1))
    assert history.to_df().mom.tolist() == np.ravel(witness.momenta).tolist()
    assert [hyper["mom"] for hyper in learn.opt.hypers] == own  # back in place


@pytest.mark.parametrize("optimizer", WITHOUT)
def test_optimizers_without_momentum(make_learner, witness, optimizer):
    learn, history = make_learner(opt_func=opt_func(optimizer)), HyperHistory()
    learn.fit_schedule(2, LINEAR, 0.1, cbs=[witness, history])
    np.testing.assert_allclose(column(witness), linear(20, 0.1))
    assert history.to_df().mom.isna().all()
    with pytest.raises(ValueError, match=r"moms=\(0.95, 0.85\) needs an optimizer with momentum"):
        learn.fit_schedule(2, LINEAR, 0.1, moms=(0.95, 0.85))


# One fit after another


def test_several_fits_and_lr_find_in_between(make_learner, witness):
    scheduler = ScheduleLR(LINEAR)
    learn = make_learner(cbs=[scheduler, witness])
    for n_epoch, lr in ((2, 0.1), (1, 0.3), (3, 0.2)):
        learn.lr_find(show_plot=False)
        learn.fit(n_epoch, lr)
        np.testing.assert_allclose(column(witness), linear(10 * n_epoch, lr))
        learn.validate()
        learn.get_preds()
        assert learn.opt.hypers[-1]["lr"] == lr


def test_lr_find_under_a_permanent_schedule_is_lr_find(make_learner):
    learn = make_learner()
    learn.lr_find(show_plot=False)
    alone = learn.recorder.lrs
    learn = make_learner(cbs=ScheduleLR(LINEAR))
    learn.lr_find(show_plot=False)
    assert learn.recorder.lrs == alone


def test_a_cancelled_fit_and_an_interrupted_one(make_learner, witness):
    class At(Callback):
        def __init__(self, what):
            self.what = what

        def after_batch(self):
            if self.learn.train_iter == 15:
                raise self.what

    learn = make_learner(cbs=[ScheduleLR(LINEAR, moms=(0.95, 0.85)), witness])
    learn.fit(2, 0.1, cbs=At(CancelFitException))
    assert (learn.opt.hypers[0]["lr"], learn.opt.hypers[0]["mom"]) == (0.1, 0.9)
    with pytest.raises(KeyboardInterrupt):
        learn.fit(2, 0.1, cbs=At(KeyboardInterrupt))
    learn.fit(1, 0.2)
    np.testing.assert_allclose(column(witness), linear(10, 0.2))


def test_an_epoch_cut_short_does_not_shift_the_next(make_learner, witness):
    from fastai.callback.training import ShortEpochCallback

    learn = make_learner()
    learn.fit_schedule(3, LINEAR, 1.0, cbs=[ShortEpochCallback(0.5), witness])
    whole = linear(30)
    np.testing.assert_allclose(column(witness), [*whole[:6], *whole[10:16], *whole[20:26]])


def test_start_epoch(make_learner, witness):
    make_learner().fit_schedule(4, LINEAR, 1.0, start_epoch=3, cbs=witness)
    np.testing.assert_allclose(column(witness), linear(40)[30:])
    make_learner().fit(4, 1.0, start_epoch=3, cbs=[ScheduleLR(LINEAR), witness])  # fastai's own
    np.testing.assert_allclose(column(witness), linear(40)[30:])


# Saving


def test_save_load_export_pickle(make_learner, tmp_path, witness):
    scheduler = ScheduleLR(SGDR(), moms=(0.95, 0.85))
    learn = make_learner(groups=3, cbs=scheduler)
    learn.fit(3, slice(1e-3, 1e-1))
    learn.save("a")
    learn = make_learner(groups=3, cbs=scheduler)
    learn.load("a")
    learn.fit(3, 0.1, cbs=witness)
    np.testing.assert_allclose(column(witness), 0.1 * SGDR().multipliers(30, 10))
    assert (
        repr(pickle.loads(pickle.dumps(scheduler))) == repr(scheduler) == f"ScheduleLR({SGDR()!r}, moms=(0.95, 0.85))"
    )


def test_export(tmp_path):
    as_tensor = partial(torch.full, (1,))
    dls = Datasets([0.1 * i for i in range(40)], [[as_tensor], [as_tensor]]).dataloaders(
        bs=8, path=tmp_path, num_workers=0
    )
    learn = Learner(dls, nn.Linear(1, 1), loss_func=MSELossFlat(), cbs=[ScheduleLR(SGDR()), HyperHistory()])
    learn.logger = noop
    with learn.no_bar():
        learn.fit(1)
        learn.export("a.pkl")
        with pytest.warns(UserWarning, match="insecure pickle"):
            again = load_learner(tmp_path / "a.pkl")
        assert repr(again.schedule_lr) == repr(ScheduleLR(SGDR()))
        again.dls = dls
        again.fit(1)
    assert len(again.hyper_history.to_df()) == len(dls.train) == 5


# Beside other callbacks


def test_beside_fastais_callbacks(make_learner, witness, tmp_path):
    cbs = [SaveModelCallback(), EarlyStoppingCallback(patience=9), TerminateOnNaNCallback(), CSVLogger()]
    learn = make_learner(cbs=cbs)
    learn.fit_schedule(3, OneCycle(), 0.1, cbs=witness)
    np.testing.assert_allclose(column(witness), 0.1 * OneCycle().multipliers(30, 10))
    assert learn.save_model.best == min(row[1] for row in learn.recorder.values)
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 4


def test_beside_tensorboard(make_learner, witness, tmp_path):
    pytest.importorskip("tensorboard")
    tensorboard = pytest.importorskip("fastai.callback.tensorboard")
    learn = make_learner(cbs=tensorboard.TensorBoardCallback(tmp_path / "log", trace_model=False, log_preds=False))
    learn.fit_schedule(2, LINEAR, 0.1, cbs=witness)
    np.testing.assert_allclose(column(witness), linear(20, 0.1))
    assert list((tmp_path / "log").iterdir())


def test_beside_wandb(make_learner, witness, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    from fastai.callback.wandb import WandbCallback

    monkeypatch.setenv("WANDB_SILENT", "true")
    with wandb.init(mode="offline", dir=tmp_path):
        learn = make_learner(cbs=WandbCallback(log_preds=False))
        try:
            learn.fit(1)
        except TypeError as error:
            pytest.skip(f"fastai's WandbCallback fails by itself with this fastcore: {error}")
        learn.fit_schedule(2, LINEAR, 0.1, cbs=witness)
    np.testing.assert_allclose(column(witness), linear(20, 0.1))


# Errors, all before the first batch


@pytest.mark.parametrize(
    ("fit", "message"),
    {
        "one cycle": (lambda learn: learn.fit_one_cycle(1, cbs=ScheduleLR(LINEAR)), "call learn.fit or learn.fit_sch"),
        "plateau": (
            lambda learn: learn.fit_schedule(1, LINEAR, cbs=ReduceLROnPlateau()),
            "use .*ReduceOnPlateau",
        ),
        "two": (lambda learn: learn.fit_schedule(1, LINEAR, cbs=ScheduleLR(SGDR())), "two schedules in one fit"),
        "warmup": (lambda learn: learn.fit_schedule(1, warmup(LINEAR, 2)), "longer than the run"),
        "cycle": (lambda learn: learn.fit_schedule(1, SGDR(cycle_len="0.4 steps")), "less than a step"),
        "no epochs": (
            lambda learn: learn.fit_schedule(0, LINEAR),
            "n_epoch must .* at least 1, got 0",
        ),
        "start": (
            lambda learn: learn.fit_schedule(2, LINEAR, start_epoch=2),
            "start_epoch must be below n_epoch=2",
        ),
        "negative": (
            lambda learn: learn.fit_schedule(1, LINEAR, -0.1),
            r"lr_max must .* \[0, inf\), got -0.1",
        ),
        "nan": (lambda learn: learn.fit(1, math.nan, cbs=ScheduleLR(LINEAR)), "lr_max must be a number .* got nan"),
        "slice": (lambda learn: learn.fit_schedule(1, LINEAR, slice(-1, 1)), r"lr_max.start must be a number"),
        "groups": (lambda learn: learn.fit_schedule(1, LINEAR, [0.1, 0.2]), "must be one LR or 3, one for each"),
        "no step": (lambda learn: learn.fit_schedule(1, LINEAR, cbs=GradientAccumulation(10**6)), "no optimizer step"),
        "preview": (lambda learn: learn.preview_schedule(1, warmup(LINEAR, 2)), "longer than the run"),
    }.values(),
)
def test_errors_at_the_start_of_the_fit(make_learner, fit, message):
    learn = make_learner(groups=3)
    before = {name: value.clone() for name, value in learn.model.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        fit(learn)
    assert all(torch.equal(before[name], value) for name, value in learn.model.state_dict().items())
    learn.fit(1)  # the Learner is as good as before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScheduleLR(0.1), "schedule must be a Schedule"),
        (lambda: ScheduleLR(LINEAR, moms=(0.9,)), "moms must be two numbers"),
        (lambda: ScheduleLR(LINEAR, moms=(0.9, 1.0)), r"moms must be two numbers in \[0, 1\)"),
        (lambda: ScheduleLR(LINEAR, moms=0.9), "moms must be two numbers"),
    ],
)
def test_errors_at_construction(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# The preview


def test_preview_does_not_touch_the_learner(make_learner):
    learn = make_learner(groups=3)
    preview = learn.preview_schedule(2, OneCycle(), slice(1e-3, 1e-1), moms=(0.95, 0.85))
    assert learn.opt is None
    df = preview.to_df()
    assert list(df) == ["step", "epoch", "group", "lr", "mom"]
    assert df[df.step == 5].lr.tolist() == pytest.approx([1e-3, 1e-2, 1e-1]) and df.mom[15] == pytest.approx(0.85)
    ax = preview.plot()
    assert len(ax.lines) == 3 and ax.get_yscale() == "log"
    assert preview._repr_png_().startswith(b"\x89PNG")


def test_methods_are_also_functions(make_learner, witness):
    fit_schedule(make_learner(), 1, Constant(), 0.1, cbs=witness)
    assert column(witness).tolist() == [0.1] * 10
    assert preview_schedule(make_learner(), 1, CosineDecay()).to_df().shape == (10, 5)
