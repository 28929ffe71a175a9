"""Small multiples from stored results: one panel per schedule, in colour over the others in grey. Nothing here trains.

Every function returns a bare figure: two panels wide for the HTML report, which puts its words around it and must be
read on a phone, or (`wide`) four for a file that stands alone, on which `plots.framed` writes title and caption.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter, NullLocator, PercentFormatter

from lrlab.recipes.kitchen.figures import plots
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.stats.intervals import mean_interval

PANEL, WIDE_PANEL = (2.35, 1.6), (2.9, 1.9)  # width and height of one panel in inches
NARROWEST = 9.0  # inches of a file that stands alone: its title needs room


def grid(names: list[str], style: dict, wide: bool, draw: Callable[[Axes, str], None], x: str, y: str) -> Figure:
    "One panel per name on common axes; `draw(ax, name)` fills it. `x` and `y` say what the axes measure."
    columns = min(4 if wide else 2, len(names))
    rows = -(-len(names) // columns)
    width, height = WIDE_PANEL if wide else PANEL
    width = max(width * columns + 0.3, NARROWEST * wide)
    figure = Figure(figsize=(width, height * rows + 0.35), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax, name in zip(axes.flat, names, strict=False):
        draw(ax, name)
        ax.set_title(plots.wrapped(name, 34), fontsize=9.5, fontweight="bold", color=style[name][0], loc="left", pad=3)
        ax.tick_params(labelsize=8.5)
        ax.spines[["top", "right"]].set_visible(False)
    for position, ax in enumerate(axes.flat):
        ax.set_visible(position < len(names))
        lowest = position + columns >= len(names)
        ax.tick_params(labelbottom=lowest)
        if lowest:
            ax.set_xlabel(x, fontsize=9)
    for ax in axes[:, 0]:
        ax.set_ylabel(y, fontsize=9)
    return figure


def training_curves(
    epochs: pd.DataFrame, cycles: pd.DataFrame, order: list[str], style: dict, column: str, wide: bool = False
) -> Figure:
    "`column` (accuracy or valid_loss) after every epoch: mean and 95 % interval; diamonds: the ends of cycles."
    means = {name: _by_epoch(epochs[epochs.schedule == name], column) for name in order}
    limits = plots.limits_of(epochs[column])
    last = int(epochs.epoch.max()) if len(epochs) else 1

    def draw(ax: Axes, name: str) -> None:
        for other in order:
            ax.plot(means[other].index, means[other][0], color=plots.OTHERS, lw=0.8, zorder=1)
        own, colour = means[name], style[name][0]
        ax.fill_between(own.index, own[1], own[2], color=colour, alpha=0.18, lw=0, zorder=2)
        ax.plot(own.index, own[0], color=colour, lw=1.9, marker="o", ms=3, zorder=3)
        ends = cycles[cycles.schedule == name].groupby("cycle")[["epoch", column]].mean()
        ax.plot(ends.epoch, ends[column], "D", ms=5.5, mfc="white", mec=colour, mew=1.4, zorder=4)
        if own.empty:
            ax.text(0.5, 0.5, "no epoch finished", transform=ax.transAxes, ha="center", va="center", fontsize=9)
        ax.set(ylim=limits, xlim=(0.6, last + 0.4))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        if column == "accuracy":
            ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))

    label = "validation accuracy" if column == "accuracy" else "validation loss"
    return grid(order, style, wide, draw, "epoch", label)


def lr_curves(
    curves: dict[str, pd.DataFrame], groups: list[str], style: dict, per_epoch: int, wide: bool = False
) -> Figure:
    "The LR of every layer group at every step, on a log axis where it spans decades (0 is at its lower edge)."
    top = max(curve.lr.max() for curve in curves.values())
    bottom = min(curve.groupby("group").lr.max().min() for curve in curves.values()) * 1e-3
    last = (max(curve.step.max() for curve in curves.values()) + 1) / per_epoch

    def draw(ax: Axes, name: str) -> None:
        for group, part in curves[name].groupby("group"):
            share = (int(group) + 1) / len(groups)
            x, y = part.step / per_epoch, part.lr.clip(lower=bottom)
            ax.plot(x, y, color=style[name][0], lw=1.7, alpha=0.3 + 0.7 * share, ls=plots.DASHES[-int(group) - 1]
                    if len(groups) > 1 and group < len(groups) - 1 else "-")  # fmt: skip
            if len(groups) > 1:
                ax.annotate(groups[int(group)], (1.0, y.max()), xycoords=("axes fraction", "data"), fontsize=8,
                            va="center", ha="left", color="#444444", annotation_clip=False)  # fmt: skip
        ax.set(yscale="log", ylim=(bottom, 2.5 * top), xlim=(-0.02 * last, 1.02 * last))
        ax.yaxis.set_major_locator(LogLocator(numticks=6))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))

    return grid(list(curves), style, wide, draw, "epoch", "learning rate")


def budgets(summary: pd.DataFrame, order: list[str], style: dict, wide: bool = False) -> Figure:
    "Accuracy after the last epoch against the budget; every point is a run of its own, planned for that budget."
    own = {name: summary[summary.schedule == name].sort_values("budget") for name in order}
    ticks = sorted(summary.budget.unique())
    limits = plots.limits_of(pd.concat([summary.accuracy_mean, summary.accuracy_low, summary.accuracy_high]))

    def draw(ax: Axes, name: str) -> None:
        for other in order:
            ax.plot(own[other].budget, own[other].accuracy_mean, color=plots.OTHERS, lw=0.8, zorder=1)
        table, colour = own[name], style[name][0]
        ax.vlines(table.budget, table.accuracy_low, table.accuracy_high, color=colour, lw=2, alpha=0.5)
        ax.plot(table.budget, table.accuracy_mean, "o-", color=colour, lw=1.9, ms=5, zorder=3)
        ax.set(xscale="log", ylim=limits, xlim=(ticks[0] / 1.25, ticks[-1] * 1.25))
        ax.xaxis.set_major_locator(FixedLocator(ticks))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))

    return grid(order, style, wide, draw, "budget in epochs (log scale)", f"{summary.measured_on.iloc[0]} accuracy")


def tuning(scores: pd.DataFrame, chosen: dict[str, str], order: list[str], style: dict, wide: bool = False) -> Figure:
    "Validation accuracy against lr_max at one budget: a ring marks the chosen LR, a cross one that lost a seed."
    scores = scores.assign(lr=[_upper(lr) for lr in scores.lr_max]).sort_values("lr")
    low, high = plots.limits_of(scores.accuracy.astype(float))
    own = {name: scores[scores.schedule == name] for name in order}

    def draw(ax: Axes, name: str) -> None:
        for other in order:
            ax.plot(own[other].lr, own[other].accuracy.astype(float), color=plots.OTHERS, lw=0.8, zorder=1)
        table, colour = own[name], style[name][0]
        ax.plot(table.lr, table.accuracy.astype(float), "o-", color=colour, lw=1.9, ms=4, zorder=3)
        lost = table[table.lost > 0]
        if len(lost):  # an empty line that is not clipped would confuse the layout
            ax.plot(lost.lr, np.full(len(lost), low), "x", color=colour, ms=7, mew=2, clip_on=False, zorder=4)
        best = table[table.lr_max == chosen.get(name)]
        ax.plot(best.lr, best.accuracy.astype(float), "o", ms=11, mfc="none", mec=colour, mew=1.8, zorder=4)
        ax.margins(x=0.12)
        ax.set(xscale="log", ylim=(low, high + 0.08 * (high - low)))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))

    return grid(order, style, wide, draw, "lr_max (log scale)", "validation accuracy")


def lr_find(curve: pd.DataFrame, suggestion: float | None) -> Figure:
    "The loss of the LR range test against the LR, and where its suggestion lies."
    figure = Figure(figsize=(2 * PANEL[0] + 0.3, 2.6), layout="constrained")
    ax = figure.subplots()
    ax.plot(curve.lr, curve.loss, color=plots.COLOURS[1], lw=1.9)
    start, low = curve.loss.iloc[: max(1, len(curve) // 10)].mean(), curve.loss.min()
    ax.set(xscale="log", ylim=(low - 0.12 * (start - low + 1e-9), start + 0.6 * (start - low + 1e-9)))
    if suggestion:
        ax.axvline(suggestion, color="#444444", lw=1, ls="--")
        ax.text(suggestion, 0.97, f" {suggestion:g}", transform=ax.get_xaxis_transform(), fontsize=9, va="top")
    ax.set_xlabel("learning rate (log scale)", fontsize=9)
    ax.set_ylabel("smoothed training loss", fontsize=9)
    ax.tick_params(labelsize=8.5)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def final(runs: pd.DataFrame, summary: pd.DataFrame, style: dict, reference: str) -> Figure:
    "The accuracy after the last epoch: every seed, mean and interval, best first."
    figure = Figure(figsize=(2 * PANEL[0] + 0.3, 0.62 * len(summary) + 0.9), layout="constrained")
    ax = figure.subplots()
    plots.final_accuracy(ax, runs, summary, style, reference)
    names = [plots.wrapped(name, 17) for name in summary.schedule]
    ax.set_yticks(range(len(summary)), names, fontsize=9.5, fontweight="bold")
    for label, name in zip(ax.get_yticklabels(), summary.schedule, strict=True):
        label.set_color(style[name][0])
    ax.tick_params(axis="y", length=0)
    return figure


def _by_epoch(epochs: pd.DataFrame, column: str) -> pd.DataFrame:
    "Mean and interval over seeds, in columns 0, 1, 2, by epoch."
    values = {epoch: mean_interval(own.dropna()) for epoch, own in epochs.groupby("epoch")[column]}
    return pd.DataFrame.from_dict(values, orient="index", columns=[0, 1, 2], dtype=float)


def _upper(lr_max: str) -> float | None:
    return LearningRate.parse(lr_max).peak
