"""The figure of `lrlab one-cycle`: LRs, losses, accuracy and the confusion matrix of one run."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.captions import loss_name, workload_caption
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.text import plural

MOST_COUNTS = 20  # classes: with more of them the numbers in the matrix cannot be read


def draw(epochs: pd.DataFrame, steps: pd.DataFrame, confusion: pd.DataFrame | None, config: dict) -> Figure:
    "The LR of every group, the losses, what judges the run if it is not the loss, and the confusion matrix if any."
    measure = Measure.of_question(config["question"])
    count = 2 + (measure.name != "loss") + (confusion is not None)
    fig = Figure(figsize=(12, 7 if count == 4 else 4.2), layout="constrained")
    panels = iter(fig.subplots(*((2, 2) if count == 4 else (1, count))).flat)
    curves = [next(panels), next(panels)]
    _lr(curves[0], epochs, steps, config["groups"])
    _loss(curves[1], epochs, steps, loss_name(config))
    if measure.name != "loss":
        curves.append(next(panels))
        _measure(curves[-1], epochs, measure, majority(confusion, measure))
    for ax in curves:
        ax.set(xlabel="epoch", xlim=(0, len(epochs) + 0.1))
        style.plain(ax, whole_epochs=True)
    if confusion is not None:
        confusion_matrix(next(panels), confusion)
    question, last = config["question"], measure.with_unit(epochs[measure.column()].iloc[-1])
    what = last if measure.name == "accuracy" else f"{measure.label} {last}"
    reached = f"reaches {what} after {plural(len(epochs), 'epoch')}"
    if not np.isfinite(epochs.valid_loss.iloc[-1]):
        reached = "diverged"
    title = f"{question['arch']} {reached} at lr_max {config['lr_max']}"
    note = f"{workload_caption(config)}, one run (seed {question['seed']}): no interval. fastai's fit_one_cycle."
    style.frame(fig, title, note)
    return fig


def majority(confusion: pd.DataFrame | None, measure: Measure) -> float | None:
    "The accuracy of always answering the most frequent class; None where it is unknown, or accuracy does not judge."
    if confusion is None or measure.name != "accuracy":
        return None
    counts = confusion.to_numpy().sum(1)
    return float(counts.max() / counts.sum())


def _lr(ax, epochs: pd.DataFrame, steps: pd.DataFrame, groups: list[str]) -> None:
    per_epoch = steps.step.nunique() / len(epochs)
    for name, (group, part) in zip(groups, steps.groupby("group"), strict=True):
        colour, dash = list(style.style_of(groups).values())[int(group)]
        ax.plot(part.step / per_epoch, part.lr, color=colour, ls=dash, label=name)
    ax.set(yscale="log", title="learning rate" + " of every layer group" * (len(groups) > 1), ylabel="learning rate")
    if len(groups) > 1:
        ax.legend(fontsize=8.5, frameon=False, loc="lower left")


def _loss(ax, epochs: pd.DataFrame, steps: pd.DataFrame, name: str) -> None:
    head, per_epoch = steps[steps.group == steps.group.max()], steps.step.nunique() / len(epochs)
    ax.plot(head.step / per_epoch, head.loss, color=style.OTHERS, lw=0.9, label="training, every step")
    mean = {"color": style.COLOURS[0], "ms": 4, "label": "training, mean of the epoch"}
    ax.plot(epochs.epoch, epochs.train_loss, "s--", **mean)
    ax.plot(epochs.epoch, epochs.valid_loss, "o-", color=style.COLOURS[2], ms=5, label="validation")
    ax.set(title="loss", ylabel=name)
    ax.legend(fontsize=8.5, frameon=False)


def _measure(ax, epochs: pd.DataFrame, measure: Measure, of_majority: float | None) -> None:
    ax.plot(epochs.epoch, epochs[measure.column()], "o-", color=style.COLOURS[1])
    if of_majority is not None:
        ax.axhline(of_majority, color=style.LINE, lw=1, ls=":")
        ax.text(0.02, of_majority, "always the most frequent class", fontsize=8.5, va="bottom", color=style.SOFT)
    ax.margins(y=0.12)
    ax.set_title(f"validation {measure.label}")
    if measure.is_share:
        style.in_percent(ax.yaxis)


def confusion_matrix(ax, confusion: pd.DataFrame) -> None:
    "Counts, shaded by the share of the true class. With more than MOST_COUNTS classes the shades must do."
    counts, n = confusion.to_numpy(), len(confusion)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(n) if n <= MOST_COUNTS else range(0, n, n // 10)
    ax.set_xticks(ticks, [str(confusion.columns[i])[:16] for i in ticks], rotation=45 if n > 4 else 0)
    ax.set_yticks(ticks, [str(confusion.index[i])[:16] for i in ticks])
    ax.set(title="validation: true and predicted class", xlabel="predicted", ylabel="true")
    if n <= MOST_COUNTS:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.55 else "black"
            ax.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9.5)
