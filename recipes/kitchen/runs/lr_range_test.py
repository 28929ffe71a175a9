"""The LR range test of a workload: a fresh Learner, the same LRs and steps wherever it runs."""

from lrlab.callbacks import lr_range_test
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.learner.quick_learner import QuickLearner
from lrlab.recipes.kitchen.stage import stage
from lrlab.recipes.kitchen.workloads import Workload

STEPS = 100


def range_test(workload: Workload, seed: int, image_set: ImageSet, num_it: int = STEPS):
    "An LR range test of a fresh Learner."
    return quiet_range_test(workload.learner(seed, image_set), num_it)


def quiet_range_test(learn, num_it: int = STEPS):
    "An LR range test without progress bars. A line on stderr says if batches did not fit into memory."
    stage("LR range test")
    with learn.no_bar():
        test = lr_range_test(learn, num_it=num_it)
    if isinstance(learn, QuickLearner):
        learn.parts.print_note()
    return test


def suggested_lr(test) -> float | None:
    "The LR of the valley rule to two digits, else that of the first rule that suggests one."
    rules = [test.suggestions.get("valley"), *test.suggestions.values()]
    return next((float(f"{lr:.1e}") for lr in rules if lr), None)
