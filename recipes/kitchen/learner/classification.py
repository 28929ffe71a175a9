"""What kind of predictions a Learner makes."""

from collections.abc import Iterable

import torch
from fastai.losses import CrossEntropyLossFlat, LabelSmoothingCrossEntropy
from torch import nn

SOFTMAX_LOSSES = (CrossEntropyLossFlat, LabelSmoothingCrossEntropy, nn.CrossEntropyLoss)


def is_plain(pred, yb: tuple) -> bool:
    "Whether predictions and targets of a batch are one tensor each, with a row for every item."
    return len(yb) == 1 and all(isinstance(part, torch.Tensor) and part.ndim > 0 for part in (pred, yb[0]))


def is_classification(outputs: torch.Tensor, targets: torch.Tensor, loss_func) -> bool:
    """Whether `outputs` [n, classes] are scores that the loss turns into probabilities, and `targets` [n] are classes.

    The targets of tabular data are [n, 1].
    """
    is_softmax = isinstance(loss_func, SOFTMAX_LOSSES) or loss_func is nn.functional.cross_entropy
    has_one_class = targets.numel() == len(targets) and not targets.is_floating_point()
    return is_softmax and outputs.ndim == 2 and len(outputs) == len(targets) and has_one_class


def class_names(dls, count: int) -> tuple[str, ...]:
    """The names of `count` classes, as the DataLoaders know them; else their numbers.

    The vocabulary of a text classifier is a pair: its words and its classes.
    """
    vocab = getattr(dls, "vocab", None)
    names = list(vocab) if isinstance(vocab, Iterable) else []
    if names and not isinstance(names[-1], str) and isinstance(names[-1], Iterable):
        names = list(names[-1])
    return tuple(map(str, names if len(names) == count else range(count)))
