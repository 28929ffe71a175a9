"""The figure of `lrlab lr-find`: the loss against the LR, one line per seed, and what every rule suggests."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lrlab.recipes.kitchen.figures import plots
from lrlab.recipes.kitchen.learning_rates import format_number

MARKERS = {"valley": "o", "slide": "s", "minimum": "^", "steep": "D"}


def draw(curves: pd.DataFrame, suggestions: pd.DataFrame, lr: float | None, where: str) -> Figure:
    "The loss against the LR, one line per seed, and below it what every rule suggests for every seed."
    fig = Figure(figsize=(9, 5.6))
    loss, rules = fig.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for _, curve in curves.groupby("seed"):
        loss.plot(curve.lr, curve.loss, color=plots.COLOURS[1], lw=1.4, alpha=0.75)
    start = curves.groupby("seed").loss.first()
    low, high = curves.loss.min(), start.max()
    loss.set(xscale="log", ylim=(low - 0.15 * (high - low), high + 0.6 * (high - low)), ylabel="smoothed training loss")
    for row, (rule, marker) in enumerate(MARKERS.items()):
        values = suggestions[suggestions.rule == rule].lr
        rules.plot(values, np.full(len(values), row), marker, ms=7, color=plots.COLOURS[2], alpha=0.7)
    rules.set(yticks=range(len(MARKERS)), yticklabels=list(MARKERS), ylim=(len(MARKERS) - 0.5, -0.5))
    rules.set_xlabel("learning rate (log scale)")
    rules.grid(axis="y", color="#EEEEEE")
    for ax in (loss, rules):
        if lr:
            ax.axvline(lr, color="#444444", lw=1, ls="--")
        ax.spines[["top", "right"]].set_visible(False)
    title = (
        f"The range test suggests an LR of about {format_number(lr)}" if lr else "The range test suggests no LR here"
    )
    fig.suptitle(title, fontsize=13, fontweight="bold", x=0.02, ha="left")
    note = f"{where}. Dashed: the median over seeds of fastai's valley rule. Each marker: one rule on one seed."
    fig.text(0.02, 0.01, note, fontsize=8.5, color="#444444")
    fig.tight_layout(rect=(0, 0.03, 1, 1))
    return fig
