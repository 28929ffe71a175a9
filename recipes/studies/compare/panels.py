"""What the figures of a comparison are made of: one panel per schedule, in colour over the others in grey.

A method `panel(ax, schedule)` fills one axes. What is named `grid` returns a figure of small multiples without title
and caption: two panels wide for report.html, which is also read on a phone, or (`wide`) four for a file that stands
alone.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.lr_find_panel import draw_curves
from lrlab.recipes.kitchen.learning_rates import LearningRate, format_number
from lrlab.recipes.kitchen.stats.intervals import mean_interval
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.stats.summary import judged
from lrlab.recipes.studies.compare.ranking import judgement

PANEL, WIDE_PANEL = (2.6, 1.8), (2.9, 1.9)  # width and height of one panel in inches
NARROWEST = 9.0  # inches of a figure that stands alone: its title needs room
DECADES = 30.0  # layer groups whose peak LRs differ by more than this factor need a log axis


class Look:
    "What all panels of a comparison share: the order, colours and dashes of the schedules."

    def __init__(self, order: list[str], all_schedules: list[str]):
        self.order = order  # best first
        self.style = style.style_of(all_schedules)

    def colour(self, schedule: str) -> str:
        return self.style[schedule][0]

    def text_colour(self, schedule: str) -> str:
        return style.text_colour(self.colour(schedule))


def small_multiples(look: Look, names: list[str], draw: Callable[[Axes, str], None], wide: bool, x: str, y: str):
    "One panel per name on common axes. `draw(ax, name)` fills it. `x` and `y` say what the axes measure."
    columns = min(4 if wide else 2, len(names))
    rows = -(-len(names) // columns)
    width, height = WIDE_PANEL if wide else PANEL
    width = max(width * columns + 0.3, NARROWEST * wide)
    figure = Figure(figsize=(width, height * rows + 0.35), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax, name in zip(axes.flat, names, strict=False):
        draw(ax, name)
        title = {"fontsize": 10, "fontweight": "bold", "color": look.text_colour(name), "loc": "left", "pad": 3}
        ax.set_title(style.wrapped(name, 30), **title)
        ax.tick_params(labelsize=9)
        style.plain(ax)
    for position, ax in enumerate(axes.flat):
        ax.set_visible(position < len(names))
        is_lowest = position + columns >= len(names)
        ax.tick_params(labelbottom=is_lowest)
        if is_lowest:
            ax.set_xlabel(x, fontsize=10)
    for ax in axes[:, 0]:
        ax.set_ylabel(y, fontsize=10)
    return figure


class Curves:
    "A measure after every epoch of one budget: means and 95 % intervals over seeds."

    def __init__(
        self, epochs: pd.DataFrame, cycles: pd.DataFrame, look: Look, measure: Measure, budget: int, majority: float
    ):
        self.look, self.measure, self.budget, self.cycles = look, measure, budget, cycles
        self.column = column = measure.column()
        lowest = 0.0 if (epochs[column].dropna() >= 0).all() else -np.inf
        tables = {name: _by_epoch(epochs[epochs.schedule == name], column) for name in look.order}
        self.means = {name: table.clip(lowest, 1.0 if measure.is_share else np.inf) for name, table in tables.items()}
        ends = [table[end] for table in self.means.values() for end in ("low", "high")]
        low, high = style.limits_of(pd.concat([epochs[column], *ends]))
        self.majority = None
        if measure.is_share:
            low, high = max(low, -0.02), min(high, 1.02)
        is_near = majority > 2 * low - high  # the curves are not squeezed if it is shown too
        if measure.name == "accuracy" and is_near:
            low, self.majority = min(low, majority - 0.05 * (high - low)), majority
        self.limits = low, high

    def panel(self, ax: Axes, name: str) -> None:
        "One schedule in colour over the others in grey. Diamonds: the ends of cycles."
        for other in self.look.order:
            ax.plot(self.means[other].index, self.means[other]["mean"], color=style.OTHERS, lw=0.8, zorder=1)
        own, colour = self.means[name], self.look.colour(name)
        ax.fill_between(own.index, own.low, own.high, color=colour, alpha=0.18, lw=0, zorder=2)
        ax.plot(own.index, own["mean"], color=colour, lw=1.9, marker="o", ms=3, zorder=3)
        if self.column in self.cycles:
            ends = self.cycles[self.cycles.schedule == name].groupby("cycle")[["epoch", self.column]].mean()
            ax.plot(ends.epoch, ends[self.column], "D", ms=5.5, mfc="white", mec=colour, mew=1.4, zorder=4)
        if own.empty:
            ax.text(0.5, 0.5, "no epoch finished", transform=ax.transAxes, ha="center", va="center", fontsize=9)
        if self.majority is not None:
            ax.axhline(self.majority, color=style.LINE, ls=":", lw=1, zorder=1)
        ax.set(ylim=self.limits, xlim=(0.6, self.budget + 0.4))
        style.plain(ax, whole_epochs=True)
        ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        if self.measure.is_share:
            style.in_percent(ax.yaxis)

    def grid(self, wide: bool = False) -> Figure:
        label = f"validation {self.measure.label}"
        return small_multiples(self.look, self.look.order, self.panel, wide, "epoch", label)


class LRCurves:
    """The LR of every layer group at every step of one run per schedule.

    The axis is linear, so that a triangle looks like one, unless the peaks of the layer groups span decades.
    """

    def __init__(self, curves: dict[str, pd.DataFrame], groups: list[str], look: Look, per_epoch: int, budget: int):
        self.curves, self.groups, self.look, self.per_epoch, self.budget = curves, groups, look, per_epoch, budget
        peaks = [curve.groupby("group").lr.max() for curve in curves.values()]
        self.top = max((peak.max() for peak in peaks), default=1.0)
        lowest = min((peak[peak > 0].min() for peak in peaks if (peak > 0).any()), default=self.top)
        self.is_log = self.top > DECADES * lowest
        self.bottom = 1e-3 * lowest

    def panel(self, ax: Axes, name: str) -> None:
        colour, several = self.look.colour(name), len(self.groups) > 1
        for group, part in self.curves[name].groupby("group") if name in self.curves else ():
            is_last = int(group) == len(self.groups) - 1
            lr = part.lr.clip(lower=self.bottom) if self.is_log else part.lr
            dash = "-" if is_last else style.DASHES[-int(group) - 1]
            alpha = 0.3 + 0.7 * (int(group) + 1) / len(self.groups)
            ax.plot(part.step / self.per_epoch, lr, color=colour, lw=1.7, alpha=alpha, ls=dash)
            if several and self.is_log:
                place = {"xycoords": ("axes fraction", "data"), "va": "center", "annotation_clip": False}
                ax.annotate(self.groups[int(group)], (1.0, lr.max()), fontsize=8, color=style.SOFT, **place)
        if name not in self.curves:
            ax.text(0.5, 0.5, "no step was made", transform=ax.transAxes, ha="center", va="center", fontsize=9)
        ax.set_xlim(-0.02 * self.budget, 1.02 * self.budget)
        style.plain(ax, whole_epochs=True)
        if self.is_log:
            ax.set(yscale="log", ylim=(self.bottom, 2.5 * self.top))
            ax.yaxis.set_major_locator(LogLocator(numticks=6))
            ax.yaxis.set_minor_locator(NullLocator())
        else:
            ticks = [0, self.top / 2, self.top]
            ax.set(ylim=(0, 1.12 * self.top), yticks=ticks)
            ax.set_yticklabels(["0", *(format_number(float(f"{tick:.2g}")) for tick in ticks[1:])])

    def grid(self, wide: bool = False) -> Figure:
        names = [name for name in self.look.order if name in self.curves]
        return small_multiples(self.look, names, self.panel, wide, "epoch", "learning rate")


def budgets_grid(summary: pd.DataFrame, look: Look, measure: Measure, wide: bool = False) -> Figure:
    "The measure after the last epoch against the budget. Every point is a run of its own, planned for that budget."
    own = {name: summary[summary.schedule == name].sort_values("budget") for name in look.order}
    ticks = sorted(summary.budget.unique())
    limits = style.limits_of(pd.concat([summary["mean"], summary.low, summary.high]))

    def draw(ax: Axes, name: str) -> None:
        for other in look.order:
            ax.plot(own[other].budget, own[other]["mean"], color=style.OTHERS, lw=0.8, zorder=1)
        table, colour = own[name], look.colour(name)
        ax.vlines(table.budget, table.low, table.high, color=colour, lw=2, alpha=0.5)
        ax.plot(table.budget, table["mean"], "o-", color=colour, lw=1.9, ms=5, zorder=3)
        style.budget_axis(ax, ticks)
        ax.set(ylim=limits, xlim=(ticks[0] / 1.25, ticks[-1] * 1.25))
        if measure.is_share:
            style.in_percent(ax.yaxis)

    measured = f"{summary.measured_on.iloc[0]} {measure.label}"
    return small_multiples(look, look.order, draw, wide, "budget in epochs (log scale)", measured)


def tuning_grid(
    scores: pd.DataFrame, chosen: dict[str, str], look: Look, measure: Measure, wide: bool = False
) -> Figure:
    "The validation measure against lr_max at one budget. A ring: the chosen LR. A cross: a seed did not finish there."
    scores = scores.assign(lr=[LearningRate.parse(lr).peak for lr in scores.lr_max]).sort_values("lr")
    low, high = style.limits_of(scores.score)
    own = {name: scores[scores.schedule == name] for name in look.order}

    def draw(ax: Axes, name: str) -> None:
        for other in own.values():
            ax.plot(other.lr, other.score.astype(float), color=style.OTHERS, lw=0.8, zorder=1)
        table, colour = own[name], look.colour(name)
        ax.plot(table.lr, table.score.astype(float), "o-", color=colour, lw=1.9, ms=4, zorder=3)
        lost = table[table.lost > 0]
        if len(lost):  # an empty line that is not clipped would confuse the layout
            ax.plot(lost.lr, np.full(len(lost), low), "x", color=colour, ms=7, mew=2, clip_on=False, zorder=4)
        best = table[table.lr_max == chosen.get(name)]
        ax.plot(best.lr, best.score.astype(float), "o", ms=11, mfc="none", mec=colour, mew=1.8, zorder=4)
        ax.margins(x=0.12)
        ax.set(xscale="log", ylim=(low, high + 0.08 * (high - low)))
        ax.xaxis.set_minor_formatter(NullFormatter())
        if measure.is_share:
            style.in_percent(ax.yaxis)

    names = [name for name in look.order if len(own[name])]
    return small_multiples(look, names, draw, wide, "lr_max (log scale)", f"validation {measure.label}")


def lr_find(curves: pd.DataFrame, found: LRSuggestion) -> Figure:
    "The losses of the LR range tests against the LR, and what they suggest."
    figure = Figure(figsize=(2 * PANEL[0] + 0.3, 2.8), layout="constrained")
    ax = figure.subplots()
    draw_curves(ax, curves, found)
    ax.text(0.02, 0.97, str(found), transform=ax.transAxes, fontsize=10, va="top")
    ax.set_xlabel("learning rate (log scale)", fontsize=10)
    ax.yaxis.label.set_fontsize(10)
    ax.tick_params(labelsize=9)
    return figure


class Final:
    """A measure after the last epoch, one row of a dot plot per schedule: every seed, the mean, its 95 % interval.

    `ends` has the columns mean, low and high by schedule. `band` is the tolerance around the recommended schedule.
    """

    def __init__(self, runs: pd.DataFrame, measure: Measure, look: Look, ends: pd.DataFrame | None = None):
        self.measure, self.look = measure, look
        self.seeds = {name: own.dropna() for name, own in judged(runs, measure.judge).groupby(runs.schedule)}
        self.ends = _means(self.seeds) if ends is None else ends
        self.words: dict[str, str] = {}
        self.band: tuple[float, float] | None = None
        self.majority: float | None = None
        self.values = pd.concat([*self.seeds.values(), *(self.ends[end] for end in ("mean", "low", "high"))])
        self.limits = style.limits_of(self.values)

    def decided(self, ranked: pd.DataFrame, tolerance: float | None, majority: float) -> "Final":
        "With the decision: words, the tolerance as a band, and the most frequent class dotted where it is near."
        self.words = {arm.schedule: difference_words(arm, self.measure) for _, arm in ranked.iterrows()}
        best = ranked[ranked.verdict == "best"]["mean"]
        if len(best):
            margin = self.measure.margin(tolerance, best.iloc[0])
            self.band = best.iloc[0] - margin, best.iloc[0] + margin
        low, high = self.limits
        if 0 < majority and majority > low - (high - low) / 4:  # further away it would squeeze the dots
            self.limits, self.majority = (min(low, majority - 0.05 * (high - low)), high), majority
        return self

    def panel(self, ax: Axes, name: str) -> None:
        if self.band is not None:
            ax.axvspan(*self.band, color=style.OTHERS, alpha=0.3, lw=0, zorder=0)
        if self.majority is not None:
            ax.axvline(self.majority, color=style.LINE, ls=":", lw=1)
        seeds = self.seeds.get(name, pd.Series(dtype=float))
        mean, low, high = self.ends.loc[name]
        words = self.words.get(name, "")
        style.dot_row(ax, 0, seeds, mean, low, high, self.look.colour(name), words, most=None)
        style.dot_axes(ax, 1)
        ax.set(yticks=[], xlim=self.limits)
        ax.spines["left"].set_visible(False)
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        if self.measure.is_share:
            style.in_percent(ax.xaxis)
        if self.values.dropna().empty:
            ax.set(xticks=[])
            ax.grid(False)


def _means(seeds: dict[str, pd.Series]) -> pd.DataFrame:
    "Mean and interval of every schedule. Fewer than three seeds, or equal values, have no interval."
    found = {name: mean_interval(own) for name, own in seeds.items()}
    return pd.DataFrame.from_dict(found, orient="index", columns=["mean", "low", "high"])


def difference_words(arm: pd.Series, measure: Measure) -> str:
    "The difference to the recommended schedule with the word, and how many runs did not finish."
    if arm.verdict == "best" or pd.isna(arm.behind):
        return judgement(arm)
    return f"{measure.show_difference(arm.behind)}{' points' * measure.is_share}: {judgement(arm)}"


def _by_epoch(epochs: pd.DataFrame, column: str) -> pd.DataFrame:
    "Mean and interval over seeds by epoch, in the columns mean, low and high."
    values = {epoch: mean_interval(own.dropna()) for epoch, own in epochs.groupby("epoch")[column]}
    return pd.DataFrame.from_dict(values, orient="index", columns=["mean", "low", "high"], dtype=float)
