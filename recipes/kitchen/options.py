"""What users type, turned into values: learning rates, seeds and schedules. Parsed, never evaluated."""

import ast
import difflib
import inspect
import math
import re
from collections.abc import Callable

from lrlab import callbacks
from lrlab.callbacks import Schedule
from lrlab.recipes.kitchen.errors import UserError

LR = float | slice


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
        raise UserError(f"--schedules is empty; expected names such as {EIGHT}")
    schedules: dict[str, Schedule] = {}
    for label in labels:
        if not label.isprintable():
            raise UserError(f"--schedules: {_short(label)} holds characters that cannot be printed")
        label = label if "(" in label else label.lower().replace("-", "_")
        if label in schedules:
            raise UserError(f"--schedules names {label} twice")
        schedule = _by_name(label, epochs) if "(" not in label else parse_schedule(label)
        for other, same in schedules.items():
            if schedule == same:
                raise UserError(f"--schedules: {_short(label)} and {_short(other)} are the same schedule")
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
        raise UserError(f"--schedules: {_short(text)}: {reason}") from error
    if not isinstance(schedule, Schedule):
        raise UserError(f"--schedules: {_short(text)} is not a schedule; expected for instance OneCycle(pct_start=0.3)")
    return schedule


def _by_name(name: str, epochs: int) -> Schedule:
    if name in NAMES:
        return NAMES[name](epochs)
    near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UserError(f"--schedules: there is no schedule {_short(name)}; the names are {', '.join(NAMES)}{hint}")


def _build(node: ast.expr, text: str):
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if name not in _CALLABLES:
            near = difflib.get_close_matches(name, _CALLABLES, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else f"; expected one of {', '.join(sorted(_CALLABLES))}"
            raise UserError(f"--schedules: {_short(text)}: there is no {_short(name)}{hint}")
        named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        if any(keyword.arg is None for keyword in node.keywords):
            raise UserError(f"--schedules: {_short(text)}: ** is not understood here")
        unknown = [argument for argument in named if argument not in _parameters(name)]
        if unknown:
            near = difflib.get_close_matches(unknown[0], _parameters(name), n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else f"; it takes {', '.join(_parameters(name)) or 'none'}"
            raise UserError(f"--schedules: {_short(text)}: {name} has no argument {_short(unknown[0])}{hint}")
        values = {argument: _build(value, text) for argument, value in named.items()}
        return _CALLABLES[name](*[_build(a, text) for a in node.args], **values)
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_build(element, text) for element in node.elts)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise UserError(
            f"--schedules: {_short(text)}: expected a number or text, not {_short(ast.unparse(node))}"
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


def parse_lr(text: str | float | slice, name: str = "lr_max") -> LR | None:
    """A learning rate: "3e-3", "slice(3e-6, 3e-3)", or "find" (None: still to be found).

    Raises UserError unless all numbers are positive, finite and in ascending order.

    >>> parse_lr("3e-3"), parse_lr("slice(3e-6, 3e-3)"), parse_lr("find")
    (0.003, slice(3e-06, 0.003, None), None)
    """
    if isinstance(text, str) and text.strip().lower() == "find":
        return None
    values, flag = _lr_numbers(text), f"--{name.replace('_', '-')} {_short(str(text))}"
    if values is None or not all(math.isfinite(v) and v > 0 for v in values):
        raise UserError(f'{flag}: expected a positive number such as 3e-3, "slice(3e-6, 3e-3)", or find')
    if len(values) == 1:
        return slice(values[0]) if isinstance(text, slice) or "slice" in str(text) else values[0]
    if values[0] >= values[1]:
        raise UserError(f"{flag}: the first LR is for the first layers and must be the smaller one")
    return slice(*values)


def parse_one_lr(text: str | float, name: str) -> float:
    "A learning rate for all layers. Raises UserError for anything but a positive number."
    values = None if isinstance(text, slice) or "slice" in str(text) else _lr_numbers(text)
    if values is None or not (math.isfinite(values[0]) and values[0] > 0):
        raise UserError(f"--{name.replace('_', '-')} {_short(str(text))}: expected a positive number such as 3e-3")
    return values[0]


def _lr_numbers(text: str | float | slice) -> list[float] | None:
    if isinstance(text, bool) or not isinstance(text, (str, int, float, slice)):
        return None
    if isinstance(text, slice):
        parts = [v for v in (text.start, text.stop) if v is not None]
    else:
        match = re.fullmatch(r"\s*slice\s*\(([^()]*)\)\s*", str(text))
        parts = match[1].split(",") if match else [text]
    try:
        return [float(part) for part in parts] if len(parts) in (1, 2) else None
    except (TypeError, ValueError):
        return None


def show_lr(lr: LR) -> str:
    """The shortest text that `parse_lr` reads back as the same LR.

    >>> show_lr(0.003), show_lr(slice(3e-6, 3e-3))
    ('3e-3', 'slice(3e-6, 3e-3)')
    """
    if isinstance(lr, slice):
        return f"slice({', '.join(show_lr(v) for v in (lr.start, lr.stop) if v is not None)})"
    shortest = next(f"{lr:.{n}e}" for n in range(17) if float(f"{lr:.{n}e}") == lr)
    digits, exponent = shortest.split("e")
    return digits + (f"e{int(exponent)}" if int(exponent) else "")


def parse_seeds(seeds: int | str) -> list[int]:
    """How many seeds, or which. Raises UserError for none, repeated or negative ones.

    >>> parse_seeds(3), parse_seeds("0,5,7")
    ([0, 1, 2], [0, 5, 7])
    """
    text = str(seeds).strip()
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise UserError(f"--seeds {_short(text)}: expected how many (3), or which (0,5,7)") from None
    if "," not in text and len(numbers) == 1:
        check_range("seeds", numbers[0], 1, 1000)
        return list(range(numbers[0]))
    if not numbers or min(numbers) < 0 or max(numbers) >= 2**32:
        raise UserError(f"--seeds {_short(text)}: seeds are whole numbers from 0 to 4294967295")
    if len(set(numbers)) < len(numbers):
        raise UserError(f"--seeds {_short(text)}: the same seed twice would count one run as two")
    return numbers


def parse_epochs(epochs: int | str) -> list[int]:
    """One budget or several, ascending. Raises UserError for none, repeated or impossible ones.

    >>> parse_epochs(7), parse_epochs("12,3,6")
    ([7], [3, 6, 12])
    """
    try:
        budgets = [int(part) for part in str(epochs).split(",") if part.strip()]
    except ValueError:
        raise UserError(f"--epochs {_short(str(epochs))}: expected a whole number (7), or several (3,6,12)") from None
    if not budgets or len(set(budgets)) < len(budgets):
        raise UserError(f"--epochs {_short(str(epochs))}: expected different whole numbers, such as 3,6,12")
    for budget in budgets:
        check_range("epochs", budget, 1, 10_000)
    return sorted(budgets)


def check_range(name: str, value, low, high) -> None:
    "Raise UserError unless `value` is a number within [low, high] and as whole as `low` is."
    whole = isinstance(low, int)
    fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool) and low <= value <= high
    if not fits:
        kind = "a whole number" if whole else "a number"
        raise UserError(f"--{name.replace('_', '-')} {value}: expected {kind} from {low} to {high}")


def in_range(name: str, value, low, high):
    "`value`, if `check_range` has nothing against it."
    check_range(name, value, low, high)
    return value


MEMORY_PER_RUN = 2e9  # bytes, where no run has been made yet that could tell


def parse_jobs(jobs: int | str, threads: int = 1) -> int:
    "How many runs at the same time; `auto`: one on a GPU, else one per `threads` cores as far as the memory goes."
    if str(jobs).strip().lower() == "auto":
        import torch

        from lrlab.recipes.kitchen.machine.environment import fitting_jobs

        # How much of a GPU's memory a run takes is not known before there was one.
        return 1 if torch.cuda.is_available() else fitting_jobs(threads, MEMORY_PER_RUN)
    try:
        number = int(jobs)
    except (TypeError, ValueError):
        raise UserError(f"--jobs {_short(str(jobs))}: expected auto or a whole number from 1 to 256") from None
    return in_range("jobs", number, 1, 256)


def _short(text: str, most: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
