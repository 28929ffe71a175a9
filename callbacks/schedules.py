"""Learning-rate schedules as arrays: pure functions of the step, in closed form, in float64.

    lr[t] = lr_max * schedule.multipliers(total_steps, steps_per_epoch)[t]

Step t is 0-based and counts optimizer updates; `lr[t]` is the learning rate used *at* step t. With p = t / total_steps
a run of N steps reaches p = (N - 1) / N, so a schedule that falls to its floor comes within one step of it, as fastai's
do. A *length* (`cycle_len`, `every`, `warmup`, `decay`) is a number of epochs, or "300 steps", "2 epochs", "30%" of the
run. Bad arguments raise `ValueError` at construction. Errors that depend on the length of the run (a warm-up longer
than the run, a cycle shorter than a step) are raised by `multipliers`, that is at the start of the fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import arguments
from .arguments import Budget, Length, choice, length, number
from .cyclic import SGDR, CosineRestarts, ExpRange, Triangular
from .schedule import Curve, Schedule, between, checked, half_cosine


@dataclass(frozen=True)
class Constant(Schedule):
    """The learning rate stays at lr_max: multiplier 1.

    >>> Constant().multipliers(3, 1)
    array([1., 1., 1.])
    """

    def _curve(self, budget: Budget) -> Curve:
        return np.ones_like


@dataclass(frozen=True)
class StepDecay(Schedule):
    """The learning rate is multiplied by `gamma` after every `every`: gamma ** floor(t / every).

    The staircase of He et al. 2015 (arXiv:1512.03385, section 3.4; gamma 0.1); torch's StepLR.
    `every` is a length of at least one step, `gamma` in (0, 1].

    >>> StepDecay(every="2 steps").multipliers(5, 1)
    array([1.  , 1.  , 0.5 , 0.5 , 0.25])
    """

    every: Length = checked(length, default=1)
    gamma: float = checked(number, "(0, 1]", default=0.5)

    def _curve(self, budget: Budget) -> Curve:
        every = arguments.in_steps("every", self.every, budget)
        if every < 1:
            raise ValueError(f"every={self.every!r} is {every:g} steps; it must be at least 1 step")
        # A billionth of a stair forgives float noise in t / every where `every` is no whole number of steps.
        return lambda t: self.gamma ** np.floor(t / every + 1e-9)


def _check_milestones(name: str, value: Any) -> tuple[Length, ...]:
    given = arguments.items(name, value, f"lengths, each {arguments.LENGTHS}")
    milestones = tuple(length(f"{name}[{i}]", at) for i, at in enumerate(given))
    if not milestones:
        raise ValueError(f"{name} must be at least one length, got none")
    return milestones


@dataclass(frozen=True)
class MultiStep(Schedule):
    """The learning rate is multiplied by `gamma` at every milestone: gamma ** (number of milestones <= t).

    He et al. 2015 (arXiv:1512.03385, section 4.2: divided by 10 at 32k and 48k steps); torch's MultiStepLR.
    `milestones` are lengths from the start of the run, each longer than the one before, `gamma` in (0, 1].

    >>> MultiStep(milestones=("2 steps", "3 steps"), gamma=0.5).multipliers(5, 1)
    array([1.  , 1.  , 0.5 , 0.25, 0.25])
    """

    milestones: tuple[Length, ...] = checked(_check_milestones, default=("50%", "75%"))
    gamma: float = checked(number, "(0, 1]", default=0.1)

    def _lengths(self) -> dict[str, Length]:
        return {f"milestones[{i}]": at for i, at in enumerate(self.milestones)}

    def _curve(self, budget: Budget) -> Curve:
        steps = [round(arguments.in_steps(name, at, budget)) for name, at in self._lengths().items()]
        if any(now >= following for now, following in zip(steps, steps[1:], strict=False)):
            raise ValueError(f"milestones must rise, and {self.milestones!r} are at the steps {steps}")
        return lambda t: self.gamma ** np.searchsorted(steps, t, side="right").astype(float)


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """Smooth exponential decay, by `gamma` over each `every`: gamma ** (t / every).

    torch's ExponentialLR stepped per batch is `every="1 steps"`. `every` is a length, `gamma` in (0, 1].

    >>> ExponentialDecay(gamma=0.25, every="2 steps").multipliers(4, 1)
    array([1.   , 0.5  , 0.25 , 0.125])
    """

    gamma: float = checked(number, "(0, 1]", default=0.9)
    every: Length = checked(length, default=1)

    def _curve(self, budget: Budget) -> Curve:
        every = arguments.in_steps("every", self.every, budget)
        return lambda t: self.gamma ** (t / every)


@dataclass(frozen=True)
class PolynomialDecay(Schedule):
    """Polynomial decay over the whole run: floor + (1 - floor) * (1 - p) ** power; power 1 is linear.

    Chen et al. 2016 (DeepLab, arXiv:1606.00915, section 4.1, "poly" with power 0.9); torch's PolynomialLR.
    `power` in (0, inf), `floor` in [0, 1).

    >>> PolynomialDecay().multipliers(4, 1)
    array([1.  , 0.75, 0.5 , 0.25])
    """

    power: float = checked(number, "(0, inf)", default=1.0)
    floor: float = checked(number, "[0, 1)", default=0.0)

    def _curve(self, budget: Budget) -> Curve:
        return lambda t: between(self.floor, 1.0, (1 - t / budget.total_steps) ** self.power)


@dataclass(frozen=True)
class CosineDecay(Schedule):
    """Half a cosine over the whole run: floor + (1 - floor) * (1 + cos(pi * p)) / 2.

    Loshchilov & Hutter 2016 (arXiv:1608.03983, eq. 5) with a single cycle; torch's CosineAnnealingLR.
    `floor` in [0, 1).

    >>> CosineDecay().multipliers(4, 1).round(3)
    array([1.   , 0.854, 0.5  , 0.146])
    """

    floor: float = checked(number, "[0, 1)", default=0.0)

    def _curve(self, budget: Budget) -> Curve:
        return lambda t: between(self.floor, 1.0, half_cosine(t / budget.total_steps))


@dataclass(frozen=True)
class InverseSqrt(Schedule):
    """Linear warm-up over w steps, then decay by the inverse square root: t / w, then sqrt(w / t).

    Vaswani et al. 2017 (arXiv:1706.03762, eq. 3), scaled to reach 1 at t = w. The decay does not depend on the length
    of the run. `warmup` is a length, rounded to at least one step and at most the run.

    >>> InverseSqrt(warmup="2 steps").multipliers(9, 1).round(3)
    array([0.   , 0.5  , 1.   , 0.816, 0.707, 0.632, 0.577, 0.535, 0.5  ])
    """

    warmup: Length = checked(length, default="10%")

    def _curve(self, budget: Budget) -> Curve:
        w = max(1, arguments.whole_steps("warmup", self.warmup, budget))
        return lambda t: np.where(t < w, t / w, np.sqrt(w / np.maximum(t, w)))


@dataclass(frozen=True)
class Rex(Schedule):
    """Reflected exponential decay: floor + (1 - floor) * (1 - p) / (1/2 + (1 - p) / 2).

    Chen et al. 2021 (REX, arXiv:2107.04197, section 3): stays high for longer than the straight line.
    `floor` in [0, 1).

    >>> Rex().multipliers(4, 1).round(3)
    array([1.   , 0.857, 0.667, 0.4  ])
    """

    floor: float = checked(number, "[0, 1)", default=0.0)

    def _curve(self, budget: Budget) -> Curve:
        def curve(t: np.ndarray) -> np.ndarray:
            left = 1 - t / budget.total_steps
            return between(self.floor, 1.0, left / (0.5 + 0.5 * left))

        return curve


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from 1/div to 1 and down to 1/div_final, each along half a cosine: the numbers of fastai's `fit_one_cycle`.

    Smith & Topin 2017 (arXiv:1708.07120) in fastai's form: with c(s, e, q) = e + (s - e) * (1 + cos(pi * q)) / 2 and
    a = pct_start, c(1/div, 1, p/a) while p < a, then c(1, 1/div_final, (p - a) / (1 - a)). Both divisors divide lr_max;
    torch's `final_div_factor` divides the *initial* LR instead.
    `pct_start` in [0, 1], `div` and `div_final` in [1, inf).

    >>> OneCycle(pct_start=0.5).multipliers(4, 1).round(3)
    array([0.04, 0.52, 1.  , 0.5 ])
    """

    pct_start: float = checked(number, "[0, 1]", default=0.25)
    div: float = checked(number, "[1, inf)", default=25.0)
    div_final: float = checked(number, "[1, inf)", default=1e5)

    def _curve(self, budget: Budget) -> Curve:
        shape, peak = self._shape(budget), self.pct_start * budget.total_steps
        return lambda t: between(np.where(t < peak, 1 / self.div, 1 / self.div_final), 1.0, shape(t))

    def _shape(self, budget: Budget) -> Curve:
        peak = self.pct_start * budget.total_steps
        after = budget.total_steps - peak

        def shape(t: np.ndarray) -> np.ndarray:
            up = 1 - half_cosine(np.minimum(t, peak) / peak) if peak else 1.0
            down = half_cosine(np.maximum((t - peak) / after, 0)) if after else 1.0
            return np.where(t < peak, up, down)

        return shape


@dataclass(frozen=True)
class FlatCosine(Schedule):
    """Flat at lr_max, then half a cosine down to 1/div_final: the numbers of fastai's `fit_flat_cos`.

    With a = pct_start: 1 while p < a, then c(1, 1/div_final, (p - a) / (1 - a)), c as in `OneCycle`.
    `pct_start` in [0, 1], `div_final` in [1, inf).

    >>> FlatCosine(pct_start=0.5).multipliers(4, 1).round(3)
    array([1. , 1. , 1. , 0.5])
    """

    pct_start: float = checked(number, "[0, 1]", default=0.75)
    div_final: float = checked(number, "[1, inf)", default=1e5)

    def _curve(self, budget: Budget) -> Curve:
        shape = self._shape(budget)
        return lambda t: between(1 / self.div_final, 1.0, shape(t))

    def _shape(self, budget: Budget) -> Curve:
        flat = self.pct_start * budget.total_steps
        after = budget.total_steps - flat
        return lambda t: half_cosine(np.maximum((t - flat) / after, 0)) if after else np.ones_like(t)


EXPONENTIAL_END = 0.01  # of an exponential fall without a floor: it never comes to 0

_FALLS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "linear": lambda q, floor: between(floor, 1.0, 1 - q),
    "cosine": lambda q, floor: between(floor, 1.0, half_cosine(q)),
    "1-sqrt": lambda q, floor: between(floor, 1.0, 1 - np.sqrt(q)),
    "exponential": lambda q, floor: (floor or EXPONENTIAL_END) ** q,
}


@dataclass(frozen=True)
class Trapezoid(Schedule):
    """Linear warm-up, a plateau at lr_max, then decay (cooldown): warmup-stable-decay.

    Zhai et al. 2021 (arXiv:2106.04560, section 3.5), Hu et al. 2024 (arXiv:2404.06395) and Hägele et al. 2024
    (arXiv:2405.18392), who recommend "1-sqrt". Over the decay's q in [0, 1), the multiplier is floor + (1 - floor) * f:

    - "linear": f = 1 - q
    - "cosine": f = (1 + cos(pi * q)) / 2
    - "1-sqrt": f = 1 - sqrt(q)
    - "exponential": the multiplier is floor ** q, or 0.01 ** q for floor=0; torch's ExponentialLR

    The warm-up rises from `floor` to 1. `warmup` and `decay` are lengths or 0, together no longer than the run; `floor`
    in [0, 1). With a warm-up in epochs or steps the fit can be made longer later: see `Extendable`.

    >>> Trapezoid(warmup="2 steps", decay="2 steps").multipliers(6, 1)
    array([0. , 0.5, 1. , 1. , 1. , 0.5])
    """

    warmup: Length = checked(length, zero=True, default="10%")
    decay: Length = checked(length, zero=True, default="20%")
    shape: str = checked(choice, _FALLS, default="linear")
    floor: float = checked(number, "[0, 1)", default=0.0)

    def _curve(self, budget: Budget) -> Curve:
        rise = arguments.in_steps("warmup", self.warmup, budget)
        fall = arguments.in_steps("decay", self.decay, budget)
        if rise + fall > budget.total_steps * (1 + 1e-9):
            raise ValueError(
                f"warmup={self.warmup!r} and decay={self.decay!r} take {rise:g} + {fall:g} steps, "
                f"more than the run's {budget.total_steps}"
            )
        # Rounding where the plateau begins and ends, not the two lengths, keeps 50% + 50% of an odd run within it.
        up, top_ends = round(rise), round(budget.total_steps - fall)
        down, form = budget.total_steps - top_ends, _FALLS[self.shape]

        def curve(t: np.ndarray) -> np.ndarray:
            rising = between(self.floor, 1.0, np.minimum(t, up) / up) if up else 1.0
            falling = form(np.maximum((t - top_ends) / down, 0), self.floor) if down else 1.0
            return np.where(t < up, rising, falling)

        return curve


def _check_points(name: str, value: Any) -> tuple[tuple[float, float], ...]:
    try:
        pairs = [(p, multiplier) for p, multiplier in value]
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be pairs (p, multiplier), got {value!r}") from None
    at = [number(f"p in {name}", p, "[0, 1]") for p, _ in pairs]
    values = [number(f"multiplier in {name}", multiplier, "[0, 1]") for _, multiplier in pairs]
    if not pairs or any(left >= right for left, right in zip(at, at[1:], strict=False)):
        raise ValueError(f"{name} must be at least one pair, with p rising from pair to pair, got {value!r}")
    return tuple(zip(at, values, strict=True))


@dataclass(frozen=True)
class Points(Schedule):
    """Straight lines through (p, multiplier) points; flat before the first and after the last.

    p must rise from point to point, and both numbers lie in [0, 1].

    >>> Points(((0, 0.0), (0.5, 1.0), (1, 0.0))).multipliers(4, 1)
    array([0. , 0.5, 1. , 0.5])
    """

    points: tuple[tuple[float, float], ...] = checked(_check_points, default=((0, 0.0), (0.3, 1.0), (1.0, 0.0)))

    def _curve(self, budget: Budget) -> Curve:
        at, values = np.array(self.points, dtype=float).T
        return lambda t: np.interp(t / budget.total_steps, at, values)


def _check_function(name: str, value: Any) -> Callable[[float], float]:
    if not callable(value):
        raise ValueError(f"{name} must be a function of p in [0, 1), got {value!r}")
    return value


@dataclass(frozen=True, repr=False)
class Custom(Schedule):
    """Your own function: multiplier f(p) with p = t / total_steps, called once per step with a float.

    f must return finite numbers of at least 0, which is checked at the start of the fit; above 1 the LR exceeds lr_max.
    The schedule pickles if f does, and its repr evaluates back where the name of f is known.

    >>> Custom(lambda p: 1 - p / 2).multipliers(2, 1)
    array([1.  , 0.75])
    """

    f: Callable[[float], float] = checked(_check_function)

    def __repr__(self) -> str:
        return f"Custom({getattr(self.f, '__qualname__', None) or repr(self.f)})"

    def _curve(self, budget: Budget) -> Curve:
        def curve(t: np.ndarray) -> np.ndarray:
            values = [self.f(p) for p in (t / budget.total_steps).tolist()]
            for step, value in zip(t, values, strict=True):
                number(f"{self!r} at step {step:.0f}", value, "[0, inf)")
            return np.array(values, dtype=float)

        return curve


_ALL: tuple[type[Schedule], ...] = (
    Constant, StepDecay, MultiStep, ExponentialDecay, PolynomialDecay, CosineDecay, InverseSqrt, Rex, Triangular,
    ExpRange, CosineRestarts, OneCycle, FlatCosine, Trapezoid, Points, Custom,
)  # fmt: skip
SCHEDULES: dict[str, type[Schedule]] = {schedule.__name__: schedule for schedule in _ALL} | {"SGDR": SGDR}
"""Every schedule by the name it is constructed with."""
