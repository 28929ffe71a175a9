"""The LR range test of a workload: the same seeds, LRs and steps in every recipe, so that all suggest the same LR.

One test depends on its seed: its suggestion may be ten times another seed's. The median of three is robust, and their
range says how far it can be trusted (results/reference/lr_find).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lrlab.callbacks import lr_range_test
from lrlab.recipes.kitchen.learner.quick_learner import QuickLearner
from lrlab.recipes.kitchen.stage import stage
from lrlab.recipes.kitchen.workloads import Workload

STEPS = 100
TEST_SEEDS = (0, 1, 2)
TEST_THREADS = 1  # more are faster alone, and much slower beside other work; the last bits of a sum depend on them


def range_test(workload: Workload, seed: int, image_set: Any, num_it: int = STEPS):
    "An LR range test of a fresh Learner, as it is when a schedule starts: the head of a pretrained one is trained."
    learn = workload.learner(seed, image_set)
    with learn.no_bar(), learn.no_logging():
        workload.warm_up_head(learn)
    return quiet_range_test(learn, num_it)


def quiet_range_test(learn, num_it: int = STEPS):
    "An LR range test without progress bars. A line on stderr says if batches did not fit into memory."
    stage("LR range test")
    with learn.no_bar():
        test = lr_range_test(learn, num_it=num_it)
    if isinstance(learn, QuickLearner):
        learn.parts.print_note()
    return test


def suggested_lr(suggestions: Mapping[str, float | None]) -> float | None:
    "The LR of the valley rule, else that of the first rule that suggests one."
    return next((lr for lr in [suggestions.get("valley"), *suggestions.values()] if lr), None)


def robust_lr(tests: Iterable) -> tuple[float | None, list[float]]:
    """The median of what range tests suggest, and the lowest and highest, all to two digits; None and [] for nothing.

    >>> from types import SimpleNamespace
    >>> robust_lr(SimpleNamespace(suggestions={"valley": lr}) for lr in (1e-3, 4e-2, 2e-3))
    (0.002, [0.001, 0.04])
    """
    found = [lr for test in tests if (lr := suggested_lr(test.suggestions))]
    if not found:
        return None, []
    median, low, high = (float(f"{lr:.1e}") for lr in (np.median(found), min(found), max(found)))
    return median, [low, high]
