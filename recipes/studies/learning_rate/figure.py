"""The figure of `lrlab learning-rate`: one column an arm; training loss, validation loss, what judges."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.captions import loss_name, workload_caption
from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.text import plural

SMOOTH = 0.9  # share of the past in the running mean of the training loss


def draw(
    runs: pd.DataFrame, epochs: pd.DataFrame, steps: dict, summary: pd.DataFrame, config: dict, guess: float, title: str
) -> Figure:
    "Every seed is a line. The axes of a row are shared, so that the columns can be compared."
    arms, measure = list(summary.arm), Measure.of_question(config["question"])
    levels = (guess, guess, config["data"].get("majority"))[: 2 + (measure.name != "loss")]
    look = style.style_of(arms)
    fig = Figure(figsize=(13, 7.6), layout="constrained")
    axes = fig.subplots(len(levels), len(arms), sharey="row", squeeze=False)
    for column, arm in zip(axes.T, summary.itertuples(), strict=True):
        colour = look[arm.arm][0]
        for run in runs[runs.schedule == arm.arm].itertuples():
            _run(column, steps[run.run_id], epochs[epochs.run_id == run.run_id], measure, colour)
        length = f"LR {format_number(float(arm.lr))}, {plural(arm.epochs, 'epoch')}"
        words = {"fontsize": 10.5, "fontweight": "bold", "color": style.text_colour(colour)}
        column[0].set_title(f"{arm.arm}\n{length}\n{arm.diagnosis}", **words)
        for ax, level in zip(column, levels, strict=True):
            ax.set_xlim(0, arm.epochs * 1.02)
            if level is not None:
                ax.axhline(level, color=style.LINE, ls=":", lw=1)
            style.plain(ax, whole_epochs=True)
        column[-1].set_xlabel("epoch")
    _set_limits(axes[:, 0], epochs, steps, measure, guess, config["data"].get("majority"))
    for ax in axes[1]:
        _mark_higher(ax)
    unit = "" if loss_name(config) == "loss" else f"({loss_name(config)})"
    axes[0, 0].set_ylabel(f"training loss by step,\nsmoothed {unit}".rstrip())
    axes[1, 0].set_ylabel(f"validation loss\n{unit}".rstrip())
    if measure.name != "loss":
        axes[2, 0].set_ylabel(f"validation {measure.label}")
    if measure.is_share:
        style.in_percent(axes[2, 0].yaxis)
    style.frame(fig, title, _caption(config))
    return fig


def _caption(config: dict) -> str:
    is_own = "learner" in config["question"]
    start = "" if config["question"].get("scratch") else ", from scratch"
    optimizer = "" if config["question"].get("opt") else ", fastai's Adam"
    how = "constant LR" if is_own else f"constant LR{start}{optimizer}"
    dotted = (
        "the best constant answer"
        if is_own
        else "guessing with the shares of the classes, and always answering the most frequent class"
    )
    return (
        f"{workload_caption(config)}, {how}. One line per seed. Dotted: {dotted}. A fixed rule on these curves "
        "chooses the word above each column (the terminal prints it). Triangles: higher losses."
    )


def _run(axes, steps: pd.DataFrame, epochs: pd.DataFrame, measure: Measure, colour: str) -> None:
    per_epoch = steps.step.nunique() / max(steps.epoch.nunique(), 1)
    axes[0].plot(steps.step / per_epoch, smooth(steps.loss), color=colour, lw=1, alpha=0.75)
    line = {"color": colour, "lw": 1.3, "marker": "o" if len(epochs) < 3 else None, "ms": 4, "alpha": 0.8}
    axes[1].plot(epochs.epoch, epochs.valid_loss, **line)
    if measure.name != "loss":
        axes[2].plot(epochs.epoch, epochs[measure.column()], **line)


def smooth(losses: pd.Series) -> pd.Series:
    "The running mean with the bias of its start removed."
    return losses.ewm(alpha=1 - SMOOTH, adjust=True).mean()


def _set_limits(
    axes, epochs: pd.DataFrame, steps: dict, measure: Measure, guess: float, majority: float | None
) -> None:
    "Limits that one exploding run does not take from the others. They hold the level of guessing."
    smoothed = pd.concat([smooth(own.loss) for own in steps.values()])
    for ax, values in ((axes[0], smoothed), (axes[1], epochs.valid_loss)):
        values = values.astype(float)
        low, high = style.limits_of(values[values < 3 * guess])
        least = 0.0 if values.min() >= 0 else -np.inf
        ax.set_ylim(max(least, min(low, 0.95 * guess)), max(high, 1.1 * guess))
    if measure.name == "loss":
        return
    low, high = style.limits_of(epochs[measure.column()])
    if measure.is_share:
        low, high = max(0.0, low if majority is None else min(low, majority - 0.02)), min(1.005, high + 0.02)
    axes[2].set_ylim(low, high)


def _mark_higher(ax) -> None:
    "Triangles at the upper edge, where a validation loss lies above it."
    top = ax.get_ylim()[1]
    for line in [line for line in ax.lines if line.get_linestyle() != ":"]:
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        is_above = y > top
        if is_above.any():  # an empty line that is not clipped would confuse the layout
            ax.plot(x[is_above], np.full(is_above.sum(), top), "^", color=line.get_color(), ms=6, clip_on=False)
