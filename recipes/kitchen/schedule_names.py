"""Schedules by name and by constructor call, as users type them. Parsed, never evaluated."""

import ast
import inspect
import math
from collections.abc import Callable

from lrlab import callbacks
from lrlab.callbacks import Schedule
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import did_you_mean, shorten


def _whole_cycles(epochs: int, shortest: float) -> float:
    "The cycle length in epochs with which as many cycles of about `shortest` epochs as possible fill the run exactly."
    return epochs / max(1, round(epochs / shortest))


def _doubling_cycles(epochs: int) -> float:
    "The first cycle's length in epochs with which cycles that double (1, 2, 4, ...) fill the run exactly."
    return epochs / (2 ** max(1, int(math.log2(epochs + 1))) - 1)


# Every name stands for a schedule that finishes inside the budget: decays reach their end and cycles come out even.
NAMES: dict[str, Callable[[int], Schedule]] = {
    "constant": lambda epochs: callbacks.Constant(),
    "step": lambda epochs: callbacks.StepDecay(every="25%", gamma=0.2),
    "exponential": lambda epochs: callbacks.ExponentialDecay(gamma=0.01, every="100%"),
    "linear": lambda epochs: callbacks.PolynomialDecay(power=1.0),
    "polynomial": lambda epochs: callbacks.PolynomialDecay(power=2.0),
    "cosine": lambda epochs: callbacks.CosineDecay(),
    "triangular": lambda epochs: callbacks.Triangular(cycle_len=_whole_cycles(epochs, 2)),
    "triangular2": lambda epochs: callbacks.Triangular(cycle_len=_whole_cycles(epochs, 2), gamma=0.5),
    "exp_range": lambda epochs: callbacks.ExpRange(cycle_len=_whole_cycles(epochs, 2)),
    "sgdr": lambda epochs: callbacks.CosineRestarts(cycle_len=_doubling_cycles(epochs), cycle_mult=2),
    "one_cycle": lambda epochs: callbacks.OneCycle(),
    "flat_cosine": lambda epochs: callbacks.FlatCosine(),
    "trapezoid": lambda epochs: callbacks.Trapezoid(),
    "rex": lambda epochs: callbacks.Rex(),
    "inverse_sqrt": lambda epochs: callbacks.InverseSqrt(warmup="10%"),
}
EIGHT = "constant,step,exponential,cosine,triangular,triangular2,sgdr,one_cycle"
_CALLABLES = {
    name: value
    for name, value in vars(callbacks).items()
    if name in ("warmup", "join") or (isinstance(value, type) and issubclass(value, Schedule) and value is not Schedule)
}
SCHEDULE_NAMES = tuple(_CALLABLES)  # what a constructor call may call, and nothing else


def parse_schedules(text: str, epochs: int) -> dict[str, Schedule]:
    """Schedules by label, from a comma list of names and constructor calls such as "cosine, OneCycle(pct_start=0.3)".

    Raises UserError with the nearest valid name.

    >>> parse_schedules("step, CosineDecay(floor=0.1)", epochs=7)
    {'step': StepDecay(every='25%', gamma=0.2), 'CosineDecay(floor=0.1)': CosineDecay(floor=0.1)}
    """
    labels = [" ".join(label.split()) for label in _split_outside_brackets(str(text))]
    if not labels:
        raise UserError(f"`schedules` is empty; expected names such as {EIGHT}")
    schedules: dict[str, Schedule] = {}
    for label in labels:
        if not label.isprintable():
            raise UserError(f"`schedules`: {shorten(label)} holds characters that cannot be printed")
        label = label if "(" in label else label.lower().replace("-", "_")
        if label in schedules:
            raise UserError(f"`schedules` names {label} twice")
        schedule = _by_name(label, epochs) if "(" not in label else parse_schedule(label)
        for other, same in schedules.items():
            if schedule == same:
                raise UserError(f"`schedules`: {shorten(label)} and {shorten(other)} are the same schedule")
        schedules[label] = schedule
    return schedules


def parse_schedule(text: str) -> Schedule:
    "One constructor call, with literals and nested calls of the schedule library as its only arguments."
    try:
        schedule = _build(ast.parse(text.strip(), mode="eval").body, text)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        reason = "it is not a constructor call" if isinstance(error, SyntaxError) else str(error)
        raise UserError(f"`schedules`: {shorten(text)}: {reason}") from error
    if not isinstance(schedule, Schedule):
        raise UserError(f"`schedules`: {shorten(text)} is not a schedule; expected such as OneCycle(pct_start=0.3)")
    return schedule


def _by_name(name: str, epochs: int) -> Schedule:
    if name in NAMES:
        return NAMES[name](epochs)
    hint = did_you_mean(name, NAMES, cutoff=0.5)
    raise UserError(f"`schedules`: there is no schedule {shorten(name)}; the names are {', '.join(NAMES)}{hint}")


def _build(node: ast.expr, text: str):
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if name not in _CALLABLES:
            hint = did_you_mean(name, _CALLABLES, cutoff=0.5) or f"; expected one of {', '.join(sorted(_CALLABLES))}"
            raise UserError(f"`schedules`: {shorten(text)}: there is no {shorten(name)}{hint}")
        named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        if any(keyword.arg is None for keyword in node.keywords):
            raise UserError(f"`schedules`: {shorten(text)}: ** is not understood here")
        unknown = [argument for argument in named if argument not in _parameters(name)]
        if unknown:
            takes = f"; it takes {', '.join(_parameters(name)) or 'none'}"
            hint = did_you_mean(unknown[0], _parameters(name), cutoff=0.5) or takes
            raise UserError(f"`schedules`: {shorten(text)}: {name} has no argument {shorten(unknown[0])}{hint}")
        values = {argument: _build(value, text) for argument, value in named.items()}
        return _CALLABLES[name](*[_build(a, text) for a in node.args], **values)
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_build(element, text) for element in node.elts)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise UserError(
            f"`schedules`: {shorten(text)}: expected a number or text, not {shorten(ast.unparse(node))}"
        ) from None


def _parameters(name: str) -> list[str]:
    return list(inspect.signature(_CALLABLES[name]).parameters)


def _split_outside_brackets(text: str) -> list[str]:
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]
