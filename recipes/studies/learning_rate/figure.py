"""The figure of `lrlab learning-rate`: one column an arm; training loss by step, validation loss, accuracy."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.captions import workload_caption
from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.text import plural

SMOOTH = 0.9  # share of the past in the running mean of the training loss


def draw(
    runs: pd.DataFrame, epochs: pd.DataFrame, steps: dict, summary: pd.DataFrame, config: dict, guess: float, title: str
) -> Figure:
    "Every seed is a line. The axes of a row are shared, so that the columns can be compared."
    arms = list(summary.arm)
    look = style.style_of(arms)
    fig = Figure(figsize=(13, 7.6), layout="constrained")
    axes = fig.subplots(3, len(arms), sharey="row", squeeze=False)
    for column, arm in zip(axes.T, summary.itertuples(), strict=True):
        colour = look[arm.arm][0]
        for run in runs[runs.schedule == arm.arm].itertuples():
            _run(column, steps[run.run_id], epochs[epochs.run_id == run.run_id], colour)
        length = f"LR {format_number(float(arm.lr))}, {plural(arm.epochs, 'epoch')}"
        words = {"fontsize": 10.5, "fontweight": "bold", "color": style.text_colour(colour)}
        column[0].set_title(f"{arm.arm}\n{length}\n{arm.diagnosis}", **words)
        for ax, level in zip(column, (guess, guess, config["data"]["majority"]), strict=True):
            ax.set_xlim(0, arm.epochs * 1.02)
            ax.axhline(level, color=style.LINE, ls=":", lw=1)
            style.plain(ax, whole_epochs=True)
        column[2].set_xlabel("epoch")
    _set_limits(axes[:, 0], epochs, steps, guess, config["data"]["majority"])
    for ax in axes[1]:
        _mark_higher(ax)
    axes[0, 0].set_ylabel("training loss by step,\nsmoothed (cross-entropy)")
    axes[1, 0].set_ylabel("validation loss\n(cross-entropy)")
    axes[2, 0].set_ylabel("validation accuracy")
    axes[2, 0].yaxis.set_major_formatter(PercentFormatter(1))
    caption = (
        f"{workload_caption(config)}, from scratch, constant LR, fastai's Adam. One line per seed. Dotted: guessing "
        "with the shares of the classes, and always answering the most frequent class. A fixed rule on these curves "
        "chooses the word above each column (the terminal prints it). Triangles: higher losses."
    )
    style.frame(fig, title, caption)
    return fig


def _run(axes, steps: pd.DataFrame, epochs: pd.DataFrame, colour: str) -> None:
    loss, valid, accuracy = axes
    per_epoch = steps.step.nunique() / max(steps.epoch.nunique(), 1)
    loss.plot(steps.step / per_epoch, smooth(steps.loss), color=colour, lw=1, alpha=0.75)
    line = {"color": colour, "lw": 1.3, "marker": "o" if len(epochs) < 3 else None, "ms": 4, "alpha": 0.8}
    valid.plot(epochs.epoch, epochs.valid_loss, **line)
    accuracy.plot(epochs.epoch, epochs.accuracy, **line)


def smooth(losses: pd.Series) -> pd.Series:
    "The running mean with the bias of its start removed."
    return losses.ewm(alpha=1 - SMOOTH, adjust=True).mean()


def _set_limits(axes, epochs: pd.DataFrame, steps: dict, guess: float, majority: float) -> None:
    "Limits that one exploding run does not take from the others. They hold the level of guessing."
    smoothed = pd.concat([smooth(own.loss) for own in steps.values()])
    for ax, values in ((axes[0], smoothed), (axes[1], epochs.valid_loss)):
        values = values.astype(float)
        low, high = style.limits_of(values[values < 3 * guess])
        ax.set_ylim(max(0.0, min(low, 0.95 * guess)), max(high, 1.1 * guess))
    low, high = style.limits_of(epochs.accuracy)
    axes[2].set_ylim(max(0.0, min(low, majority - 0.02)), min(1.005, high + 0.02))


def _mark_higher(ax) -> None:
    "Triangles at the upper edge, where a validation loss lies above it."
    top = ax.get_ylim()[1]
    for line in [line for line in ax.lines if line.get_linestyle() != ":"]:
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        is_above = y > top
        if is_above.any():  # an empty line that is not clipped would confuse the layout
            ax.plot(x[is_above], np.full(is_above.sum(), top), "^", color=line.get_color(), ms=6, clip_on=False)
