"""Resumable: a stopped and continued fit is bit for bit the fit that was not stopped."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import pytest
import torch
from fastai.basics import SGD, Adam, DataLoaders, Learner, Lookahead, OptimWrapper, RAdam, noop, set_seed
from fastai.callback.progress import CSVLogger, ProgressCallback
from fastai.callback.tracker import EarlyStoppingCallback, ReduceLROnPlateau, SaveModelCallback
from fastai.callback.training import GradientAccumulation
from fastai.losses import CrossEntropyLossFlat
from fastai.test_utils import synth_dbunch, synth_learner

from lrlab.callbacks import (
    SGDR,
    CosineDecay,
    CycleAverage,
    GradualUnfreeze,
    HyperHistory,
    PolynomialDecay,
    ReduceOnPlateau,
    Resumable,
    ScheduleHyper,
    StopOnDivergence,
    Triangular,
)
from lrlab.callbacks.random_state import seed_loaders
from tests import processes
from tests.callbacks import resumable_fit
from tests.callbacks.conftest import StopAfter, Stopped
from tests.conftest import no_file_above


def same(a, b) -> bool:
    "Equal in every bit and type, however deep."
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_a_killed_process_and_a_new_one_are_one_run(tmp_path):
    def start(name, kill_after=None):
        (tmp_path / name).mkdir(exist_ok=True)
        return processes.start(resumable_fit.main, tmp_path / name, kill_after)

    whole, killed = start("whole"), start("stopped", 3)
    assert processes.end(killed) == 9 and not (tmp_path / "stopped/result.pth").exists()
    assert processes.end(start("stopped")) == 0 and processes.end(whole) == 0
    whole, resumed = (torch.load(tmp_path / name / "result.pth", weights_only=False) for name in ("whole", "stopped"))
    assert len(whole["history"]["lr"]) == 70 and len(whole["snapshots"]) == 3
    for name in whole:
        assert same(whole[name], resumed[name]), name


def fit_one_cycle(learn, cbs):
    learn.fit_one_cycle(5, slice(1e-3, 1e-1), cbs=cbs)


def fit_schedule(schedule, learn, cbs):
    learn.fit_schedule(5, schedule, slice(1e-3, 1e-1), cbs=cbs)


def fit_accumulated(learn, cbs):
    learn.fit_schedule(5, Triangular(cycle_len="5 steps"), 1e-1, cbs=[*cbs, GradientAccumulation(16 * 4)])


def fit_plateau(learn, cbs):
    learn.fit_schedule(5, CosineDecay(), 1e-1, cbs=[*cbs, ReduceOnPlateau(min_delta=0.5, factor=2)])


def fit_fastai_plateau(learn, cbs):
    learn.fit(5, 1e-1, cbs=[*cbs, ReduceLROnPlateau(min_delta=0.5)])


def fit_thawing(learn, cbs):
    learn.fit(5, 1e-2, cbs=[*cbs, GradualUnfreeze(every=2)])


def fit_averaged(learn, cbs):
    learn.fit_schedule(5, SGDR(cycle_mult=1), 1e-1, cbs=[*cbs, CycleAverage(skip=1)])


def lookahead(params, lr):
    return Lookahead(RAdam(params, lr=lr))


CASES = {
    "one cycle of fastai's": (fit_one_cycle, Adam),
    "restarts, Adam": (partial(fit_schedule, SGDR()), Adam),
    "cosine, torch's AdamW": (partial(fit_schedule, CosineDecay()), partial(OptimWrapper, opt=torch.optim.AdamW)),
    "cosine, Lookahead": (partial(fit_schedule, CosineDecay()), lookahead),
    "accumulation across epochs": (fit_accumulated, partial(SGD, mom=0.9)),
    "plateau on a schedule": (fit_plateau, Adam),
    "fastai's plateau": (fit_fastai_plateau, Adam),
    "thawing": (fit_thawing, Adam),
    "averaging": (fit_averaged, Adam),
}


def outcome(learn, history) -> dict:
    return {
        "model": learn.model.state_dict(),
        "history": history.to_df().to_dict("list"),
        "lrs": learn.recorder.lrs,
        "losses": torch.stack(learn.recorder.losses),
        "values": [list(row) for row in learn.recorder.values],
    }


@pytest.mark.parametrize("stop", [0, 2, 4])
@pytest.mark.parametrize(("fit", "opt_func"), CASES.values(), ids=CASES)
def test_bit_for_bit(make_learner, fit, opt_func, stop):
    def learner(seed):
        set_seed(0)
        data = synth_dbunch(n_train=5)
        for dl in data.loaders:
            dl.rng.seed(seed)
        history = HyperHistory()
        cbs = [history, StopOnDivergence()]
        return make_learner(groups=3, opt_func=opt_func, cbs=cbs, data=data, seed=seed), history

    learn, history = learner(seed=1)
    fit(learn, [Resumable("whole")])
    whole = outcome(learn, history)

    learn, history = learner(seed=1)
    with pytest.raises(Stopped):
        fit(learn, [Resumable("stopped"), StopAfter(stop)])

    learn, history = learner(seed=2)  # other weights, other data order: all must come from the file
    fit(learn, [Resumable("stopped")])
    resumed = outcome(learn, history)
    for name in whole:
        assert same(whole[name], resumed[name]), name


class Next(torch.nn.Sequential):
    "A language model that knows one word of context."

    def __init__(self):
        super().__init__(torch.nn.Embedding(20, 4), torch.nn.Linear(4, 20))


def test_the_order_of_texts_goes_on_and_can_be_seeded(tmp_path):
    "The loader of a language model shuffles the order of the epoch before, which another process does not know."
    from fastai.text.data import LMDataLoader

    def learner():
        set_seed(0)
        texts = [torch.randint(20, (n,)) for n in range(10, 30)]
        dls = DataLoaders(LMDataLoader(texts, bs=4, seq_len=8, shuffle=True), LMDataLoader(texts, bs=4, seq_len=8))
        learn = Learner(dls, Next(), CrossEntropyLossFlat(), path=tmp_path)
        learn.remove_cbs(ProgressCallback)
        learn.logger = noop
        return learn

    def words(learn):
        return [x.tolist() for x, _ in learn.dls.train]

    whole, stopped, resumed = learner(), learner(), learner()
    set_seed(1)
    whole.fit(3, 1e-2, cbs=Resumable("whole"))
    set_seed(1)
    with pytest.raises(Stopped):
        stopped.fit(3, 1e-2, cbs=[Resumable("stopped"), StopAfter(1)])
    resumed.fit(3, 1e-2, cbs=Resumable("stopped"))
    assert resumed.recorder.values == whole.recorder.values

    order = list(whole.dls.train.items.idxs)
    assert list(resumed.dls.train.items.idxs) == order
    whole.lr_range_test(num_it=20)
    assert list(whole.dls.train.items.idxs) == order
    seeded = []
    for learn in whole, learner():
        set_seed(1)
        seed_loaders(learn.dls, 1)
        seeded.append(words(learn))
    assert seeded[0] == seeded[1]


def test_trackers_go_on(make_learner, tmp_path, capsys):
    "fastai #3780 is an IndexError here, #2836 a checkpoint written over."

    def cbs():
        early = EarlyStoppingCallback(min_delta=100.0, patience=4)
        return [SaveModelCallback(), early, SaveModelCallback(every_epoch=True, fname="epoch"), Resumable("a")]

    learn = make_learner(seed=1)
    with pytest.raises(Stopped):
        learn.fit(6, 1e-3, cbs=[*cbs(), StopAfter(1)])
    first = {n: (tmp_path / f"models/epoch_{n}.pth").stat().st_mtime_ns for n in (0, 1)}
    save, early, *rest = cbs()
    learn = make_learner(seed=2)
    learn.fit(6, 1e-3, cbs=[save, early, *rest])
    for n, time in first.items():
        assert (tmp_path / f"models/epoch_{n}.pth").stat().st_mtime_ns == time
    assert not (tmp_path / "models/epoch_5.pth").exists()  # no improvement by 100 since epoch 0: stopped at epoch 4
    assert early.wait == 4 and len(learn.recorder.values) == 5
    assert save.best == min(row[1] for row in learn.recorder.values)
    assert "Better model found at epoch 0" in capsys.readouterr().out


def test_a_log_goes_on(make_learner, tmp_path):
    logger = CSVLogger()
    with pytest.raises(Stopped):
        make_learner().fit(3, 1e-3, cbs=[logger, Resumable("a"), StopAfter(1)])
    for _ in range(2):  # the rest of the fit, and a complete fit
        make_learner().fit(3, 1e-3, cbs=[logger, Resumable("a")])
    log = tmp_path / "history.csv"
    assert [line.split(",")[0] for line in log.read_text().splitlines()] == ["epoch", "0", "1", "epoch", "2", "epoch"]
    make_learner().fit(1, 1e-3, cbs=[logger, Resumable("b")])
    assert len(log.read_text().splitlines()) == 2  # another fit starts a new file, as before


def test_start_epoch_with_trackers(make_learner):
    learn = make_learner()
    early = EarlyStoppingCallback(patience=3)
    learn.fit_schedule(5, CosineDecay(), 1e-2, start_epoch=3, cbs=[SaveModelCallback(), early])
    assert len(learn.recorder.values) == 2
    np.testing.assert_allclose(learn.recorder.lrs, 1e-2 * CosineDecay().multipliers(50, 10)[30:])


def test_a_progress_bar_may_start_in_the_middle(tmp_path, capsys):
    for n in (1, 2, 2):
        learn = synth_learner(path=tmp_path)  # with fastai's ProgressCallback
        learn.fit_schedule(3, CosineDecay(), 1e-2, start_epoch=n)
        learn.fit(2, 1e-2, cbs=Resumable("a"))
    assert len(learn.recorder.values) == 2


def fit_two_epochs(learn, history):
    cbs = [history, Resumable("a"), ScheduleHyper("wd", PolynomialDecay())]
    learn.fit_schedule(2, CosineDecay(), 1e-2, moms=(0.95, 0.85), wd=0.2, cbs=cbs)


def test_a_complete_fit_does_not_train_again(make_learner):
    history = HyperHistory()
    learn = make_learner()
    fit_two_epochs(learn, history)
    model = {name: value.clone() for name, value in learn.model.state_dict().items()}
    hypers = [dict(hyper) for hyper in learn.opt.hypers]
    learn = make_learner(seed=9)
    again = HyperHistory()
    fit_two_epochs(learn, again)
    assert same(model, learn.model.state_dict())
    assert [dict(hyper) for hyper in learn.opt.hypers] == hypers  # those from before the fit, not of its last step
    assert again.to_df().equals(history.to_df())
    learn.fit(1)  # and the Learner is as good as ever
    assert len(learn.recorder.values) == 1


def test_validate_and_lr_find_neither_load_nor_save(make_learner, tmp_path):
    learn = make_learner(cbs=Resumable("a"))
    learn.validate()
    learn.get_preds()
    learn.lr_find(show_plot=False)
    assert not (tmp_path / "models/a.pth").exists()
    learn.fit(2, 1e-2)
    model, time = {k: v.clone() for k, v in learn.model.state_dict().items()}, (tmp_path / "models/a.pth").stat()
    learn.validate()
    assert same(model, learn.model.state_dict()) and (tmp_path / "models/a.pth").stat() == time


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda learn: learn.fit(3, 1e-2, cbs=Resumable("a")), "its n_epoch is 2, this one's 3"),
        (lambda learn: learn.fit(2, 1e-3, cbs=Resumable("a")), r"its lr is \[0.01\], this one's \[0.001\]"),
        (lambda learn: learn.fit_schedule(2, CosineDecay(), 1e-2, cbs=Resumable("a")), "its schedule is"),
        (lambda learn: learn.fit(2, 1e-2, cbs=[EarlyStoppingCallback(), Resumable("a")]), "its callbacks is"),
        (lambda learn: learn.fit(2, 1e-2, cbs=[Resumable("b"), Resumable("c")]), "two Resumable in one fit"),
    ],
)
def test_another_fit_is_refused(make_learner, fit, message):
    learn = make_learner()
    learn.fit(2, 1e-2, cbs=Resumable("a"))
    with pytest.raises(ValueError, match=message):
        fit(learn)


def test_a_crash_while_saving_leaves_the_file_before(make_learner, tmp_path, monkeypatch):
    learn = make_learner()
    with pytest.raises(Stopped):
        learn.fit(3, 1e-2, cbs=[Resumable("a"), StopAfter(0)])
    before = (tmp_path / "models/a.pth").read_bytes()

    def fail(state, file):
        file.write(b"half a file")
        raise OSError("disk full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr(torch, "save", fail)
        make_learner().fit(3, 1e-2, cbs=Resumable("a"))
    assert (tmp_path / "models/a.pth").read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files")
def test_a_full_disk_is_told_as_such_and_leaves_the_file_before(make_learner, tmp_path):
    with pytest.raises(Stopped):
        make_learner().fit(3, 1e-2, cbs=[Resumable("a"), StopAfter(0)])
    before = (tmp_path / "models/a.pth").read_bytes()
    with no_file_above(1000), pytest.raises(OSError, match="File too large"):
        make_learner().fit(3, 1e-2, cbs=Resumable("a"))
    assert [file.name for file in (tmp_path / "models").iterdir()] == ["a.pth"]
    assert (tmp_path / "models/a.pth").read_bytes() == before


@pytest.mark.parametrize("every", [0, 1.5])
def test_bad_arguments(every):
    with pytest.raises(ValueError, match=f"every must be a whole number of at least 1, got {every}"):
        Resumable("a", every=every)
