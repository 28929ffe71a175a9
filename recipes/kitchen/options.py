"""What users type, turned into values: learning rates, seeds, epochs, numbers in a range."""

import math
import re

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import shorten

LR = float | slice


def parse_lr(text: str | float | slice, name: str = "lr_max") -> LR | None:
    """A learning rate: "3e-3", "slice(3e-6, 3e-3)", or "find" (None: still to be found).

    Raises UserError unless all numbers are positive, finite and in ascending order.

    >>> parse_lr("3e-3"), parse_lr("slice(3e-6, 3e-3)"), parse_lr("find")
    (0.003, slice(3e-06, 0.003, None), None)
    """
    if isinstance(text, str) and text.strip().lower() == "find":
        return None
    values, flag = _lr_numbers(text), f"`{name}` {shorten(text)}"
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
        raise UserError(f"`{name}` {shorten(text)}: expected a positive number such as 3e-3")
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
        raise UserError(f"`seeds` {shorten(text)}: expected how many (3), or which (0,5,7)") from None
    if "," not in text and len(numbers) == 1:
        check_range("seeds", numbers[0], 1, 1000)
        return list(range(numbers[0]))
    if not numbers or min(numbers) < 0 or max(numbers) >= 2**32:
        raise UserError(f"`seeds` {shorten(text)}: seeds are whole numbers from 0 to 4294967295")
    if len(set(numbers)) < len(numbers):
        raise UserError(f"`seeds` {shorten(text)}: the same seed twice would count one run as two")
    return numbers


def parse_epochs(epochs: int | str) -> list[int]:
    """One budget or several, ascending. Raises UserError for none, repeated or impossible ones.

    >>> parse_epochs(7), parse_epochs("12,3,6")
    ([7], [3, 6, 12])
    """
    try:
        budgets = [int(part) for part in str(epochs).split(",") if part.strip()]
    except ValueError:
        raise UserError(f"`epochs` {shorten(str(epochs))}: expected a whole number (7), or several (3,6,12)") from None
    if not budgets or len(set(budgets)) < len(budgets):
        raise UserError(f"`epochs` {shorten(str(epochs))}: expected different whole numbers, such as 3,6,12")
    for budget in budgets:
        check_range("epochs", budget, 1, 10_000)
    return sorted(budgets)


def check_range(name: str, value, low, high) -> None:
    "Raise UserError unless `value` is a number within [low, high] and as whole as `low` is."
    whole = isinstance(low, int)
    fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool) and low <= value <= high
    if not fits:
        kind = "a whole number" if whole else "a number"
        raise UserError(f"`{name}` {value}: expected {kind} from {low} to {high}")


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
        raise UserError(f"`jobs` {shorten(str(jobs))}: expected auto or a whole number from 1 to 256") from None
    return in_range("jobs", number, 1, 256)
