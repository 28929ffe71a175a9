"""Schedule lint: warnings about what is legal but probably not meant, from the array that the run would use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import arguments
from .arguments import Budget

if TYPE_CHECKING:
    from .schedule import Schedule


def lint(schedule: Schedule, budget: Budget) -> list[str]:
    "Warnings about `schedule` in a run of this length. An error that the fit would raise comes first."
    try:
        multipliers, parts = schedule.multipliers(*budget), schedule._parts(budget)
    except ValueError as error:
        return [f"the fit would refuse this: {error}", *_mixed_up_units(schedule, budget)]
    hints = [hint for part, share in parts for hint in (*_mixed_up_units(part, share), *part._hints(share))]
    return [*hints, *_odd_heights(multipliers)]


def _mixed_up_units(schedule: Schedule, budget: Budget) -> list[str]:
    "Epochs where steps are meant, and steps where epochs are."
    epochs = budget.total_steps / budget.steps_per_epoch
    hints = []
    for name, value in schedule._lengths().items():
        steps = arguments.in_steps(name, value, budget)
        if arguments.is_number(value) and steps > budget.total_steps:
            hints.append(
                f'{name}={value:g} counts epochs, and there are {epochs:g}; write "{value:g} steps" if steps are meant'
            )
        elif (
            isinstance(value, str) and "step" in value.lower() and 1 <= steps <= min(epochs, budget.steps_per_epoch / 5)
        ):
            hints.append(
                f"{name}={value!r} is {steps / budget.steps_per_epoch:.2g} of an epoch; "
                f"write {steps:g} if epochs are meant"
            )
    return hints


def _odd_heights(multipliers: np.ndarray) -> list[str]:
    top = multipliers.max()
    hints = []
    if top > 1:
        hints.append(f"goes above lr_max, up to multiplier {top:.3g}")
    elif top < 0.9:
        hints.append(f"never comes near lr_max: its highest multiplier is {top:.3g}")
    negligible = np.mean(multipliers < 1e-6)
    if negligible > 0.1:
        hints.append(f"hardly trains in {100 * negligible:.0f} % of its steps: the multiplier is below 1e-6 there")
    return hints
