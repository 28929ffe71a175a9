"""The loss of LR range tests against the LR: one light line per seed, and what they suggest as a line in a band."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion

DASHED = "Dashed: the median over seeds of fastai's valley rule. Band: the lowest to the highest seed."


def draw_curves(ax: Axes, curves: pd.DataFrame, found: LRSuggestion) -> dict[Any, tuple]:
    "Returns the colour and the dash of every seed. Folders of lrlab 1.0 have curves without a seed."
    curves = curves if "seed" in curves else curves.assign(seed=0)
    look = style.style_of(curves.seed.unique())
    for seed, (colour, dash) in look.items():
        own = curves[curves.seed == seed]
        ax.plot(own.lr, own.loss, color=colour, ls=dash, lw=1.4, alpha=0.6, label=f"seed {seed}")
    starts = [own.head(max(1, len(own) // 10)).mean() for _, own in curves.groupby("seed").loss]
    low, high = (curves.loss.min(), max(starts)) if starts else (0.0, 1.0)  # no loss was finite
    room = high - low + 1e-9
    ax.set(xscale="log", ylim=(low - 0.12 * room, high + 0.6 * room), ylabel="smoothed training loss")
    mark_suggestion(ax, found)
    style.plain(ax)
    return look


def mark_suggestion(ax: Axes, found: LRSuggestion) -> None:
    "The suggestion as a dashed line, in a band from the lowest to the highest seed."
    if found.lr is None:
        return
    ax.axvspan(*found.range, color=style.COLOURS[5], alpha=0.25, lw=0, zorder=0)
    ax.axvline(found.lr, color=style.SOFT, lw=1, ls="--")
