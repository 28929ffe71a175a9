"""The names of fastai and torch that the Learner needs and that are not public, checked on import.

A release that lacks one is named in a sentence. It never trains wrongly without a word.
"""

import importlib
import inspect
from collections.abc import Callable, Iterator

import fastai
import torch
from fastai.callback.fp16 import MixedPrecision
from fastai.learner import Learner
from fastai.optimizer import Optimizer

ADAM_ARGUMENTS = {"fused", "amsgrad", "beta1", "beta2", "lr", "weight_decay", "eps", "maximize"}


def check() -> None:
    "Raise ImportError if this fastai or torch lacks a name that lrlab uses."
    for package, name, is_there in _needed():
        if not is_there:
            raise ImportError(
                f"lrlab needs {name}, and {package.__name__} {package.__version__} does not have it; "
                "run: pip install 'fastai>=2.8,<2.9' 'torch>=2.6'"
            )


def _needed() -> Iterator[tuple]:
    for name in ("_call_one", "_do_one_batch", "_with_events", "_backward", "_step"):
        yield fastai, f"Learner.{name}", hasattr(Learner, name)
    for name in ("before_batch", "after_loss"):
        yield fastai, f"MixedPrecision.{name}", hasattr(MixedPrecision, name)
    optimizer = Optimizer([torch.nn.Parameter(torch.zeros(1))], [], lr=1.0)
    for name in ("param_lists", "hypers", "state"):
        yield fastai, f"Optimizer.{name}", hasattr(optimizer, name)
    arguments = set(inspect.signature(adamw_function()).parameters)
    yield torch, f"torch.optim.adamw.adamw({', '.join(sorted(ADAM_ARGUMENTS))})", arguments >= ADAM_ARGUMENTS


def adamw_function() -> Callable:
    "The function that updates many tensors at once."
    return getattr(importlib.import_module("torch.optim.adamw"), "adamw", lambda: None)
