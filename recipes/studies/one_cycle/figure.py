"""The figure of `lrlab one-cycle`: LRs, losses, accuracy and the confusion matrix of one run."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from lrlab.recipes.kitchen.figures import plots


def draw(epochs: pd.DataFrame, steps: pd.DataFrame, confusion: pd.DataFrame, config: dict) -> Figure:
    "The LR of every group, the losses, the accuracy and the confusion matrix of one run."
    groups, per_epoch = config["groups"], steps.step.nunique() / len(epochs)
    fig = Figure(figsize=(12, 7.6))
    (lr, loss), (accuracy, matrix) = fig.subplots(2, 2)
    for group, part in steps.groupby("group"):
        colour = plots.COLOURS[int(group) % len(plots.COLOURS)]
        lr.plot(part.step / per_epoch, part.lr, color=colour, ls=plots.DASHES[int(group) % 8], label=groups[int(group)])
    lr.set(yscale="log", title="learning rate of every layer group", ylabel="learning rate")
    lr.legend(fontsize=8.5, frameon=False, loc="lower left")
    head = steps[steps.group == steps.group.max()]
    loss.plot(head.step / per_epoch, head.loss, color=plots.OTHERS, lw=0.9, label="training, every step")
    loss.plot(epochs.epoch, epochs.train_loss, "s--", color=plots.COLOURS[0], ms=4, label="training, mean of the epoch")
    loss.plot(epochs.epoch, epochs.valid_loss, "o-", color=plots.COLOURS[2], ms=5, label="validation")
    loss.set(title="loss", ylabel="cross-entropy")
    loss.legend(fontsize=8.5, frameon=False)
    accuracy.plot(epochs.epoch, epochs.accuracy, "o-", color=plots.COLOURS[1])
    majority = config["data"]["majority"]
    accuracy.axhline(majority, color="#888888", lw=1, ls=":")
    accuracy.text(0, majority, " always the most frequent class", fontsize=8.5, va="bottom", color="#555555")
    accuracy.set(title="validation accuracy", xlim=(0, len(epochs) + 0.1))
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    for ax in (lr, loss, accuracy):
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.spines[["top", "right"]].set_visible(False)
    confusion_matrix(matrix, confusion)
    best = epochs.accuracy.iloc[-1]
    title = f"{config['question']['arch']} reaches {best:.1%} after {len(epochs)} epochs at lr_max = {config['lr_max']}"
    fig.suptitle(title, fontsize=14, fontweight="bold", x=0.02, ha="left")
    data = config["data"]
    note = f"{data['title']}, {data['images']['train']} training and {data['images']['valid']} validation images of "
    note += f"{data['size']} px, one run (seed {config['question']['seed']}): no interval. fastai's fit_one_cycle."
    fig.text(0.02, 0.01, note, fontsize=8.5, color="#444444")
    fig.tight_layout(rect=(0, 0.03, 1, 1))
    return fig


def confusion_matrix(ax, confusion: pd.DataFrame) -> None:
    "Counts, shaded by the share of the true class; the numbers are left out beyond twenty classes."
    counts = confusion.to_numpy()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(confusion)) if len(confusion) <= 20 else range(0, len(confusion), len(confusion) // 10)
    ax.set_xticks(ticks, [str(confusion.columns[i])[:16] for i in ticks], rotation=45 if len(confusion) > 4 else 0)
    ax.set_yticks(ticks, [str(confusion.index[i])[:16] for i in ticks])
    ax.set(title="validation images by class", xlabel="predicted", ylabel="true")
    if len(confusion) <= 20:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.55 else "black"
            ax.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9.5)
