"""Schedule lint: what is legal but probably not meant, in words. It reads the array that the run would use."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from . import arguments
from .arguments import Budget

if TYPE_CHECKING:
    from .base import Schedule


def lint(schedule: Schedule, budget: Budget) -> list[str]:
    "Warnings about `schedule` in a run of this length; what the fit would refuse comes first."
    hints = [hint for part, share in schedule._parts(budget) for hint in _mixed_up_units(part, share)]
    try:
        multipliers = schedule.multipliers(*budget)
    except ValueError as error:
        return [f"the fit would refuse this: {error}", *hints]
    cycles = [hint for part, share in schedule._parts(budget) for hint in _cut_cycles(part, share)]
    return [*hints, *cycles, *_odd_heights(multipliers)]


def _mixed_up_units(schedule: Schedule, budget: Budget) -> list[str]:
    epochs = budget.total_steps / budget.steps_per_epoch
    hints = []
    for field in fields(schedule):
        value = getattr(schedule, field.name)
        if field.type != "Length" or value is None:
            continue
        steps = arguments.in_steps(field.name, value, budget)
        if arguments.is_number(value) and steps > budget.total_steps:
            hints.append(
                f"{field.name}={value:g} counts epochs, and the run has {epochs:g}; "
                f'write "{value:g} steps" if steps are meant'
            )
        elif isinstance(value, str) and "step" in value.lower() and 0 < steps <= epochs and steps < 20:
            hints.append(
                f"{field.name}={value!r} is {steps / budget.steps_per_epoch:.2g} of an epoch; "
                f"write {steps:g} if epochs are meant"
            )
    return hints


def _cut_cycles(schedule: Schedule, budget: Budget) -> list[str]:
    "A run should end at a cycle's minimum: in mid-cycle the weights are still on the move."
    if not hasattr(schedule, "cycle_len"):
        return []
    ends, last = schedule.cycle_ends(*budget), budget.total_steps - 1
    hints = []
    if last not in ends:
        multiplier = schedule.multipliers(*budget)[-1]
        hints.append(
            f"ends mid-cycle at multiplier {multiplier:.3g}, {last - (ends[-1] if ends else -1)} steps into "
            f"cycle {len(ends) + 1}"
        )
    if len(ends) < 2 and "Restarts" in type(schedule).__name__:
        hints.append("never restarts: the run holds no more than one cycle")
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
        hints.append(f"hardly trains in {negligible:.0%} of its steps: the multiplier is below 1e-6 there")
    return hints
