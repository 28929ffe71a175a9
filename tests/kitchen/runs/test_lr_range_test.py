"""The LR range tests of several seeds: always in one thread, and after the head of a pretrained model is trained."""

from dataclasses import dataclass, field

import pytest
import torch

from lrlab.recipes.kitchen.runs.lr_range_test import curves, range_test, range_tests, suggest
from lrlab.recipes.kitchen.workloads import ImageWorkload, using_threads


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
