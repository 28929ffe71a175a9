"""The base of every schedule: an array of multipliers, computed once when the fit starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from .arguments import Budget, Length, number, whole
from .lint import lint
from .preview import draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = Callable[[np.ndarray], np.ndarray]
"From steps to values, both float64 arrays."

BLOCK = 1 << 16  # steps computed at once: keeps the temporaries of a long run small


@dataclass(frozen=True, repr=False)
class Schedule:
    """How the learning rate changes over a run, as a multiplier of `lr_max` at every optimizer step.

    Write your own as a `Custom(f)`, or as a frozen dataclass. Its `_curve` checks the arguments against the budget and
    returns a function from steps to multipliers:

    >>> @dataclass(frozen=True)
    ... class Halving(Schedule):
    ...     times: int = 2
    ...
    ...     def _curve(self, budget):
    ...         return lambda t: 0.5 ** np.floor((self.times + 1) * t / budget.total_steps)
    >>> Halving().multipliers(6, 1)
    array([1.  , 1.  , 0.5 , 0.5 , 0.25, 0.25])
    """

    def __post_init__(self) -> None:
        for f in fields(self):
            if "check" in f.metadata:
                object.__setattr__(self, f.name, f.metadata["check"](f.name, getattr(self, f.name)))

    def multipliers(self, total_steps: int, steps_per_epoch: int) -> np.ndarray:
        "The LR used at every 0-based step, divided by lr_max: float64, shape [total_steps]."
        budget = Budget.of(total_steps, steps_per_epoch)
        return sample(self._curve(budget), budget.total_steps)

    def momentum_shape(self, total_steps: int, steps_per_epoch: int) -> np.ndarray:
        """The LR's position between its low (0) and its top (1) at every step; momentum moves against it.

        Momentum is `moms[0] - (moms[0] - moms[1]) * shape`. The low is the schedule's `floor`, 0 if it has none.
        """
        budget = Budget.of(total_steps, steps_per_epoch)
        return sample(self._shape(budget), budget.total_steps)

    def cycle_ends(self, total_steps: int, steps_per_epoch: int) -> list[int]:
        """The 0-based steps at which the LR is at the minimum of a cycle that the run completes.

        - Cosine cycles: the last step before each restart, and the run's last step where a cycle ends with the run.
        - Triangular cycles are lowest one step later, as the next cycle begins: that step, or the run's last.
        - Everything else: the run's last step.

        A cycle that the run cuts off has no end here. `round((end + 1) / steps_per_epoch)` is the matching epoch.

        >>> from lrlab.callbacks import CosineRestarts
        >>> CosineRestarts(cycle_len=1, cycle_mult=2).cycle_ends(total_steps=700, steps_per_epoch=100)
        [99, 299, 699]
        """
        return self._ends(Budget.of(total_steps, steps_per_epoch))

    def plot(self, epochs: float, steps_per_epoch: int, lr_max: float = 1.0, ax: Axes | None = None) -> Axes:
        "Draw the schedule over `epochs` on `ax`, or on new axes, which it returns."
        epochs, lr_max = number("epochs", epochs, "(0, inf)"), number("lr_max", lr_max, "(0, inf)")
        steps_per_epoch = whole("steps_per_epoch", steps_per_epoch)
        lrs = lr_max * self.multipliers(max(1, round(epochs * steps_per_epoch)), steps_per_epoch)
        return draw([lrs], steps_per_epoch, repr(self), ax)

    def lint(self, total_steps: int, steps_per_epoch: int) -> list[str]:
        """Warnings about what is probably not meant, in a run of this length; empty if all is well.

        >>> from lrlab.callbacks import CosineRestarts
        >>> CosineRestarts(cycle_len=1, cycle_mult=2).lint(total_steps=600, steps_per_epoch=100)
        ['CosineRestarts ends mid-cycle at multiplier 0.149: the run cuts cycle 3 after 300 of its 400 steps']
        """
        return lint(self, Budget.of(total_steps, steps_per_epoch))

    def __repr__(self) -> str:
        values = [(f, getattr(self, f.name)) for f in fields(self)]
        shown = [f"{f.name}={v!r}" for f, v in values if v != f.default or not f.metadata.get("quiet")]
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def _curve(self, budget: Budget) -> Curve:
        raise NotImplementedError(f"{type(self).__name__} must define _curve")

    def _shape(self, budget: Budget) -> Curve:
        curve, low = self._curve(budget), self._low()
        return lambda t: np.clip((curve(t) - low) / (1 - low), 0.0, 1.0)

    def _low(self) -> float:
        return getattr(self, "floor", 0.0)

    def _ends(self, budget: Budget) -> list[int]:
        return [budget.total_steps - 1]

    def _parts(self, budget: Budget) -> list[tuple[Schedule, Budget]]:
        "This schedule and those that it is made of, each with its share of the run."
        return [(self, budget)]

    def _lengths(self) -> dict[str, Length]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.type == "Length"}

    def _hints(self, budget: Budget) -> list[str]:
        "Warnings of this kind of schedule for `lint`."
        return []


def checked(check: Callable, *allowed: Any, default: Any = MISSING, quiet: bool = False, **options: Any) -> Any:
    """A field of a schedule that holds `check(name, value, *allowed, **options)`, which raises `ValueError`.

    `number`, `length` and `choice` of arguments.py are such checks. The repr leaves out a `quiet` field that has its
    default.
    """
    own = {"check": lambda name, value: check(name, value, *allowed, **options), "quiet": quiet}
    return field(default=default, metadata=own)


def sample(curve: Curve, total_steps: int) -> np.ndarray:
    "The values of a curve at the steps 0, 1, ..., total_steps - 1."
    values = np.empty(total_steps)
    for start in range(0, total_steps, BLOCK):
        stop = min(start + BLOCK, total_steps)
        values[start:stop] = curve(np.arange(start, stop, dtype=float))
    return values


def half_cosine(q: np.ndarray) -> np.ndarray:
    "From 1 at q = 0 down to 0 at q = 1, along half a cosine."
    return (1 + np.cos(np.pi * q)) / 2


def between(low: float | np.ndarray, high: float | np.ndarray, position: np.ndarray) -> np.ndarray:
    "`low` at position 0, `high` at position 1."
    return low + (high - low) * position
