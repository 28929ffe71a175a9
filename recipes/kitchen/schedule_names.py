"""Schedules by name and by constructor call, as users type them. Parsed, never evaluated.

Names and the names of calls are checked without importing the schedules (which import fastai), so that a typo is
reported at once.
"""

import ast
import inspect
import math
from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import did_you_mean, shorten

if TYPE_CHECKING:
    from lrlab.callbacks import Schedule

# Every name stands for a schedule that finishes inside the budget: decays reach their end and cycles come out even.
# {cycle} is about 2 epochs; {first} is the first of cycles that double in length.
NAMES = {
    "constant": "Constant()",
    "step": "StepDecay(every='25%', gamma=0.2)",
    "exponential": "ExponentialDecay(gamma=0.01, every='100%')",
    "linear": "PolynomialDecay(power=1.0)",
    "polynomial": "PolynomialDecay(power=2.0)",
    "cosine": "CosineDecay()",
    "triangular": "Triangular(cycle_len={cycle})",
    "triangular2": "Triangular(cycle_len={cycle}, gamma=0.5)",
    "exp_range": "ExpRange(cycle_len={cycle})",
    "sgdr": "CosineRestarts(cycle_len={first}, cycle_mult=2)",
    "one_cycle": "OneCycle()",
    "flat_cosine": "FlatCosine()",
    "trapezoid": "Trapezoid()",
    "rex": "Rex()",
    "inverse_sqrt": "InverseSqrt(warmup='10%')",
}
DEFAULT_SCHEDULES = "constant,step,linear,cosine,triangular,triangular2,sgdr,one_cycle"
QUICK_SCHEDULES = "constant,step,cosine,one_cycle"  # in 2 epochs, sgdr is one cosine
# What a constructor call may call, and nothing else.
CALLS = (
    "Constant", "CosineDecay", "CosineRestarts", "Custom", "ExpRange", "ExponentialDecay", "FlatCosine", "InverseSqrt",
    "Join", "MultiStep", "OneCycle", "Points", "PolynomialDecay", "Rex", "SGDR", "Scaled", "StepDecay", "Trapezoid",
    "Triangular", "Warmup", "join", "scaled", "warmup",
)  # fmt: skip


def named_schedule(name: str, epochs: int) -> "Schedule":
    """The schedule of NAMES for a budget of `epochs`.

    >>> named_schedule("sgdr", epochs=7)
    CosineRestarts(cycle_len=1.0, cycle_mult=2, gamma=1.0, decay='peak', floor=0.0)
    """
    cycle = epochs / max(1, round(epochs / 2))
    first = epochs / (2 ** max(1, int(math.log2(epochs + 1))) - 1)
    return parse_schedule(NAMES[name].format(cycle=cycle, first=first))


def split_schedules(value: Any, argument: str = "schedules") -> list:
    """The labels of a comma list, or the items of a sequence of labels and Schedules, checked as far as text can be.

    Raises UserError for an unknown name, with the nearest valid one.

    >>> split_schedules("step, CosineDecay(floor=0.1)")
    ['step', 'CosineDecay(floor=0.1)']
    """
    items = _split_outside_brackets(value) if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    items = [_checked_label(item) if isinstance(item, str) else item for item in items]
    if not items:
        raise UserError(f"`{argument}` is empty; expected names such as {DEFAULT_SCHEDULES}")
    for i, item in enumerate(items):
        if item in items[:i]:
            raise UserError(f"`{argument}` names {shorten(item)} twice")
    return items


def parse_schedules(value: Any, epochs: int) -> dict[str, "Schedule"]:
    """Schedules by label, from a comma list or a sequence of names, constructor calls and Schedules.

    Raises UserError with the nearest valid name.

    >>> parse_schedules("step, CosineDecay(floor=0.1)", epochs=7)
    {'step': StepDecay(every='25%', gamma=0.2), 'CosineDecay(floor=0.1)': CosineDecay(floor=0.1)}
    """
    schedules: dict[str, Schedule] = {}
    for item in split_schedules(value):
        label, schedule = _labelled(item, epochs)
        for other, same in schedules.items():
            if schedule == same:
                raise UserError(f"`schedules`: {shorten(label)} and {shorten(other)} are the same schedule")
        schedules[label] = schedule
    return schedules


def parse_schedule(text: str) -> "Schedule":
    "One constructor call, with literals and nested calls of the schedule library as its only arguments."
    from lrlab.callbacks import Schedule

    try:
        schedule = _build(_expression(text), text)
    except (ValueError, TypeError, MemoryError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise _error(text, error) from error
    if not isinstance(schedule, Schedule):
        raise UserError(f"`schedules`: {shorten(text)} is not a schedule; expected such as OneCycle(pct_start=0.3)")
    return schedule


def _labelled(item: Any, epochs: int) -> tuple[str, "Schedule"]:
    from lrlab.callbacks import Schedule

    if isinstance(item, Schedule):
        return _short_call(item), item
    if not isinstance(item, str):
        raise UserError(f"`schedules`: {shorten(repr(item))} is not a schedule; expected a name or OneCycle(...)")
    return item, named_schedule(item, epochs) if item in NAMES else parse_schedule(item)


def _short_call(schedule: "Schedule") -> str:
    "The constructor call, without arguments that have their default."
    given = {f.name: getattr(schedule, f.name) for f in fields(schedule) if getattr(schedule, f.name) != f.default}
    return f"{type(schedule).__name__}({', '.join(f'{name}={value!r}' for name, value in given.items())})"


def _checked_label(label: str) -> str:
    "A name in lower case, or a call whose names are known. Raises UserError for anything else."
    label = " ".join(label.split())
    if not label.isprintable():
        raise UserError(f"`schedules`: {shorten(label)} holds characters that cannot be printed")
    if "(" in label:
        for node in ast.walk(_expression(label)):
            if isinstance(node, ast.Call):
                _called(node, label)
        return label
    name = label.lower().replace("-", "_")
    if name not in NAMES:
        hint = did_you_mean(name, NAMES, cutoff=0.5)
        raise UserError(f"`schedules`: there is no schedule {shorten(name)}; the names are {', '.join(NAMES)}{hint}")
    return name


def _error(text: str, says: object) -> UserError:
    return UserError(f"`schedules`: {shorten(text)}: {says}")


def _expression(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise _error(text, "it is not a constructor call") from error
    except (ValueError, MemoryError, RecursionError) as error:
        raise _error(text, error) from error


def _called(node: ast.Call, text: str) -> str:
    "The name that is called. Raises UserError unless it is one of CALLS."
    name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
    if name not in CALLS:
        hint = did_you_mean(name, CALLS, cutoff=0.5) or f"; expected one of {', '.join(CALLS)}"
        raise _error(text, f"there is no {shorten(name)}{hint}")
    return name


def _build(node: ast.expr, text: str):
    "What a part of a constructor call stands for: a schedule, a tuple or a literal."
    if isinstance(node, ast.Call):
        return _call(node, text)
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_build(element, text) for element in node.elts)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise _error(text, f"expected a number or text, not {shorten(ast.unparse(node))}") from None


def _call(node: ast.Call, text: str):
    from lrlab import callbacks

    name = _called(node, text)
    make = getattr(callbacks, name)
    known, values = list(inspect.signature(make).parameters), {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise _error(text, "** is not understood here")
        if keyword.arg in values:
            raise _error(text, f"an argument of {name} is given twice")
        if keyword.arg not in known:
            hint = did_you_mean(keyword.arg, known, cutoff=0.5) or f"; it takes {', '.join(known) or 'none'}"
            raise _error(text, f"{name} has no argument {shorten(keyword.arg)}{hint}")
        values[keyword.arg] = _build(keyword.value, text)
    return make(*[_build(argument, text) for argument in node.args], **values)


def _split_outside_brackets(text: str) -> list[str]:
    parts, depth = [""], 0
    for character in str(text):
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]
