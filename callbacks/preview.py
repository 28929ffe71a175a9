"""Drawing a schedule before any training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import arguments

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .schedule import Schedule


def plot(schedule: Schedule, epochs: float, steps_per_epoch: int, lr_max: float, ax: Axes | None) -> Axes:
    "Draw the LR of `schedule` against epochs; a step's LR holds until the next."
    import matplotlib.pyplot as plt  # here, because a training script need not have or load it
    from matplotlib.ticker import MaxNLocator

    arguments.number("epochs", epochs, "(0, inf)")
    arguments.number("lr_max", lr_max, "(0, inf)")
    total_steps = max(1, round(epochs * steps_per_epoch))
    lrs = lr_max * schedule.multipliers(total_steps, steps_per_epoch)
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    ax.plot(np.arange(total_steps + 1) / steps_per_epoch, np.append(lrs, lrs[-1]), drawstyle="steps-post")
    ax.set(xlabel="epoch", ylabel="learning rate", title=repr(schedule))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax
