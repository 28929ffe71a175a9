"""Checks of arguments: numbers in an interval, whole numbers, words from a list, lengths of training.

Every check returns the value as Python's own type. Otherwise it raises `ValueError` with the argument's name, its value
and what is allowed. NumPy and torch scalars count as numbers; True and False do not.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable
from numbers import Rational, Real
from typing import Any, NamedTuple

Length = int | float | str
'A number of epochs, or a string: "300 steps", "2 epochs", "30%" (of the run).'

LENGTHS = 'a positive number of epochs, or "300 steps", "2 epochs", "30%"'
_LENGTH = re.compile(r"\s*(\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+)\s*(steps?|epochs?|%)\s*", re.IGNORECASE)


class Budget(NamedTuple):
    "The length of a run, or of a part of it, in optimizer steps."

    total_steps: int
    steps_per_epoch: int

    @classmethod
    def of(cls, total_steps: int, steps_per_epoch: int) -> Budget:
        "A budget of two whole numbers of at least 1; other values raise `ValueError`."
        return cls(whole("total_steps", total_steps), whole("steps_per_epoch", steps_per_epoch))


class TimeBudget(Budget):
    "The length of a run that ends with its time. Its steps are not known before: they stand for shares of the time."


def plain(value: Any) -> Any:
    """A scalar of NumPy or torch, or a fraction, as Python's own number; any other value unchanged.

    >>> import numpy as np
    >>> plain(np.float32(0.5)), plain(np.array(3)), plain("10%")
    (0.5, 3, '10%')
    """
    value = value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
    return float(value) if isinstance(value, Rational) and not isinstance(value, int) else value


def is_number(value: Any) -> bool:
    "Whether `value` is a finite real number. True and False are not numbers here."
    value = plain(value)
    is_real = isinstance(value, Real) and not isinstance(value, bool)
    # Not math.isfinite, which fails for a whole number that no float holds.
    return is_real and abs(value) <= sys.float_info.max


def number(name: str, value: Any, interval: str) -> float:
    """`value` if it lies in `interval`, which is written as in mathematics.

    >>> number("gamma", 0.5, "(0, 1]")
    0.5
    >>> number("gamma", 0, "(0, 1]")
    Traceback (most recent call last):
    ValueError: gamma must be a number in (0, 1], got 0
    """
    low, high = (float(end) for end in interval[1:-1].split(","))
    got, value = value, plain(value)
    inside = is_number(value) and low <= value <= high
    on_open_end = inside and ((value == low and interval[0] == "(") or (value == high and interval[-1] == ")"))
    if not inside or on_open_end:
        raise ValueError(f"{name} must be a number in {interval}, got {got!r}")
    return value


def whole(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int of at least `least`; 3.0 is a whole number too.

    >>> whole("every", 3.0)
    3
    >>> whole("every", 0)
    Traceback (most recent call last):
    ValueError: every must be a whole number of at least 1, got 0
    """
    number = plain(value)
    if not is_number(number) or number != int(number) or number < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(number)


def whole_or_none(name: str, value: Any) -> int | None:
    "`value` as an int of at least 1, or None."
    return None if value is None else whole(name, value)


def choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    "`value` if it is one of the allowed words."
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def items(name: str, value: Any, what: str) -> list[Any]:
    "The items of `value` as a list; text has none here."
    try:
        return list(None if isinstance(value, (str, bytes)) else value)  # type: ignore[arg-type]
    except TypeError:  # an array without a dimension has `__iter__` and no items
        raise ValueError(f"{name} must be a list of {what}, got {value!r}") from None


def length(name: str, value: Any, zero: bool = False) -> Length:
    "`value` if it is a length of training; `zero` allows the length 0."
    amount, _ = _amount_and_unit(name, value)
    if amount < 0 or (amount == 0 and not zero):
        raise ValueError(f"{name} must be {LENGTHS}{', or 0' if zero else ''}; got {value!r}")
    return plain(value)


def in_steps(name: str, value: Length, budget: Budget) -> float:
    """A length in (fractional) optimizer steps. Callers sum lengths first and round once.

    >>> budget = Budget(total_steps=700, steps_per_epoch=100)
    >>> [in_steps("cycle_len", length, budget) for length in (1.5, "300 steps", "30%")]
    [150.0, 300.0, 210.0]
    """
    amount, unit = _amount_and_unit(name, value)
    if amount and unit != "%":
        refuse_time(f"{name}={value!r}", budget)
    scale = {"step": 1.0, "epoch": budget.steps_per_epoch, "%": budget.total_steps / 100}[unit]
    return min(amount * scale, 2.0**52)  # longer than any run, and exact as a float


def refuse_time(what: str, budget: Budget) -> None:
    "Raise `ValueError` for what counts steps or epochs in a run that ends with its time."
    if isinstance(budget, TimeBudget):
        raise ValueError(
            f"{what} counts steps or epochs, and how many a fit of `minutes` has is not known before; "
            'give a percentage such as "10%", or n_epoch or steps instead of minutes'
        )


def whole_steps(name: str, value: Length, budget: Budget) -> int:
    "A length in whole optimizer steps. A length beyond the run raises `ValueError`."
    steps = round(in_steps(name, value, budget))
    if steps > budget.total_steps:
        raise ValueError(f"{name}={value!r} is {steps} steps, longer than the run's {budget.total_steps}")
    return steps


def _amount_and_unit(name: str, value: Any) -> tuple[float, str]:
    if is_number(value):
        return float(plain(value)), "epoch"
    match = _LENGTH.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{name} must be {LENGTHS}; got {value!r}")
    amount, unit = float(match[1]), match[2].lower().rstrip("s")
    if not math.isfinite(amount) or (unit == "%" and amount > 100):
        raise ValueError(f"{name} must be {LENGTHS}, at most 100%; got {value!r}")
    return amount, unit
