"""Whether two models are one: a model that was made once and is returned again keeps what it was trained to."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from fastai.basics import nn


@contextmanager
def changed_weights(model: nn.Module) -> Iterator[None]:
    "Add one to every weight that is trained, and put the weights back at the end of the block."
    weights = trained_weights(model)
    before = [p.detach().clone() for p in weights]
    with torch.no_grad():
        for p in weights:
            p.add_(1)
    try:
        yield
    finally:
        with torch.no_grad():
            for p, value in zip(weights, before, strict=True):
                p.copy_(value)


def share_weights(one: nn.Module, other: nn.Module) -> bool:
    "Whether a weight that is trained lies in both models."
    places = [{p.data_ptr() for p in trained_weights(model)} for model in (one, other)]
    return not places[0].isdisjoint(places[1])


def trained_weights(model: nn.Module) -> list[nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad and p.numel()]
