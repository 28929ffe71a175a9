"""The peak learning rate of a run: one number, or one per layer group between two ends. Parsed, never evaluated."""

import math
import re
from dataclasses import dataclass

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import shorten

FIND = "find"  # what a user types to have the LR range test choose
DISCRIMINATIVE = 100  # fastai's `fine_tune` divides the LR of the head by this for the first layers


@dataclass(frozen=True)
class LearningRate:
    """The peak LR of the last layer group, and optionally a lower one for the first.

    It means what fastai means by the same text: `3e-3` is one LR for all groups; `slice(3e-6, 3e-3)` spreads the
    groups evenly on a log axis between its ends; `slice(3e-3)` gives every group but the last a tenth.

    >>> LearningRate.parse("slice(3e-6, 3e-3)")
    LearningRate(peak=0.003, first=3e-06, is_slice=True)
    >>> str(LearningRate(3e-3)), LearningRate(3e-3).to_fastai()
    ('3e-3', 0.003)
    """

    peak: float
    first: float | None = None
    is_slice: bool = False

    @classmethod
    def parse(cls, value: "str | float | slice | LearningRate", name: str = "lr_max") -> "LearningRate":
        "Raise UserError, naming the argument `name`, unless all numbers are positive, finite and ascending."
        if isinstance(value, cls):
            return value
        numbers, flag = _numbers(value), f"`{name}` {shorten(value)}"
        if numbers is None or not all(math.isfinite(number) and number > 0 for number in numbers):
            raise UserError(f'{flag}: expected a positive number such as 3e-3, "slice(3e-6, 3e-3)", or find')
        is_slice = isinstance(value, slice) or "slice" in str(value)
        if len(numbers) == 1:
            return cls(numbers[0], is_slice=is_slice)
        first, peak = numbers
        if first >= peak:
            raise UserError(f"{flag}: the first LR is for the first layers and must be the smaller one")
        return cls(peak, first, is_slice=True)

    def to_fastai(self, groups: int | None = None) -> float | slice:
        "As fastai's fit methods take it. fastai cannot spread a slice over the single group of a model (`groups=1`)."
        return slice(self.first, self.peak) if self.is_slice and groups != 1 else self.peak

    def scaled(self, factor: float) -> "LearningRate":
        "Both ends times `factor`, to two digits."
        first = None if self.first is None else two_digits(self.first * factor)
        return LearningRate(two_digits(self.peak * factor), first, self.is_slice)

    def __str__(self) -> str:
        if not self.is_slice:
            return format_number(self.peak)
        ends = [self.peak] if self.first is None else [self.first, self.peak]
        return f"slice({', '.join(map(format_number, ends))})"


def parse_lr(value, name: str = "lr_max") -> LearningRate | None:
    "A LearningRate, or None for `find`."
    if isinstance(value, str) and value.strip().lower() == FIND:
        return None
    return LearningRate.parse(value, name)


def parse_one_lr(value: str | float, name: str) -> float:
    "A learning rate for all layers. Raises UserError for anything but a positive number."
    numbers = None if isinstance(value, slice) or "slice" in str(value) else _numbers(value)
    if numbers is None or not (math.isfinite(numbers[0]) and numbers[0] > 0):
        raise UserError(f"`{name}` {shorten(value)}: expected a positive number such as 3e-3")
    return numbers[0]


def parse_one_lr_or_find(value, name: str) -> float | None:
    "A learning rate for all layers, or None for `find`."
    return None if str(value).strip().lower() == FIND else parse_one_lr(value, name)


def format_number(lr: float) -> str:
    """The shortest text that reads back as the same number.

    >>> format_number(0.003), format_number(1.0)
    ('3e-3', '1')
    """
    shortest = next(f"{lr:.{n}e}" for n in range(17) if float(f"{lr:.{n}e}") == lr)
    digits, exponent = shortest.split("e")
    return digits + (f"e{int(exponent)}" if int(exponent) else "")


def plain(value):
    """A scalar of NumPy or torch as Python's own number; any other value unchanged.

    >>> import numpy as np
    >>> plain(np.float32(0.5)), plain(np.array(3)), plain("3")
    (0.5, 3, '3')
    """
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value


def two_digits(lr: float) -> float:
    return float(f"{lr:.1e}")


def _numbers(value) -> list[float] | None:
    "One number, or the two of a slice; None for anything else."
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, float, slice)):
        return None
    if getattr(value, "step", None) is not None:  # of a slice
        return None
    if isinstance(value, slice):
        parts = [value.stop] if value.start is None else [value.start, value.stop]
    else:
        match = re.fullmatch(r"\s*slice\s*\(([^()]*)\)\s*", str(value))
        parts = match[1].split(",") if match else [value]
    try:
        return [float(part) for part in parts] if len(parts) in (1, 2) else None
    except (TypeError, ValueError):
        return None


def acting_lr(lr: LearningRate, groups: list[str]) -> LearningRate:
    "The LR as it acts: a model with one layer group takes the upper end of a slice."
    return LearningRate(lr.peak) if len(groups) == 1 else lr
