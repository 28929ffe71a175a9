"""Which items of a Learner's data decide, and which nothing sees before the final test."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from fastai.basics import Learner
from fastai.data.load import DataLoader

from lrlab.recipes.studies.best.learner.plan import HALVES, SAME, THIRD


@dataclass(frozen=True)
class WithoutTest:
    "Makes the Learner with two loaders: that of the training, and that of the items that decide."

    make_learner: Callable[[], Learner]
    parts: str
    seed: int

    def __call__(self) -> Learner:
        learn = self.make_learner()
        train, valid = learn.dls.loaders[:2]
        learn.dls = copy(learn.dls)  # the function may return the same DataLoaders again
        learn.dls.loaders = [train, halve(valid, self.seed)[0] if self.parts == HALVES else valid]
        return learn


def find_parts(learn: Learner, seed: int) -> str:
    "Where the test items come from."
    if len(learn.dls.loaders) > 2:
        return THIRD
    return HALVES if halve(learn.dls.valid, seed) else SAME


def loader_for_test(learn: Learner, parts: str, seed: int) -> Any:
    "The loader of the test items of a Learner as the user makes it."
    if parts == HALVES:
        return halve(learn.dls.valid, seed)[1]
    return learn.dls.loaders[2 if parts == THIRD else 1]


def halve(loader: Any, seed: int) -> list[DataLoader]:
    """Two loaders with a random half of the items each, in the order of `loader`; none if it cannot be divided.

    The items of a language model depend on each other, and other loaders do not know how many items they have.
    """
    if not isinstance(loader, DataLoader) or not loader.indexed or not loader.n:
        return []
    whole = loader.new(shuffle=False, drop_last=False)
    items = list(whole.get_idxs())
    is_first = np.random.default_rng(seed).permutation(len(items)) < len(items) // 2
    halves = [[item for item, first in zip(items, is_first, strict=True) if first == side] for side in (True, False)]
    loaders = [whole.new(get_idxs=partial(list, half), n=len(half)) for half in halves]
    can_be = len(set(items)) == len(items) > 1 and [part.n for part in loaders] == list(map(len, halves))
    return loaders if can_be else []
