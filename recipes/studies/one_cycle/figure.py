"""The figure of `lrlab one-cycle`: LRs, losses, accuracy and the confusion matrix of one run."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.captions import workload_caption
from lrlab.recipes.kitchen.text import plural

MOST_COUNTS = 20  # classes: with more of them the numbers in the matrix cannot be read


def draw(epochs: pd.DataFrame, steps: pd.DataFrame, confusion: pd.DataFrame, config: dict) -> Figure:
    "The LR of every group, the losses, the accuracy and the confusion matrix of one run."
    fig = Figure(figsize=(12, 7), layout="constrained")
    (lr, loss), (accuracy, matrix) = fig.subplots(2, 2)
    groups, per_epoch = config["groups"], steps.step.nunique() / len(epochs)
    for name, (group, part) in zip(groups, steps.groupby("group"), strict=True):
        colour, dash = list(style.style_of(groups).values())[int(group)]
        lr.plot(part.step / per_epoch, part.lr, color=colour, ls=dash, label=name)
    lr.set(yscale="log", title="learning rate" + " of every layer group" * (len(groups) > 1), ylabel="learning rate")
    if len(groups) > 1:
        lr.legend(fontsize=8.5, frameon=False, loc="lower left")
    head = steps[steps.group == steps.group.max()]
    loss.plot(head.step / per_epoch, head.loss, color=style.OTHERS, lw=0.9, label="training, every step")
    mean = {"color": style.COLOURS[0], "ms": 4, "label": "training, mean of the epoch"}
    loss.plot(epochs.epoch, epochs.train_loss, "s--", **mean)
    loss.plot(epochs.epoch, epochs.valid_loss, "o-", color=style.COLOURS[2], ms=5, label="validation")
    loss.set(title="loss", ylabel="cross-entropy")
    loss.legend(fontsize=8.5, frameon=False)
    accuracy.plot(epochs.epoch, epochs.accuracy, "o-", color=style.COLOURS[1])
    majority = config["data"]["majority"]
    accuracy.axhline(majority, color=style.LINE, lw=1, ls=":")
    accuracy.text(0.02, majority, "always the most frequent class", fontsize=8.5, va="bottom", color=style.SOFT)
    accuracy.margins(y=0.12)
    accuracy.set(title="validation accuracy", xlim=(0, len(epochs) + 0.1))
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    for ax in (lr, loss, accuracy):
        ax.set_xlabel("epoch")
        style.plain(ax, whole_epochs=True)
    confusion_matrix(matrix, confusion)
    question, last = config["question"], epochs.accuracy.iloc[-1]
    title = f"{question['arch']} reaches {last:.1%} after {plural(len(epochs), 'epoch')} at lr_max = {config['lr_max']}"
    note = f"{workload_caption(config)}, one run (seed {question['seed']}): no interval. fastai's fit_one_cycle."
    style.frame(fig, title, note)
    return fig


def confusion_matrix(ax, confusion: pd.DataFrame) -> None:
    "Counts, shaded by the share of the true class. With more than MOST_COUNTS classes the shades must do."
    counts, n = confusion.to_numpy(), len(confusion)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(n) if n <= MOST_COUNTS else range(0, n, n // 10)
    ax.set_xticks(ticks, [str(confusion.columns[i])[:16] for i in ticks], rotation=45 if n > 4 else 0)
    ax.set_yticks(ticks, [str(confusion.index[i])[:16] for i in ticks])
    ax.set(title="validation images by class", xlabel="predicted", ylabel="true")
    if n <= MOST_COUNTS:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.55 else "black"
            ax.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9.5)
