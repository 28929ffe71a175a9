"""The optimizer that a name or an import path stands for, as `opt_func` of a Learner."""

import importlib
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from fastai import optimizer as fastai_optimizer
from fastai.optimizer import OptimWrapper
from torch import nn

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.learner.fused_adam import FusedAdam
from lrlab.recipes.kitchen.machine.optional_packages import require
from lrlab.recipes.kitchen.optimizer_names import DEFAULT, FASTAI, PACKAGED
from lrlab.recipes.kitchen.text import described


def opt_func(opt: str = DEFAULT) -> Callable:
    """What makes the optimizer: `opt_func(opt)(parameter groups, lr=...)`.

    A class of torch is wrapped in fastai's `OptimWrapper`. The errors of importing a path are passed on.
    """
    if opt == DEFAULT:
        return FusedAdam
    if opt in FASTAI:
        function, arguments = FASTAI[opt]
        return partial(getattr(fastai_optimizer, function), **arguments)
    module, _, name = PACKAGED.get(opt, opt).partition(":")
    found = getattr(require(module, f"`opt` {opt}") if opt in PACKAGED else _import(module), name)
    is_of_torch = isinstance(found, type) and issubclass(found, torch.optim.Optimizer)
    return partial(OptimWrapper, opt=found) if is_of_torch else found


def _import(module: str) -> Any:
    "A module that is installed, or one in the working directory."
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    return importlib.import_module(module)


def check_optimizer(opt: str, wd: float | None) -> None:
    "Raise UserError unless `opt` makes an optimizer for fastai, with weight decay if `wd` is given."
    try:
        function = opt_func(opt)
    except UserError:
        raise
    except Exception as error:  # an import may raise anything
        raise UserError(f"`opt` {opt}: {described(error)}") from error
    expected = "expected an optimizer of fastai or torch"
    parameters = [nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2))]  # a weight and a bias
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    try:
        made = function([parameters], lr=1e-3)
    except Exception as error:  # so may what is no optimizer
        raise UserError(f"`opt` {opt}: {expected}, called with parameters and lr ({described(error)})") from error
    if not hasattr(made, "hypers"):
        raise UserError(f"`opt` {opt}: made {type(made).__name__}; {expected}")
    try:
        made.step()
    except Exception as error:  # LBFGS needs a closure, SparseAdam sparse gradients
        raise UserError(f"`opt` {opt}: {expected} that steps by gradients alone ({described(error)})") from error
    if wd is not None and "wd" not in made.hypers[0]:
        raise UserError(f"`wd` {wd:g}: `opt` {opt} has no weight decay")
