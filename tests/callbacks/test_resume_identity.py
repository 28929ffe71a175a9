"""Resumable knows one fit from another, and what is wrong with a file, before it trains."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from fastai.basics import SGD, AccumMetric, Adam, Callback, MSELossFlat, OptimWrapper, set_seed, trainable_params
from fastai.losses import L1LossFlat
from fastai.metrics import mae
from fastai.test_utils import synth_dbunch

from lrlab.callbacks import (
    Constant,
    CosineDecay,
    CosineRestarts,
    Custom,
    HyperHistory,
    Resumable,
    ScheduleHyper,
    SnapshotEnsemble,
)
from lrlab.callbacks.resume import pack, unpack
from tests.callbacks.conftest import StopAfter, Stopped


def trained(learn) -> int:
    return len(learn.recorder.losses)


# Several fits of a Resumable that stays in the Learner


def two_phases(learn):
    learn.freeze()
    learn.fit_schedule(2, CosineDecay(), 1e-2)
    learn.unfreeze()
    learn.fit_schedule(2, CosineDecay(), 1e-2)


def same_fit_twice(learn):
    learn.fit(2, 1e-2)
    learn.fit(2, 1e-2)


def longer_and_longer(learn):
    for n in (1, 2, 3):
        learn.fit_schedule(n, CosineRestarts(), 1e-2)


def fine_tune(learn):
    learn.fine_tune(2, 1e-2)


SEQUENCES = [two_phases, same_fit_twice, longer_and_longer, fine_tune]


@pytest.mark.parametrize("fits", SEQUENCES)
def test_every_fit_is_trained_once_and_a_second_run_of_the_script_trains_nothing(make_learner, tmp_path, fits):
    results, counts = [], []
    for resumable in (None, Resumable("run"), Resumable("run")):
        count = Count()
        learn = make_learner(groups=3, opt_func=Adam, cbs=[count, *([] if resumable is None else [resumable])])
        fits(learn)
        results.append({name: value.clone() for name, value in learn.model.state_dict().items()})
        counts.append(count.batches)
        assert all(p.requires_grad for p in learn.model.parameters())
    assert counts[0] == counts[1] > counts[2] == 0
    assert all(torch.equal(results[0][name], other[name]) for other in results for name in other)
    assert len(list(tmp_path.glob("models/run*"))) == (3 if fits is longer_and_longer else 2)


class Count(Callback):
    run_valid, batches = False, 0

    def after_batch(self):
        self.batches += 1


def test_a_fit_that_was_interrupted_is_continued_by_the_same_callback(make_learner):
    class Stop(Callback):
        order = 1000

        def before_epoch(self):
            if self.learn.epoch == 2:
                raise KeyboardInterrupt

    history = HyperHistory()
    learn = make_learner(cbs=[Resumable("run"), history])
    with pytest.raises(KeyboardInterrupt):
        learn.fit_one_cycle(4, 1e-2, cbs=Stop())
    count = Count()
    learn.fit_one_cycle(4, 1e-2, cbs=count)
    assert count.batches == 20 and len(history.to_df()) == 40


# Another fit


def data(**kwargs):
    set_seed(0)
    return synth_dbunch(**kwargs)


def falling(k):
    "Lambdas that look the same."
    return lambda p: 1 - k * p


OTHERS = {  # what is new in the second fit: of the Learner, of the fit; and the word of the sentence
    "weight decay": ({}, {"wd": 0.3}, "hypers"),
    "the optimizer": ({"opt_func": Adam}, {}, "optimizer"),
    "an argument of the optimizer": ({"opt_func": partial(SGD, mom=0.8)}, {}, "hypers"),
    "torch's optimizer": ({"opt_func": partial(OptimWrapper, opt=torch.optim.SGD)}, {}, "optimizer"),
    "the splitter": ({"splitter": trainable_params, "groups": 1}, {}, "lr|groups"),
    "a lambda": ({}, {"schedule": Custom(falling(0.5))}, "digest of the schedule"),
    "an argument of the schedule": ({}, {"schedule": CosineDecay(floor=0.1)}, "schedule"),
    "momentum": ({}, {"moms": (0.9, 0.8)}, "schedule"),
    "another schedule of wd": ({}, {"cbs": [ScheduleHyper("wd", Constant())]}, "schedule"),
    "more data": ({"data": lambda: data(n_train=20)}, {}, "batches"),
    "another batch size": ({"data": lambda: data(bs=32, n_train=5)}, {}, "batches|data"),
    "more validation data": ({"data": lambda: data(n_valid=5)}, {}, "data"),
    "frozen layers": ({"freeze": True}, {}, "frozen"),
    "the loss function": ({"loss_func": L1LossFlat()}, {}, "loss"),
    "one more metric": ({"metrics": mae}, {}, "metrics"),
}


@pytest.mark.parametrize(("of_learner", "of_fit", "word"), OTHERS.values(), ids=OTHERS)
def test_another_fit_is_refused_in_a_sentence_before_it_changes_anything(make_learner, of_learner, of_fit, word):
    def fit(data=data, freeze=False, opt_func=partial(SGD, mom=0.9), groups=3, cbs=(), **of_fit):  # noqa: B008
        kwargs = {name: of_fit.pop(name) for name in ("splitter", "metrics") if name in of_fit}
        loss_func = of_fit.pop("loss_func", MSELossFlat())
        learn = make_learner(groups=groups, data=data(), opt_func=opt_func, **kwargs)
        learn.loss_func = loss_func
        if freeze:
            learn.freeze()
        of_fit = {"schedule": Custom(falling(1.0)), "wd": 0.1, "lr_max": 1e-2} | of_fit
        before = {name: value.clone() for name, value in learn.model.state_dict().items()}
        try:
            learn.fit_schedule(2, cbs=[Resumable("a"), *cbs], **of_fit)
        except ValueError:
            assert all(torch.equal(before[name], value) for name, value in learn.model.state_dict().items())
            assert len(learn.recorder.losses) == 0
            raise

    fit()
    fit()  # the same: it loads, and trains nothing
    with pytest.raises(ValueError, match=f"is of another fit: its ({word}) is .* give every fit a file of its own"):
        fit(**of_learner, **of_fit)


def test_other_images_of_the_same_number_are_other_data(make_learner, tmp_path):
    from fastai.basics import DataLoaders, Datasets

    def learner(names):
        items = [tmp_path / name for name in names]
        number = lambda item: torch.tensor([float(len(item.name))])  # noqa: E731
        dls = Datasets(items, [[number], [number]], splits=[list(range(8)), [8, 9]]).dataloaders(bs=2, num_workers=0)
        return make_learner(data=DataLoaders(*dls.loaders))

    learner([f"cat {i}.jpg" for i in range(10)]).fit(1, cbs=Resumable("a"))
    learner([f"cat {i}.jpg" for i in range(10)]).fit(1, cbs=Resumable("a"))
    with pytest.raises(ValueError, match="its data is"):
        learner([f"dog {i}.jpg" for i in range(10)]).fit(1, cbs=Resumable("a"))


# The file


@pytest.mark.parametrize(
    ("file", "path"),
    [("a", "a.pth"), ("a.pth", "a.pth"), ("runs/1/a", "runs/1/a.pth"), ("v1.5", "v1.5.pth"), ("a.tar", "a.tar.pth")],
)
def test_the_folder_is_made_and_the_suffix_is_there_once(make_learner, tmp_path, file, path):
    make_learner().fit(1, cbs=Resumable(file))
    assert [
        p.relative_to(tmp_path / "models").as_posix() for p in (tmp_path / "models").rglob("*.*") if p.is_file()
    ] == [path]


def test_an_absolute_path_and_another_model_dir(make_learner, tmp_path):
    learn = make_learner(model_dir="weights")
    learn.fit(1, cbs=Resumable("a"))
    learn.fit(1, cbs=Resumable(tmp_path / "else" / "b"))
    assert (tmp_path / "weights/a.pth").exists() and (tmp_path / "else/b.pth").exists()


def test_a_file_that_cannot_be_written_is_known_before_the_first_epoch(make_learner, tmp_path):
    (tmp_path / "models").write_text("a file where the folder should be")
    learn, count = make_learner(), Count()
    with pytest.raises(ValueError, match="cannot write .*models/a.pth"):
        learn.fit(2, cbs=[Resumable("a"), count])
    assert count.batches == 0


class Odd(Callback):
    def state_dict(self):
        return {"socket": object()}

    def load_state_dict(self, state):
        pass


def test_a_state_that_cannot_be_saved_is_known_before_the_first_epoch(make_learner):
    learn, count = make_learner(), Count()
    with pytest.raises(ValueError, match="a checkpoint cannot hold a object"):
        learn.fit(2, cbs=[Resumable("a"), Odd(), count])
    assert count.batches == 0


METRICS = {
    "an array": lambda p, t: np.array([1.0, np.nan]),
    "an array of ints": lambda p, t: np.ones((2, 2), dtype=np.int32),
    "a NumPy scalar": lambda p, t: np.float32(0.5),
    "a tensor": lambda p, t: torch.tensor([0.5, 1.5]),
    "a dict": lambda p, t: {"a": 1.0, "b": np.ones(2)},
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_any_metric_is_kept(make_learner, metric):
    learn = make_learner(metrics=AccumMetric(metric))
    learn.fit(2, cbs=Resumable("a"))
    whole = [row[2] for row in learn.recorder.values]
    learn = make_learner(metrics=AccumMetric(metric))
    learn.fit(2, cbs=Resumable("a"))
    kept = [row[2] for row in learn.recorder.values]
    assert repr(kept) == repr([unpack(pack(value)) for value in whole]) and len(kept) == 2


DAMAGE = {
    "junk": (lambda path: path.write_bytes(b"xx"), "is damaged or no file of Resumable"),
    "empty": (lambda path: path.write_bytes(b""), "is damaged or no file of Resumable"),
    "half": (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "is damaged"),
    "weights alone": (lambda path: torch.save({"model": {}, "opt": {}}, path), "is damaged or no file of Resumable"),
    "an older version": (lambda path: without(path, "steps"), "was written by another version of lrlab"),
    "an older fingerprint": (lambda path: without(path, "fit", "frozen"), "was written by another version of lrlab"),
}


def without(path, *keys):
    state = torch.load(path, weights_only=True)
    *outer, last = keys
    inner = state[outer[0]] if outer else state
    del inner[last]
    torch.save(state, path)


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_named_with_what_to_do(make_learner, tmp_path, damage, message):
    make_learner().fit(1, cbs=Resumable("a"))
    damage(tmp_path / "models/a.pth")
    learn, count = make_learner(), Count()
    with pytest.raises(ValueError, match=f"models/a.pth {message}.*; delete it to start over"):
        learn.fit(1, cbs=[Resumable("a"), count])
    assert count.batches == 0


class Adaptive(torch.optim.SGD):
    "Keeps among its settings what it has learnt from its steps, as optimizers that find their LR do."

    def step(self, closure=None):
        for group in self.param_groups:
            group["numerator"], group["stored_as"] = group.get("numerator", 0) + 1, torch.bfloat16
        return super().step(closure)


def test_what_an_optimizer_learns_is_no_setting(make_learner):
    learn = make_learner(opt_func=partial(OptimWrapper, opt=Adaptive), data=data(n_train=5))
    with pytest.raises(Stopped):
        learn.fit(3, 1e-3, cbs=[Resumable("a"), StopAfter(0)])
    learn.fit(3, 1e-3, cbs=Resumable("a"))
    assert learn.opt.hypers[0]["numerator"] == 15 and len(learn.recorder.values) == 3


def test_what_is_packed_comes_back():
    value = {"a": (1, [2.5, None]), "b": np.array([[1, 2]], dtype=np.int8), "c": "text", "d": {"e": np.array(["x"])}}
    assert repr(unpack(pack(value))) == repr(value)


def test_cycles_that_were_cut_are_remembered(make_learner):
    class Cut(Callback):
        def after_batch(self):
            from fastai.basics import CancelTrainException

            if self.learn.training and self.learn.epoch == 0:
                raise CancelTrainException

    class Stop(Callback):
        order = 1000

        def after_epoch(self):
            if self.learn.epoch == 1:
                raise KeyboardInterrupt

    def fit(*cbs):
        learn, ensemble, history = make_learner(), SnapshotEnsemble(), HyperHistory()
        learn.fit_schedule(3, CosineRestarts(1, 1), 1e-2, cbs=[ensemble, history, Cut(), Resumable("a"), *cbs])
        return ensemble.missing, ensemble.steps, history.to_df().step.tolist()

    with pytest.warns(UserWarning, match="leaves out cycle 1"), pytest.raises(KeyboardInterrupt):
        fit(Stop())
    assert fit() == ([1], [10, 20], list(range(21)))
