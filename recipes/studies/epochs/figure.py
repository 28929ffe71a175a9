"""The figure of `lrlab epochs`: the measure against the number of epochs, and the LRs of trunk and cooldowns."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.captions import if_shown, workload_caption
from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.stats.intervals import mean_interval
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.stats.summary import judged, measured_on
from lrlab.recipes.kitchen.text import plural
from lrlab.recipes.studies.epochs.enough import COOLDOWN

BLUE, ORANGE = style.COLOURS[1], style.COLOURS[2]
ASIDE = 1.07  # the factor by which the schedule beside a cooldown stands to its right


def draw(
    runs: pd.DataFrame,
    table: pd.DataFrame,
    other: pd.DataFrame,
    steps: dict[int, pd.DataFrame],
    config: dict,
    title: str,
    enough: int | None,
) -> Figure:
    "`table` is that of `judge_budgets`, `other` that of `beside`; `steps` holds those of one run for each budget."
    fig = Figure(figsize=(12, 4.6), layout="constrained")
    values, lrs = fig.subplots(1, 2, width_ratios=(1.7, 1))
    question = config["question"]
    measure = Measure.of_question(question)
    runs = runs.assign(value=judged(runs, measure.judge))
    _values(values, runs, table, measure, question.get("tolerance"))
    _beside(values, runs, other, measure, bool(question.get("tuning")))
    _mark(values, table, enough)
    on = measured_on(runs, measure.judge)
    values.set(xlabel="epochs of the run (log scale)", ylabel=f"{on} {measure.label}")
    values.legend(fontsize=9, frameon=False, loc="upper right" if measure.lower_is_better else "lower right")
    _lrs(lrs, steps, config["steps_per_epoch"])
    style.frame(fig, title, caption(config, runs, table))
    return fig


def caption(config: dict, runs: pd.DataFrame, table: pd.DataFrame) -> str:
    "Data, model, n, the schedule with its LR, and how to read the figure."
    question, lr = config["question"], runs[runs.schedule == COOLDOWN].lr_max.iloc[0]
    tolerated = Measure.of_question(question).tolerance_words(question.get("tolerance"))
    chosen = "untuned"
    if question.get("tuning"):
        at = plural(question["tuned_at"][-1], "epoch")
        chosen = f"tuned at {at} over {', '.join(config['tuned']['grid'])}"
    diverged = int((runs.status == "diverged").sum())
    lost = f" {plural(diverged, 'run')} diverged." if diverged else ""
    return (
        f"{workload_caption(config)}. One trunk a seed with a constant LR, and a cooldown (1-sqrt, the last fifth) for "
        f"each number of epochs: {question['schedule']}, lr_max {lr} for all, {chosen}. "
        f"{if_shown(table.low, 'Bars: 95 % intervals over seeds. ')}Small marks: seeds. Grey: within {tolerated} of "
        f"the best mean. Decided by a multiple comparison with the best, paired by seed.{lost}"
    )


def _values(ax: Axes, runs: pd.DataFrame, table: pd.DataFrame, measure: Measure, tolerance: float | None) -> None:
    "Mean, interval and seeds of every budget, and the tolerance as a band at the best mean."
    best = table[table.verdict == "best"]["mean"]
    if best.notna().any():
        margin = measure.margin(tolerance, best.iloc[0])
        ends = (0, margin) if measure.lower_is_better else (-margin, 0)
        ax.axhspan(*(best.iloc[0] + end for end in ends), color=style.OTHERS, alpha=0.3, lw=0, zorder=0)
    own = runs[(runs.schedule == COOLDOWN) & runs.value.notna()]
    ax.plot(own.budget / ASIDE, own.value, "o", ms=3.5, color=BLUE, alpha=0.4, mew=0)
    ax.vlines(table.budget, table.low, table.high, color=BLUE, lw=2.2)
    ax.plot(table.budget, table["mean"], "o-", color=BLUE, lw=1.6, ms=7, mec="white", label="cooldown from the trunk")
    style.budget_axis(ax, table.budget)
    ax.set_xlim(table.budget.min() / 1.3, table.budget.max() * 1.3)
    low, high = style.limits_of(pd.concat([runs.value, table.low, table.high]))
    ax.set_ylim((max(low, -0.02), min(high, 1.02)) if measure.is_share else (low, high))
    if measure.is_share:
        style.in_percent(ax.yaxis)
    style.plain(ax)


def _beside(ax: Axes, runs: pd.DataFrame, other: pd.DataFrame, measure: Measure, is_tuned: bool) -> None:
    "The schedule that was trained for some budgets alone: mean, interval and seeds, beside the cooldown."
    for i, row in enumerate(other.itertuples()):
        seeds = runs[(runs.schedule == row.schedule) & (runs.budget == row.budget)].value.dropna()
        x, (mean, low, high) = row.budget * ASIDE, mean_interval(seeds)
        label = f"{row.schedule}, {'tuned' if is_tuned else 'untuned'}, a separate run" if i == 0 else None
        ax.plot(np.full(len(seeds), x * ASIDE), seeds, "D", ms=3, color=ORANGE, alpha=0.4, mew=0)
        ends = [max(low, 0.0), min(high, 1.0)] if measure.is_share else [low, high]
        ax.plot([x, x], ends, color=ORANGE, lw=2.2)
        ax.plot(x, mean, "D", color=ORANGE, ms=7, mec="white", label=label)


def _mark(ax: Axes, table: pd.DataFrame, enough: int | None) -> None:
    "A ring around the budget that is enough."
    found = table[table.budget == enough]
    if len(found):
        ax.plot(found.budget, found["mean"], "o", ms=15, mfc="none", mec=BLUE, mew=1.8, label="enough")


def _lrs(ax: Axes, steps: dict[int, pd.DataFrame], steps_per_epoch: int) -> None:
    "The LR of the last layer group in one run for each budget: they differ in their cooldowns alone."
    peak = 0.0
    for budget, table in sorted(steps.items(), reverse=True):
        head = table[table.group == table.group.max()]
        ax.plot(head.step / steps_per_epoch, head.lr, color=BLUE, lw=1.6)
        top, at = head.lr.max(), head.step[head.lr == head.lr.max()].iloc[-1]
        place = {"xytext": (0, 3), "textcoords": "offset points", "ha": "center", "va": "bottom"}
        ax.annotate(str(budget), (at / steps_per_epoch, top), fontsize=9, **place)
        peak = max(peak, top)
    ax.set(xlabel="epoch", ylabel="learning rate", ylim=(0, 1.1 * peak or 1))
    ax.set_title("the trunk and its cooldowns, by length", fontsize=10.5)
    ax.set_yticks([0, peak], ["0", format_number(float(f"{peak:.2g}")) if peak else ""])
    style.plain(ax, whole_epochs=True)
