"""A run that does not fit into memory is done once more in parts: smaller batches, accumulated to the same steps."""

import gc
import sys
from collections.abc import Callable
from typing import TypeVar

import torch
from fastai.callback.training import GradientAccumulation

T = TypeVar("T")
_SAYS = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate", "unable to allocate")


def with_smaller_batches(attempt: Callable[[int], T], bs: int) -> tuple[T, str | None]:
    """`attempt(1)`, or if that runs out of memory `attempt(parts)`, where every batch of `bs` is cut into `parts`.

    Returns the result and, after a second attempt, the sentence that says so. Any other error, and that of the second
    attempt, is the caller's. `attempt` has to begin anew each time; it may use `split_batches`.
    """
    try:
        return attempt(1), None
    except Exception as error:
        parts = fewest_parts(bs)
        if parts is None or not out_of_memory(error):
            raise
    gc.collect()  # out here, where the exception and with it the frames of the first attempt are gone
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return attempt(parts), f"out of memory with batches of {bs}: done with {parts} x {bs // parts}, accumulated"


def batch_size(workload, image_set) -> int:
    "Images in a training batch of `workload`: less data than one batch make one batch of what there is."
    return min(workload.bs, len(image_set.splits["train"]))


def said(result: T, retried: str | None) -> T:
    "The result of `with_smaller_batches`; a second attempt is told on stderr, where no table has a row for it."
    if retried:
        print(f"Note: {retried}.", file=sys.stderr)
    return result


def fewest_parts(bs: int) -> int | None:
    """The smallest number of equal parts of a batch; None if they could only be single images.

    >>> [fewest_parts(bs) for bs in (64, 45, 4, 2, 7)]
    [2, 3, 2, None, None]
    """
    return next((parts for parts in range(2, bs // 2 + 1) if bs % parts == 0), None)


def split_batches(learn, parts: int):
    """`learn`, which from now on takes a training batch in `parts` and steps after the last: the same images a step.

    Gradients are those of the whole batch. Batch normalization sees the parts, so the numbers are not the same.
    """
    if parts == 1:
        return learn
    train = learn.dls.train
    learn.add_cb(GradientAccumulation(n_acc=train.bs))
    train.parts = parts
    for loader in learn.dls.loaders:
        loader.bs = max(1, loader.bs // parts)
    return learn


def out_of_memory(error: BaseException) -> bool:
    "Whether a GPU, or the memory of the machine, could not give what was asked for; also where fastai wrapped it."
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    causes = [cause for cause in (error.__cause__, error.__context__) if cause is not None]
    told = isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _SAYS)
    return told or any(map(out_of_memory, causes))
