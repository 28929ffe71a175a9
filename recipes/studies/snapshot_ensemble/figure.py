"""The figure of `lrlab snapshot-ensemble`: LRs, losses, scores of every model, and the loss plane with both paths."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.captions import if_shown, loss_name, workload_caption
from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.text import plural, show_share

STYLE = {"sgdr": ("#009E73", "-"), "cosine": ("#0072B2", "--"), "constant": ("#D55E00", "-.")}
COMBINED = ("ensemble", "average")  # models made of several snapshots


def draw(
    models: pd.DataFrame,
    summary: pd.DataFrame,
    epochs: pd.DataFrame,
    steps: dict,
    plane: list,
    config: dict,
    title: str,
) -> Figure:
    "Four panels. There is no plane if there were fewer than three cycles."
    fig = Figure(figsize=(13, 8.2), layout="constrained")
    (lr, scores), (loss, picture) = fig.subplots(2, 2, width_ratios=(1, 1.15))
    question, lr_max = config["question"], float(models.lr_max.iloc[0])
    _lrs(lr, steps, question, lr_max)
    _losses(loss, epochs[epochs.schedule.isin(list(steps))], question)
    loss.set_ylabel(loss_name(config))
    for ax in (lr, loss):
        ax.set(xlabel="epoch", xlim=(0, question["epochs"] * 1.01))
        style.plain(ax, whole_epochs=True)
    _scores(scores, models, summary)
    if plane:
        _plane(picture, *plane)
    else:
        picture.set_visible(False)
    of_plane = (
        f" Plane: seed {question['seeds'][0]}, with new batch-norm statistics at every point. A path leaves the plane, "
        "so its projection is drawn. One unit is the distance between the first two snapshots shown."
    )
    caption = (
        f"{workload_caption(config)}, {plural(question['epochs'], 'epoch')} each, lr_max {format_number(lr_max)}. "
        f"{if_shown(summary.accuracy_low, 'Bars: 95 % intervals over seeds. ')}Small dots: seeds. Points: "
        "differences to the cosine run, paired by seed. The ensemble averages the predictions of the snapshots, the "
        f"average their weights.{of_plane if plane else ''}"
    )
    style.frame(fig, title, caption)
    return fig


def _lrs(ax, steps: dict, question: dict, lr_max: float) -> None:
    for name, table in steps.items():
        colour, dash = STYLE[name]
        head = table[table.group == table.group.max()]
        per_epoch = table.step.nunique() / question["epochs"]
        ax.plot(head.step / per_epoch, head.lr, color=colour, ls=dash, lw=1.8, label=name)
    for end in _cycle_ends(question):
        ax.plot(end, 0, "v", color=STYLE["sgdr"][0], ms=8, clip_on=False)
    ax.set(title="learning rate; a triangle marks every snapshot", ylabel="learning rate")
    ax.set_ylim(top=1.2 * lr_max)
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.legend(fontsize=9, frameon=False, ncols=3, loc="upper center")


def _losses(ax, epochs: pd.DataFrame, question: dict) -> None:
    for name, own in epochs.groupby("schedule", sort=False):
        colour, dash = STYLE[name]
        mean = own.groupby("epoch").valid_loss.mean()
        ax.plot(mean.index, mean, color=colour, ls=dash, lw=1.8, marker="o", ms=3.5, label=name)
    for end in _cycle_ends(question):
        ax.axvline(end, color="#BBBBBB", lw=0.8, zorder=0)
    ax.set_title("validation loss, mean over seeds")
    ax.legend(fontsize=9, frameon=False)


def _cycle_ends(question: dict) -> np.ndarray:
    "In epochs."
    return np.arange(1, question["cycles"] + 1) * question["epochs"] / question["cycles"]


def _scores(ax, models: pd.DataFrame, summary: pd.DataFrame) -> None:
    for y, (_, row) in enumerate(summary.iterrows()):
        colour = "#000000" if row.model in COMBINED else STYLE.get(row.model, STYLE["sgdr"])[0]
        seeds = models[models.model == row.model].accuracy
        words = show_share(row.accuracy) + ("" if row.model == "cosine" else f", {100 * row['diff']:+.1f} points")
        style.dot_row(ax, y, seeds, row.accuracy, row.accuracy_low, row.accuracy_high, colour, words)
    ax.set_yticks(range(len(summary)), summary.model)
    ax.set(title="accuracy of every model", xlabel="validation accuracy")
    style.in_percent(ax.xaxis)
    style.dot_axes(ax, len(summary))


def _plane(ax, plane: pd.DataFrame, paths: pd.DataFrame) -> None:
    "Contours of the loss, the projections of both paths, the snapshots as triangles."
    table = plane.pivot(index="y", columns="x", values="valid_loss")
    top = np.nanquantile(table.to_numpy(), 0.85)
    levels = np.linspace(table.min().min(), top, 14)
    filled = ax.contourf(table.columns, table.index, np.clip(table, None, top), levels, cmap="Greys", extend="max")
    ax.figure.colorbar(filled, ax=ax, label="validation loss", ticks=levels[::3], format="%.3g")
    for name in ("sgdr", "constant"):
        own, (colour, dash) = paths[paths.schedule == name], STYLE[name]
        ax.plot(own.x, own.y, color=colour, ls=dash, marker="o", ms=3.5, lw=1.4, label=f"{name}, by epoch")
    corners = paths[paths.schedule == "snapshot"]
    ax.plot(corners.x, corners.y, "v", color=STYLE["sgdr"][0], mec="white", ms=12, label="snapshots")
    ax.set(xlim=(table.columns.min(), table.columns.max()), ylim=(table.index.min(), table.index.max()))
    ax.set(title="loss on the plane through the last three snapshots", xlabel="along the first two snapshots (units)")
    ax.set_ylabel("towards the third (units)")
    ax.legend(fontsize=8.5, loc="upper right")
