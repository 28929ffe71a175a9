"""Draw a schedule, or the run that `fit_schedule` would make, without training."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .hypers import Schedules


class SchedulePreview:
    "The LR and momentum of a planned run: `to_df()`, `plot()`. A notebook shows the plot."

    def __init__(
        self,
        schedule: Schedules,
        firsts: list[int],  # Steps before each epoch, and in all
        lrs: np.ndarray,  # Shape [steps, groups]
        moms: np.ndarray | None = None,  # The same
        steps_per_epoch: float | None = None,  # Of a whole epoch, where the last one is cut
    ) -> None:
        self.schedule, self.firsts = schedule, firsts
        self._steps_per_epoch = steps_per_epoch or firsts[-1] / (len(firsts) - 1)
        self.lrs, self.moms = lrs, np.full_like(lrs, np.nan) if moms is None else moms

    def to_df(self) -> pd.DataFrame:
        "One row per step and parameter group: step, epoch, group, lr, mom (NaN where momentum does not change)."
        steps, groups = self.lrs.shape
        epochs = np.repeat(np.arange(len(self.firsts) - 1), np.diff(self.firsts))
        return pd.DataFrame(
            {
                "step": np.repeat(np.arange(steps), groups),
                "epoch": np.repeat(epochs, groups),
                "group": np.tile(np.arange(groups), steps),
                "lr": self.lrs.ravel(),
                "mom": self.moms.ravel(),
            }
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        "Draw the LR of every parameter group against epochs. The axis is logarithmic where groups are decades apart."
        ax = draw(list(self.lrs.T), self._steps_per_epoch, repr(self.schedule), ax)
        tops = self.lrs.max(axis=0)
        if tops.max() >= 10 * tops.min() > 0:
            ax.set_yscale("log")
        return ax

    def _repr_png_(self) -> bytes:
        import matplotlib.pyplot as plt

        figure, png = self.plot().figure, io.BytesIO()
        figure.savefig(png, format="png", dpi=150)
        plt.close(figure)
        return png.getvalue()


def draw(groups: Sequence[np.ndarray], steps_per_epoch: float, title: str, ax: Axes | None) -> Axes:
    "Draw the LRs of all groups against epochs. Each step holds its LR until the next step."
    import matplotlib.pyplot as plt  # here, because a training script may run without matplotlib
    from matplotlib.ticker import MaxNLocator

    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    for group, lrs in enumerate(groups):
        epochs = np.arange(len(lrs) + 1) / steps_per_epoch
        ax.plot(epochs, np.append(lrs, lrs[-1]), drawstyle="steps-post", label=f"group {group}")
    ax.set(xlabel="epoch", ylabel="learning rate", title=title)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(groups) > 1:
        ax.legend()
    return ax
