"""A run whose batches do not fit into memory: computed in parts, in the same steps, and its row says so."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from lrlab.callbacks import Constant
from lrlab.recipes.kitchen.errors import NothingFinished
from lrlab.recipes.kitchen.grid.range_tests import range_test
from lrlab.recipes.kitchen.learner.out_of_memory import is_out_of_memory
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.train import attempt, train_run
from lrlab.recipes.kitchen.store import reading
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.workloads import ImageWorkload
from lrlab.recipes.studies.snapshot_ensemble import runs as snapshots

DATA = "digits:720"
RUN = Run("constant", Constant(), 1e-3, seed=0, epochs=2)


class Greedy(nn.Module):
    "Asks for memory that no machine has when it is given more than `most` images to train on."

    def __init__(self, most: int):
        super().__init__()
        self.most = most

    def forward(self, x):
        if self.training and torch.is_grad_enabled() and len(x) > self.most:
            torch.empty(2**60)
        return x


class SmallMemory(ImageWorkload):
    "The digits, with a model that trains on `most` images at a time."

    most = 32

    def learner(self, seed=0, image_set=None):
        learn = super().learner(seed, image_set)
        learn.model.append(Greedy(self.most))
        return learn


class NoMemory(SmallMemory):
    most = 0


def trained(workload, image_set):
    return attempt(RUN, image_set, partial(train_run, workload=workload))


@pytest.fixture(scope="module")
def digits():
    return ImageWorkload(DATA, precision="fp32").load()


def test_a_second_attempt_in_bf16_does_not_train_on_what_the_first_one_has_converted(digits):
    "The first forward pass raises with autocast entered, whose cache of converted weights would serve the second."
    result = trained(SmallMemory(DATA, precision="bf16"), digits)
    assert result.row.status == "ok" and result.row.error.startswith("out of memory")
    assert not torch.is_autocast_enabled("cpu") and torch.autocast_increment_nesting() == 1
    torch.autocast_decrement_nesting()
    losses = result.steps.loss.to_numpy()
    assert losses[-5:].mean() < 0.9 * losses[:5].mean(), "it learns"


def test_an_autocast_of_the_callers_own_stays_on(digits):
    with torch.autocast("cpu", torch.bfloat16):
        assert trained(SmallMemory(DATA, precision="bf16"), digits).row.status == "ok"
        assert torch.is_autocast_enabled("cpu")
    assert not torch.is_autocast_enabled("cpu") and torch.autocast_decrement_nesting() == -1
    torch.autocast_increment_nesting()


def test_an_autocast_is_left_after_a_run_that_failed(digits):
    class Broken(SmallMemory):
        def learner(self, seed=0, image_set=None):
            learn = super().learner(seed, image_set)
            learn.model.append(nn.Linear(3, 3))
            return learn

    assert trained(Broken("digits", precision="bf16"), digits).row.status == "failed"
    assert not torch.is_autocast_enabled("cpu")


def test_a_run_that_does_not_fit_is_done_in_two_parts_and_says_so():
    digits = ImageWorkload("digits").load()  # all of them, or it would not have learned enough to compare
    result = trained(SmallMemory("digits", precision="fp32"), digits)
    assert result.row.status == "ok"
    assert result.row.error == "out of memory with batches of 64: done with 2 x 32, accumulated"
    usual = trained(ImageWorkload("digits", precision="fp32"), digits)
    assert usual.row.error is None
    assert result.row.steps == usual.row.steps == 2 * (len(digits.splits["train"]) // 64)
    assert list(result.epochs.step) == list(usual.epochs.step), "epochs end at the same optimizer step"
    assert result.row.accuracy == pytest.approx(usual.row.accuracy, abs=0.1)


def test_a_lesson_that_does_not_fit_is_done_in_parts_too(digits):
    run = snapshots.plan(3e-3, epochs=2, cycles=2, seeds=[0])[0]
    small, usual = SmallMemory(DATA, precision="fp32"), ImageWorkload(DATA, precision="fp32")
    result = attempt(run, digits, partial(snapshots.train, workload=small))
    assert result.row.status == "ok" and "done with 2 x 32, accumulated" in result.row.error
    assert result.extra["models.csv"].model.tolist() == ["snapshot 1", "snapshot 2", "ensemble", "average"]
    assert result.row.steps == attempt(run, digits, partial(snapshots.train, workload=usual)).row.steps


def test_a_range_test_that_does_not_fit_is_done_in_parts_over_the_same_lrs(digits, capsys):
    small = range_test(SmallMemory(DATA, precision="fp32"), 0, digits, 12)
    assert capsys.readouterr().err == "Note: out of memory with batches of 64: done with 2 x 32, accumulated.\n"
    usual = range_test(ImageWorkload(DATA, precision="fp32"), 0, digits, 12)
    assert np.allclose(small.lrs, usual.lrs)
    assert np.allclose(small.losses[:3], usual.losses[:3], rtol=0.2), "the losses of the same images"


def test_a_recipe_of_which_every_run_fails_says_why():
    runs = pd.DataFrame({"status": ["failed", "failed"], "error": ["out of memory", "x"]})
    with pytest.raises(NothingFinished, match="here: all 2 runs failed .out of memory.") as ending:
        reading.not_failed(Store("here"), runs)
    assert ending.value.exit_code == 1
    runs.loc[1, "status"] = "ok"
    assert reading.not_failed(Store("here"), runs).index.tolist() == [1]
    assert reading.failures(runs) == ["1 of 2 runs failed, the first of them: out of memory"]


def test_a_run_that_fits_in_no_way_is_recorded_as_failed(digits):
    result = trained(NoMemory(DATA, precision="fp32"), digits)
    assert result.row.status == "failed" and result.row.accuracy is None
    assert "memory" in result.row.error


@pytest.mark.parametrize(
    "error, expected",
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error, expected):
    assert is_out_of_memory(error) is expected
    wrapped = Exception("Exception occured in `X`")
    wrapped.__cause__ = error
    assert is_out_of_memory(wrapped) is expected
