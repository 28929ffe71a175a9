"""The figure of `lrlab best`: what the time went into, which classes are confused, and the worst errors."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.thumbnails import pixels_of
from lrlab.recipes.kitchen.text import shorten
from lrlab.recipes.studies.best.journal import Step

MOST_NAMED = 20  # classes whose names and counts are written into the matrix
SHOWN_ERRORS = 12


def draw(steps: list[Step], test: pd.DataFrame, worst: list[dict], config: dict, title: str) -> Figure:
    "Steps and confusion matrix above, pictures below if anything is wrong."
    fig = Figure(figsize=(13, 7.6 if worst else 5.2), layout="constrained")
    above, below = fig.subfigures(2, 1, height_ratios=(1.9, 1)) if worst else (fig, None)
    timeline, matrix = above.subplots(1, 2, width_ratios=(1.2, 1))
    draw_timeline(timeline, steps, config["question"]["minutes"])
    _matrix(matrix, confusion(test))
    if below is not None:
        _errors(below, worst[:SHOWN_ERRORS])
    question, data = config["question"], config["data"]
    parts = ", ".join(f"{config['parts'][name]:,} {name}" for name in ("train", "valid", "test"))
    caption = (
        f"{data.get('title') or data['name']}: {parts} images of {data['size']} px, {question['arch']}, seed "
        f"{question['seed']}. Test images: {config['test_from']}. Accuracies in the steps are of validation images."
    )
    style.frame(fig, title, caption)
    return fig


def draw_steps(steps: list[Step], minutes: float, title: str, caption: str) -> Figure:
    "What the time went into, alone."
    fig = Figure(figsize=(9, 4.6), layout="constrained")
    draw_timeline(fig.subplots(), steps, minutes)
    style.frame(fig, title, caption)
    return fig


def confusion(test: pd.DataFrame) -> pd.DataFrame:
    "How many images of every class (rows) were taken for which class (columns)."
    classes = sorted({*test.label, *test.predicted})
    table = pd.crosstab(test.label, test.predicted)
    return table.reindex(index=classes, columns=classes, fill_value=0)


def draw_timeline(ax: Axes, steps: list[Step], minutes: float) -> None:
    "One bar for every step, from its start to its end."
    start = 0.0
    for y, step in enumerate(steps):
        ax.barh(y, step.seconds, left=start, color=style.COLOURS[1 + y % 5], height=0.5)
        ax.text(
            0, y - 0.34, f"{step.name}, {step.seconds:.0f} s: {shorten(step.decision, 68)}", fontsize=8.5, va="bottom"
        )
        start += step.seconds
    ax.axvline(60 * minutes, color=style.LINE, ls=":", lw=1.2)
    ax.text(
        60 * minutes, len(steps) - 0.45, f"{minutes:g} min ", fontsize=8.5, color=style.SOFT, ha="right", va="bottom"
    )
    ax.set(title="what the time went into", xlabel="seconds", yticks=[], ylim=(len(steps) - 0.4, -0.9))
    ax.set_xlim(0, max(60 * minutes, start) * 1.01)
    style.plain(ax)
    ax.spines["left"].set_visible(False)


def _matrix(ax: Axes, counts: pd.DataFrame) -> None:
    "Shares of every row in grey, counts as numbers."
    shares = counts.to_numpy() / np.maximum(counts.sum(axis=1).to_numpy(), 1)[:, None]
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    n = len(counts)
    ax.set(title="the test images by class", xlabel="answer of the model", ylabel="right class")
    if n > MOST_NAMED:
        ax.set(xlabel="answer of the model (classes by name)", ylabel="right class (by name)", xticks=[], yticks=[])
        return
    names = [shorten(name, 14) for name in counts.index]
    ax.set_xticks(range(n), names, rotation=0 if n <= 4 else 60, ha="center" if n <= 4 else "right", fontsize=8.5)
    ax.set_yticks(range(n), names, fontsize=8.5)
    for y, x in np.argwhere(counts.to_numpy() > 0):
        colour = "white" if shares[y, x] > 0.6 else "black"
        ax.text(x, y, f"{counts.to_numpy()[y, x]}", ha="center", va="center", color=colour, fontsize=8.5)


def _errors(fig, worst: list[dict]) -> None:
    fig.suptitle("wrong and most sure of it: the right class, and the answer with its probability", fontsize=11)
    axes = fig.subplots(1, SHOWN_ERRORS, squeeze=False)[0]
    for ax in axes:
        ax.set_axis_off()
    for ax, row in zip(axes, worst, strict=False):
        ax.imshow(pixels_of(row["picture"]), cmap="gray")
        words = f"{shorten(row['label'], 15)},\nnot {shorten(row['predicted'], 12)}\n({100 * row['probability']:.0f} %)"
        ax.set_title(words, fontsize=7.5)
