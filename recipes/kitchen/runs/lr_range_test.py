"""The LR range test of a workload: a fresh Learner, the same LRs and steps wherever it runs."""

from lrlab.callbacks import lr_range_test
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.runs.out_of_memory import batch_size, said, split_batches, with_smaller_batches
from lrlab.recipes.kitchen.stage import stage
from lrlab.recipes.kitchen.workloads import Workload

STEPS = 100


def range_test(workload: Workload, seed: int, image_set: ImageSet, num_it: int = STEPS):
    "An LR range test of a fresh Learner; in smaller batches, over the same LRs and steps, where memory runs out."

    def attempt(parts: int):
        return quiet_range_test(split_batches(workload.learner(seed, image_set), parts), num_it)

    return said(*with_smaller_batches(attempt, batch_size(workload, image_set)))


def quiet_range_test(learn, num_it: int = STEPS):
    "An LR range test without progress bars."
    stage("LR range test")
    with learn.no_bar():
        return lr_range_test(learn, num_it=num_it)


def suggested_lr(test) -> float | None:
    "The LR of the valley rule to two digits, else that of the first rule that suggests one."
    rules = [test.suggestions.get("valley"), *test.suggestions.values()]
    return next((float(f"{lr:.1e}") for lr in rules if lr), None)
