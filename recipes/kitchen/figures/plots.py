"""Figures from stored results only: `comparison.png`, `schedules.png`, their parts. Nothing here trains."""

import re
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator, PercentFormatter

from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.stats.intervals import mean_interval
from lrlab.recipes.kitchen.stats.summary import judged

# Okabe & Ito (2008), told apart by colour-blind readers, ordered so that neighbours also differ in grey.
COLOURS = ["#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#B8860B", "#7F3C8D"]
DASHES = ["-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (6, 2, 1, 2))]
OTHERS = "#C8C8C8"
matplotlib.rcParams["svg.hashsalt"] = "lrlab"  # the same results give the same file
matplotlib.rcParams["svg.fonttype"] = "none"


def style_of(schedules: list[str]) -> dict[str, tuple]:
    "One colour and one dash per schedule, the same in every figure of a comparison."
    return {
        s: (COLOURS[i % len(COLOURS)], DASHES[(i + i // len(COLOURS)) % len(DASHES)]) for i, s in enumerate(schedules)
    }


def comparison(
    runs: pd.DataFrame,
    epochs: pd.DataFrame,
    cycles: pd.DataFrame,
    summary: pd.DataFrame,
    lr_curves: dict[str, pd.DataFrame],
    title: str,
    caption: str,
    reference: str,
) -> Figure:
    """One row per schedule, best first: its LR, validation loss, accuracy, and beside them the final accuracies.

    All tables are of one budget. `cycles` marks the accuracy at the ends of cycles; `lr_curves` maps
    a schedule to the steps of one of its runs (columns step, group, lr).
    """
    order, style = list(summary.schedule), style_of(list(runs.schedule.unique()))
    height = 1.05 * len(order) + 1.9
    fig = Figure(figsize=(12, height), layout=None)
    grid = GridSpec(
        len(order),
        4,
        figure=fig,
        width_ratios=(1.0, 1.25, 1.25, 1.6),
        wspace=0.26,
        hspace=0.25,
        left=0.155,
        right=0.975,
        top=1 - 0.95 / height,
        bottom=0.98 / height,
    )
    measured = summary.measured_on.iloc[0]
    columns = ("LR of the head", "validation loss", "validation accuracy", f"{measured} accuracy after the last epoch")
    curves = {s: epochs[epochs.schedule == s] for s in order}
    limits = {column: limits_of(epochs[column]) for column in ("valid_loss", "accuracy")}
    last_epoch = int(runs.budget.max())
    for row, schedule in enumerate(order):
        axes = [fig.add_subplot(grid[row, column]) for column in range(3)]
        _lr_panel(axes[0], lr_curves, schedule, style)
        for ax, column in zip(axes[1:], ("valid_loss", "accuracy"), strict=True):
            _curve_panel(ax, curves, schedule, column, style, limits[column], last_epoch)
            ends = cycles[cycles.schedule == schedule].groupby("cycle")[["epoch", column]].mean()
            ax.plot(ends.epoch, ends[column], "D", ms=5.5, mfc="white", mec=style[schedule][0], mew=1.3, zorder=4)
        axes[2].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        middle = axes[0].get_position()
        label = {
            "fontsize": 10.5 if len(schedule) < 15 else 8.5,
            "fontweight": "bold",
            "color": style[schedule][0],
            "ha": "left",
            "va": "center",
        }
        fig.text(0.02, (middle.y0 + middle.y1) / 2, wrapped(schedule, 13 if len(schedule) < 15 else 17), **label)
        for ax, name in zip(axes, columns, strict=False):
            if row == 0:
                ax.set_title(name, fontsize=10.5)
            if row == len(order) - 1:
                ax.set_xlabel("epoch", fontsize=9.5)
            else:
                ax.set_xticklabels([])
    final = fig.add_subplot(grid[:, 3])
    final.set_title(columns[3], fontsize=10.5)
    final_accuracy(final, runs, summary, style, reference)
    fig.suptitle(wrapped(title, 92), fontsize=14, fontweight="bold", x=0.02, ha="left", y=1 - 0.12 / height, va="top")
    fig.text(0.02, 0.1 / height, wrapped(caption, 175), fontsize=8.5, color="#444444", va="bottom", ha="left")
    return fig


def final_accuracy(ax, runs: pd.DataFrame, summary: pd.DataFrame, style: dict, reference: str) -> None:
    "A dot plot: every seed small, the mean large with its interval, the reference as a line, lost runs in words."
    base = summary[summary.schedule == reference].accuracy_mean
    if base.notna().any():
        ax.axvline(base.iloc[0], color=style[reference][0], lw=1, alpha=0.6)
    runs = runs.assign(judged=judged(runs))
    drawn = runs.judged.dropna()
    low, high = limits_of(pd.concat([drawn, summary.accuracy_low.clip(lower=0), summary.accuracy_high.clip(upper=1)]))
    for row, arm in summary.iterrows():
        colour = style[arm.schedule][0]
        own = runs[(runs.schedule == arm.schedule) & (runs.lr_max == arm.lr_max)]
        ok = own[own.status == "ok"]
        ax.plot(ok.judged, np.full(len(ok), row + 0.2), "o", ms=4, color=colour, alpha=0.45, mew=0)
        if np.isfinite(arm.accuracy_low):
            ax.plot([arm.accuracy_low, arm.accuracy_high], [row, row], color=colour, lw=2.2, solid_capstyle="round")
        if np.isfinite(arm.accuracy_mean):
            ax.plot(arm.accuracy_mean, row, "o", ms=8, color=colour, mec="white")
        ax.text(1.0, row - 0.27, _verdict_text(arm, reference), transform=ax.get_yaxis_transform(), fontsize=8.5,
                ha="right", va="center", color="#333333")  # fmt: skip
    ax.set(ylim=(len(summary) - 0.5, -0.5), yticks=[], xlim=(low, high))
    ax.set_xlabel(f"{summary.measured_on.iloc[0]} accuracy; line: {reference}", fontsize=9.5)
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.tick_params(labelsize=8.5)
    ax.grid(axis="x", color="#EEEEEE")
    ax.set_axisbelow(True)
    _frame(ax)


def framed(fig: Figure, title: str, caption: str) -> Figure:
    "`fig`, which uses constrained layout, with its finding above and n, data, budget and lr_max below."
    width, height = fig.get_size_inches()
    title, caption = wrapped(title, int(7.4 * width)), wrapped(caption, int(14.5 * width))
    above, below = 0.3 + 0.25 * (title.count("\n") + 1), 0.12 + 0.15 * (caption.count("\n") + 1)
    fig.set_size_inches(width, height + above + below)
    total = height + above + below
    fig.get_layout_engine().set(rect=(0, below / total, 1, height / total))
    fig.text(0.015, 1 - 0.12 / total, title, fontsize=13, fontweight="bold", ha="left", va="top")
    fig.text(0.015, 0.06 / total, caption, fontsize=8.5, color="#444444", ha="left", va="bottom")
    return fig


def save(fig: Figure, file: Path) -> None:
    "PNG at 160 dpi, or SVG, by the file's suffix; written completely or not at all."
    part = file.with_name(f".{file.stem}.part{file.suffix}")
    as_written(fig)
    fig.savefig(part, dpi=160, metadata={"Date": None} if file.suffix == ".svg" else None)
    part.replace(file)


def as_written(fig: Figure) -> None:
    "Let names with dollar signs be names: matplotlib takes what is between two for a formula, and may fail on it."
    for text in fig.findobj(Text):
        if "$" in text.get_text() and "mathdefault" not in text.get_text():  # which matplotlib's own tick labels have
            text.set_parse_math(False)


def _lr_panel(ax, lr_curves: dict, schedule: str, style: dict) -> None:
    for name, curve in lr_curves.items():
        head = curve[curve.group == curve.group.max()]
        if name == schedule:
            ax.plot(_epoch_axis(head), head.lr, color=style[name][0], lw=1.8, zorder=3)
    top = max((curve.lr.max() for curve in lr_curves.values()), default=1.0)
    ax.set(ylim=(0, 1.12 * top), yticks=[0, top], yticklabels=["0", format_number(float(f"{top:.2g}"))])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.tick_params(labelsize=8.5)
    if schedule not in lr_curves:
        ax.text(0.5, 0.5, "no run", transform=ax.transAxes, ha="center", fontsize=9)
    _frame(ax)


def _curve_panel(ax, curves: dict, schedule: str, column: str, style: dict, limits: tuple, last_epoch: int) -> None:
    "Mean and 95 % interval over seeds of one schedule in colour, the means of the others in grey."
    for name, table in curves.items():
        if table.empty:
            continue
        stats = table.groupby("epoch")[column].apply(lambda values: pd.Series(mean_interval(values.dropna()))).unstack()
        if name != schedule:
            ax.plot(stats.index, stats[0], color=OTHERS, lw=0.8, zorder=1)
            continue
        ax.fill_between(stats.index, stats[1], stats[2], color=style[name][0], alpha=0.18, lw=0, zorder=2)
        ax.plot(stats.index, stats[0], color=style[name][0], lw=1.9, marker="o", ms=3.2, zorder=3)
    if curves[schedule].empty:
        ax.text(0.5, 0.5, "no epoch finished", transform=ax.transAxes, ha="center", va="center", fontsize=9)
    ax.set(ylim=limits, xlim=(0.7, max(last_epoch, 1) + 0.3))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    ax.tick_params(labelsize=8.5)
    _frame(ax)


def _epoch_axis(curve: pd.DataFrame) -> np.ndarray:
    "Steps as epochs, from 0."
    steps_per_epoch = max(1, (curve.step[curve.epoch == curve.epoch.min()]).nunique())
    return curve.step.to_numpy() / steps_per_epoch


def limits_of(values: pd.Series) -> tuple[float, float]:
    "From the smallest to the largest of the middle 96 % of the values, with a margin: one outlier hides nothing else."
    values = values.replace([np.inf, -np.inf], np.nan).dropna()
    if values.empty:
        return 0.0, 1.0
    low, high = np.quantile(values, [0.02, 0.98])
    low, high = max(values.min(), low - 0.6 * (high - low)), min(values.max(), high + 0.6 * (high - low))
    margin = 0.07 * (high - low) or 0.05
    return low - margin, high + margin


def _verdict_text(arm: pd.Series, reference: str) -> str:
    lost = [f"{arm[status]} {status}" for status in ("diverged", "failed") if arm[status]]
    if arm.schedule == reference:
        return ", ".join(["reference", *lost])
    shown = [] if pd.isna(arm["diff"]) else [f"{100 * arm['diff']:+.1f} points: {arm.verdict}"]
    return ", ".join([*shown, *lost])


def wrapped(text: str, width: int = 14) -> str:
    "`text` over several lines; a constructor call is broken after its bracket and its commas rather than anywhere."
    lines = [""]
    for part in re.findall(r"[^\s(,]*[(,]*\s*", text):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def _frame(ax) -> None:
    ax.spines[["top", "right"]].set_visible(False)
