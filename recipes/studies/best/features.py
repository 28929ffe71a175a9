"""The features of the images: what the frozen body makes of them, computed once, for as long as time allows."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from operator import gt
from typing import Any

import torch
from torch import nn

from lrlab.recipes.kitchen.runs.frozen_body import body_batches
from lrlab.recipes.kitchen.text import percent
from lrlab.recipes.studies.best.journal import Journal
from lrlab.recipes.studies.best.plan import MOST_FEATURES_SHARE, has_time_to_mirror

FEATURES = "Features of the images"  # the name of the step
LOADERS = {"train": 0, "valid": 1, "mirrored": 0}  # the parts, and the loaders of a Learner that they are from
Split = tuple[torch.Tensor, torch.Tensor]  # [n, features] of images, and their labels [n]
Limit = Callable[[int], bool]  # whether to go on after so many images


@dataclass
class Features:
    "Those of the training and validation images, and the head that takes them, as it was at first."

    train: Split
    valid: Split
    head: nn.Sequential
    bs: int

    def new_head(self) -> nn.Sequential:
        return copy.deepcopy(self.head)

    def moved(self, rows: torch.Tensor) -> "Features":
        "With the validation images where `rows` [n] is True among the training images instead."
        (x, y), (valid_x, valid_y) = self.train, self.valid
        train = torch.cat([x, valid_x[rows]]), torch.cat([y, valid_y[rows]])
        return replace(self, train=train, valid=(valid_x[~rows], valid_y[~rows]))


def compute_features(learn: Any, can_mirror: bool, journal: Journal) -> tuple[Features, dict]:
    """The features of the first images of both parts of a Learner, and the facts of this step.

    At most MOST_FEATURES_SHARE of the time that is left goes into them and the test. The facts: how many images of each
    part were taken, how many training images are "mirrored" too, and the seconds for an image. Where a stopped command
    has taken this step, the same images are taken.
    """
    if step := journal.find(FEATURES):
        parts = {name: _first(learn, name, partial(gt, step.facts[name]), journal) for name in LOADERS}
    else:
        with journal.step(FEATURES) as step:
            parts, seconds = _take_in_time(learn, can_mirror, journal)
            step.facts = {name: len(labels) for name, (_, labels) in parts.items()} | {"seconds": seconds}
            step.evidence, step.decision = _words(learn, step.facts)
    head = copy.deepcopy(split_head(learn.model[1])[1])
    return Features(_joined(parts), parts["valid"], head, learn.dls.train.bs), step.facts


def _take_in_time(learn: Any, can_mirror: bool, journal: Journal) -> tuple[dict[str, Split], float]:
    "The features by part, and the seconds for an image. Every part has as many images as there are classes at least."
    clock, seconds = journal.budget.clock, journal.budget.for_training()
    begin, n_classes = clock(), len(learn.dls.vocab)
    n_train, n_valid, n_test = (len(loader.dataset) for loader in learn.dls.loaders)

    def until(n_images: int) -> Limit:
        end = begin + MOST_FEATURES_SHARE * seconds * n_images / (n_train + n_valid + n_test)  # the test comes later
        return lambda n: n < n_classes or clock() < end

    parts = {"valid": _first(learn, "valid", until(n_valid), journal)}
    parts["train"] = _first(learn, "train", until(n_train + n_valid), journal)
    taken, used = sum(len(labels) for _, labels in parts.values()), clock() - begin
    mirrors = can_mirror and has_time_to_mirror(used, len(parts["train"][1]) / taken, seconds)
    goes_on = until(n_train + n_valid) if mirrors else lambda n: False
    parts["mirrored"] = _first(learn, "mirrored", goes_on, journal)
    return parts, used / taken


def _first(learn: Any, part: str, goes_on: Limit, journal: Journal) -> Split:
    "The features of the first images of a part, for as long as `goes_on(images so far)`."
    pooling, n = split_head(learn.model[1])[0], 0
    batches = body_batches(learn, LOADERS[part], mirrored=part == "mirrored")
    device = learn.dls.device
    outputs, labels = [torch.empty(0, device=device)], [torch.empty(0, dtype=torch.long, device=device)]
    while goes_on(n) and (batch := next(batches, None)):
        outputs.append(pooling(batch[0]).float())
        labels.append(batch[1])
        n += len(batch[1])
        journal.now(f"{FEATURES}, {part}, {n:,} of {_count(learn, part):,}")
    return torch.cat(outputs), torch.cat(labels)


def _joined(parts: dict[str, Split]) -> Split:
    "The training images, followed by the mirrored ones."
    features, labels = zip(parts["train"], parts["mirrored"], strict=True)
    return torch.cat(features), torch.cat(labels)


def _count(learn: Any, part: str) -> int:
    "All images of a part."
    return len(learn.dls.loaders[LOADERS[part]].dataset)


def _words(learn: Any, facts: dict) -> tuple[str, str]:
    "The evidence and the decision of the step."
    taken, total = facts["train"] + facts["valid"], _count(learn, "train") + _count(learn, "valid")
    evidence = f"{1000 * facts['seconds']:.1f} ms an image, loading included"
    if taken < total:
        return evidence, f"{percent(taken / total)} % of the images; for more there is no time"
    return evidence, "all images" + (", the training images mirrored too" if facts["mirrored"] else "")


def split_head(head: nn.Sequential) -> tuple[nn.Sequential, nn.Sequential]:
    "The layers in front that have no weights, such as the pooling, and the rest."
    first = next(i for i, layer in enumerate(head) if list(layer.parameters()))
    return head[:first], head[first:]
