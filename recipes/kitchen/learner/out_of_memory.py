"""Batches that memory cannot hold are computed in parts."""

import gc
import sys

import torch

_MESSAGES = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate", "unable to allocate")


class BatchParts:
    "Into how many equal parts a Learner splits its batches: more, whenever memory runs out."

    def __init__(self):
        self.count = 1
        self.note: str | None = None  # what to tell a reader of the results

    def grow(self, bs: int) -> None:
        "Split batches of `bs` images into the next higher number of parts, if there is one, and free unused memory."
        self.count = next_parts(bs, self.count) or self.count
        self.note = f"out of memory with batches of {bs}: done with {self.count} x {bs // self.count}, accumulated"
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def print_note(self) -> None:
        "Tell the user on stderr, where no table of results has a place for the note."
        if self.note:
            print(f"Note: {self.note}.", file=sys.stderr)


def next_parts(bs: int, parts: int = 1) -> int | None:
    """The next higher number of equal parts of a batch. None if they would be single images.

    >>> [next_parts(bs) for bs in (64, 45, 4, 2, 7)], next_parts(64, 2)
    ([2, 3, 2, None, None], 4)
    """
    return next((n for n in range(parts + 1, bs // 2 + 1) if bs % n == 0), None)


def is_out_of_memory(error: BaseException) -> bool:
    "Whether a GPU or the machine could not give the memory that was asked for, also if fastai wrapped the error."
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    says_so = isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _MESSAGES)
    causes = [cause for cause in (error.__cause__, error.__context__) if cause is not None]
    return says_so or any(map(is_out_of_memory, causes))
