"""The user's own code that a Learner consists of, as texts: another text means that its numbers may differ."""

import ast
import inspect
import sysconfig
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from fastai.basics import Learner

import lrlab.callbacks

LIBRARIES = (
    "site-packages",
    "dist-packages",
    "<frozen",
    *map(str, (Path(__file__).parents[2], Path(lrlab.callbacks.__file__).parent, Path(torch.__file__).parents[1])),
    sysconfig.get_path("stdlib"),
)


def is_library(file: str) -> bool:
    "Whether a file of Python code is that of a library, lrlab included."
    return any(part in file for part in LIBRARIES)


def own_code(make_learner: Callable, learn: Learner) -> list[str]:
    """The syntax trees of `make_learner` and of the user's classes and functions in its Learner, without comments.

    What has no source, as a class of a notebook, is left out.
    """
    metrics = [getattr(metric, "func", metric) for metric in learn.metrics]
    parts = [make_learner, learn, *learn.model.modules(), learn.loss_func, learn.opt_func, *metrics, *learn.cbs]
    defined = dict.fromkeys(one for part in parts for one in _definitions(part) if one is make_learner or _is_own(one))
    return [tree for tree in map(_tree, defined) if tree]


def _definitions(part: Any) -> Iterator[Any]:
    "The function, or the classes of an object, the base classes included."
    while isinstance(part, partial):
        part = part.func
    if inspect.isfunction(part) or inspect.ismethod(part):
        yield part
    else:
        yield from (part if inspect.isclass(part) else type(part)).__mro__


def _is_own(defined: Any) -> bool:
    try:
        return not is_library(inspect.getsourcefile(defined) or "<frozen")
    except (TypeError, OSError):  # built in, or a class of a notebook
        return False


def _tree(defined: Any) -> str:
    try:
        return ast.dump(ast.parse(textwrap.dedent(inspect.getsource(defined))))
    except (OSError, TypeError, SyntaxError):
        return ""
