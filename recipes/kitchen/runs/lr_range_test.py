"""The LR range test of a workload: the same Learners, seeds, LRs, steps and threads in every recipe.

So every recipe suggests the same LR for the same data, model and settings.
"""

from typing import Any

import pandas as pd

from lrlab.callbacks import LRRange, lr_range_test
from lrlab.recipes.kitchen.learner.quick_learner import QuickLearner
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.workloads import Workload

SEEDS = (0, 1, 2)  # the same for all folders, so that folders with runs of different seeds can be merged
STEPS = 100
THREADS = 1  # The last bits of a sum depend on the threads, and after some steps at high LRs the whole curve does.


def range_test(workload: Workload, seed: int, data: Any, num_it: int = STEPS) -> LRRange:
    """The LR range test of a fresh Learner, in the state in which a schedule begins: a pretrained model has its head.

    A line on stderr says if batches did not fit into memory.
    """
    learn = workload.learner(seed, data)
    with learn.no_bar(), learn.no_logging():
        workload.warm_up_head(learn)
        test = lr_range_test(learn, num_it=num_it)
    if isinstance(learn, QuickLearner):
        learn.parts.print_note()
    return test


def suggest(tests: dict[int, LRRange]) -> LRSuggestion:
    "The LR of the valley rule for every seed, as one suggestion."
    return LRSuggestion({seed: test.suggestions["valley"] for seed, test in tests.items()})


def curves(tests: dict[int, LRRange]) -> pd.DataFrame:
    "One row for every step: lr, loss, seed."
    return pd.concat([test.to_df().assign(seed=seed) for seed, test in tests.items()])
