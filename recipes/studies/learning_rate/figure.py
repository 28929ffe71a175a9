"""The figure of `lrlab learning-rate`: one column an arm; training loss by step, validation loss, accuracy."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lrlab.recipes.kitchen.figures import canvas, plots

SMOOTH = 0.9  # share of the past in the running mean of the training loss


def draw(
    runs: pd.DataFrame, epochs: pd.DataFrame, steps: dict, summary: pd.DataFrame, config: dict, guess: float, title: str
) -> Figure:
    "Every seed is a line; the axes of a row are shared, so that the columns can be compared."
    arms = list(summary.arm)
    fig = Figure(figsize=(13, 8.6))
    axes = fig.subplots(3, len(arms), sharey="row", squeeze=False)
    style = plots.style_of(arms)
    for column, (arm, row) in enumerate(zip(arms, summary.itertuples(), strict=True)):
        loss, valid, accuracy = axes[:, column]
        colour = style[arm][0]
        for run in runs[runs.schedule == arm].itertuples():
            own, table = steps[run.run_id], epochs[epochs.run_id == run.run_id]
            per_epoch = own.step.nunique() / max(own.epoch.nunique(), 1)
            loss.plot(own.step / per_epoch, smooth(own.loss), color=colour, lw=1, alpha=0.75)
            marker = "o" if len(table) < 3 else None
            valid.plot(table.epoch, table.valid_loss, color=colour, lw=1.3, marker=marker, ms=4, alpha=0.8)
            accuracy.plot(table.epoch, table.accuracy, color=colour, lw=1.3, marker=marker, ms=4, alpha=0.8)
        heading = f"{arm}\nLR {float(row.lr):g}, {row.epochs} epoch{'s' * bool(row.epochs > 1)}\n{row.diagnosis}"
        loss.set_title(heading, fontsize=10.5, fontweight="bold", color=colour)
        for ax in axes[:, column]:
            ax.set_xlim(0, row.epochs * 1.02)
            canvas.plain(ax, whole_epochs=True)
        for ax in (loss, valid):
            ax.axhline(guess, color="#777777", ls=":", lw=1)
        accuracy.axhline(config["data"]["majority"], color="#777777", ls=":", lw=1)
        accuracy.set_xlabel("epoch")
    _frame_rows(axes, epochs, steps, guess)
    axes[0, 0].set_ylabel("training loss by step,\nsmoothed (cross-entropy)")
    axes[1, 0].set_ylabel("validation loss\n(cross-entropy)")
    axes[2, 0].set_ylabel("validation accuracy")
    axes[2, 0].yaxis.set_major_formatter(PercentFormatter(1))
    data, question = config["data"], config["question"]
    caption = (
        f"{data['title']}, {data['images']['train']} training and {data['images']['valid']} validation images of "
        f"{data['size']} px, {question['arch']} from scratch, batch size {question['bs']}, constant LR, fastai's Adam; "
        f"one line a seed, n = {int(summary.n.max())}. Dotted: guessing with the shares of the classes, and always the "
        "most frequent class. The word above each column follows a fixed rule on these curves (printed with the table)."
    )
    canvas.titled(fig, title, caption)
    return fig


def smooth(losses: pd.Series) -> pd.Series:
    "The running mean with the bias of its start removed."
    return losses.ewm(alpha=1 - SMOOTH, adjust=True).mean()


def _frame_rows(axes, epochs: pd.DataFrame, steps: dict, guess: float) -> None:
    "Limits that one exploding run does not take from the others."
    smoothed = pd.concat([smooth(own.loss) for own in steps.values()])
    for ax, values in ((axes[0, 0], smoothed), (axes[1, 0], epochs.valid_loss)):
        finite = values[np.isfinite(values.astype(float))]  # of no run at all, they are objects
        top = max(min(finite.max(), 3 * guess), 1.3 * guess) if len(finite) else 2 * guess
        ax.set_ylim(0, 1.05 * top)
    low = min(epochs.accuracy.min(), 0.95) if len(epochs) else 0.0
    axes[2, 0].set_ylim(max(0.0, low - 0.03), min(1.005, epochs.accuracy.max() + 0.04) if len(epochs) else 1.0)
