"""The LR range tests of several seeds: one thread each, after the head of a pretrained model, in any processes."""

from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from fastai.basics import Callback

from lrlab.recipes.kitchen.errors import UserCodeError
from lrlab.recipes.kitchen.grid import range_tests as module
from lrlab.recipes.kitchen.grid.engines import WorkerLost
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.grid.range_tests import (
    curves,
    jobs_worth_it,
    range_test,
    range_tests,
    seconds_per_step,
    suggest,
)
from lrlab.recipes.kitchen.learner_workload import LearnerWorkload
from lrlab.recipes.kitchen.workloads import ImageWorkload, using_threads
from tests.kitchen.tasks import classifier


@dataclass(frozen=True)
class Observed(ImageWorkload):
    "Notes what happens: the seed and the threads when a Learner is made, and that its head is trained."

    notes: list = field(default_factory=list, compare=False)

    def learner(self, seed=0, images=None):
        self.notes.append((seed, torch.get_num_threads()))
        return super().learner(seed, images)

    def warm_up_head(self, learn):
        self.notes.append("head")
        super().warm_up_head(learn)


@pytest.fixture(scope="module")
def digits():
    return ImageWorkload("digits").load()


def test_every_test_runs_in_one_thread_after_the_head(digits):
    workload = Observed("digits")
    with using_threads(2):
        tests = range_tests(workload, digits, seeds=(0, 7), num_it=20)
        assert torch.get_num_threads() == 2
    assert workload.notes == [(0, 1), "head", (7, 1), "head"] and list(tests) == [0, 7]
    table = curves(tests)
    assert list(table) == ["lr", "loss", "seed"] and table.groupby("seed").size().tolist() == [20, 20]
    with using_threads(1):
        alone = range_test(ImageWorkload("digits"), 7, digits, 20)
    assert (alone.losses == tests[7].losses).all(), "a seed gives the same curve in any company"
    assert suggest(tests).by_seed == {seed: test.suggestions["valley"] for seed, test in tests.items()}


def test_other_processes_give_the_same_tests_bit_for_bit(digits):
    here, beside = (range_tests(ImageWorkload("digits"), digits, (3, 1, 2), 20, Place(jobs=n), 0.0) for n in (1, 2))
    assert list(here) == list(beside) == [3, 1, 2]
    for seed in here:
        assert (here[seed].lrs == beside[seed].lrs).all() and (here[seed].losses == beside[seed].losses).all()
        assert here[seed].suggestions == beside[seed].suggestions


def test_a_lost_process_leaves_its_tests_to_this_one(digits, monkeypatch):
    def lost(todo, task, shared, place):
        yield "0", task(todo[0], shared)
        raise WorkerLost("killed")

    monkeypatch.setattr(module, "compute", lost)
    workload = Observed("digits")
    tests = range_tests(workload, digits, (0, 7), 20, Place(jobs=2), 0.0)
    assert list(tests) == [0, 7] and workload.notes[-4:] == [(0, 1), "head", (7, 1), "head"]


class FailsInTheThirdBatch(Callback):
    def after_batch(self):
        if self.training and self.iter == 2:
            raise RuntimeError("no third batch")


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_in_a_range_test_names_the_place_in_the_users_code(jobs):
    workload = LearnerWorkload(partial(classifier, cbs=FailsInTheThirdBatch()))
    with pytest.raises(UserCodeError, match="while testing learning rates: .*, in after_batch: RuntimeError: no third"):
        range_tests(workload, workload.load(), place=Place(jobs=jobs), start=0.0)


@pytest.mark.parametrize(
    ("seconds", "start", "seeds", "place", "cores", "jobs"),
    [
        (1.0, 10.0, 3, Place(jobs=None), 2, 2),  # 100 s each: two rounds instead of three save 100 s
        (0.05, 10.0, 3, Place(jobs=None), 2, 1),  # 5 s each: the processes would cost more than they save
        (0.05, 0.0, 3, Place(jobs=None), 2, 2),  # the runs need the processes anyway
        (1.0, 10.0, 3, Place(jobs=None), 8, 3),
        (1.0, 10.0, 1, Place(jobs=None), 8, 1),
        (1.0, 10.0, 3, Place(jobs=1), 8, 1),  # a Learner that cannot be sent to other processes
        (1.0, 10.0, 3, Place(jobs=None), 1, 1),
        (1.0, 0.0, 3, Place("ray", None), 8, 1),
    ],
)
def test_processes_are_started_where_they_save_more_than_they_cost(
    seconds, start, seeds, place, cores, jobs, monkeypatch
):
    monkeypatch.setattr("joblib.cpu_count", lambda: cores)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1e12))
    monkeypatch.setattr(module, "seconds_per_step", lambda *_: seconds)
    assert jobs_worth_it(ImageWorkload("digits"), None, range(seeds), 100, place, start) == jobs


def test_a_gpu_makes_one_test_after_the_other(monkeypatch):
    monkeypatch.setattr(module, "train_device", lambda: torch.device("cuda"))
    assert jobs_worth_it(None, None, range(3), 100, Place(jobs=2), 0.0) == 1


def test_a_step_costs_processor_time(digits):
    assert 1e-4 < seconds_per_step(ImageWorkload("digits"), 0, digits) < 5
