"""The figure of `lrlab snapshot-ensemble`: LRs, losses, scores of every model, and the loss plane with both paths."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lrlab.recipes.kitchen.figures import canvas

STYLE = {"sgdr": ("#009E73", "-"), "cosine": ("#0072B2", "--"), "constant": ("#D55E00", "-.")}


def draw(
    models: pd.DataFrame,
    summary: pd.DataFrame,
    epochs: pd.DataFrame,
    steps: dict,
    plane: list,
    config: dict,
    title: str,
) -> Figure:
    "Four panels; the plane is left out where there were fewer than three cycles."
    fig = Figure(figsize=(13, 9))
    (lr, scores), (loss, picture) = fig.subplots(2, 2, width_ratios=(1, 1.15))
    data, question = config["data"], config["question"]
    for name, table in steps.items():
        per_epoch = table.step.nunique() / question["epochs"]
        head = table[table.group == table.group.max()]
        lr.plot(head.step / per_epoch, head.lr, color=STYLE[name][0], ls=STYLE[name][1], lw=1.8, label=name)
        mean = epochs[epochs.schedule == name].groupby("epoch").valid_loss.mean()
        loss.plot(mean.index, mean, color=STYLE[name][0], ls=STYLE[name][1], lw=1.8, marker="o", ms=3.5, label=name)
    for end in np.arange(1, question["cycles"] + 1) * question["epochs"] / question["cycles"]:
        loss.axvline(end, color="#BBBBBB", lw=0.8, zorder=0)
        lr.plot(end, 0, "v", color=STYLE["sgdr"][0], ms=8, clip_on=False)
    lr.set(title="learning rate; a triangle marks every snapshot", xlabel="epoch", ylabel="learning rate")
    loss.set(title="validation loss, mean over seeds", xlabel="epoch", ylabel="cross-entropy")
    for ax in (lr, loss):
        ax.set_xlim(0, question["epochs"] * 1.01)
        canvas.plain(ax, whole_epochs=True)
    lr.set_ylim(top=1.2 * question["lr_max"])
    lr.legend(fontsize=9, frameon=False, ncols=3, loc="upper center")
    loss.legend(fontsize=9, frameon=False)
    _scores(scores, models, summary)
    if plane:
        _plane(picture, *plane)
    else:
        picture.set_visible(False)
    caption = (
        f"{data['title']}, {data['images']['train']} training and {data['images']['valid']} validation images of "
        f"{data['size']} px, {question['arch']}, {question['epochs']} epochs each, lr_max {question['lr_max']:g}, "
        f"{len(question['seeds'])} seeds. Bars: 95 % intervals over seeds, small dots: seeds; points: differences to "
        "the cosine run, paired by seed. The ensemble averages the snapshots' predictions, the average their weights. "
        f"Plane: seed {question['seeds'][0]}; a path leaves the plane, so only its shadow is drawn; one unit is the "
        "distance between the first two snapshots shown."
    )
    canvas.titled(fig, title, caption)
    return fig


def _scores(ax, models: pd.DataFrame, summary: pd.DataFrame) -> None:
    for y, (_, row) in enumerate(summary.iterrows()):
        colour = STYLE.get(row.model, ("#000000" if row.model in ("ensemble", "average") else STYLE["sgdr"][0],))[0]
        seeds = models[models.model == row.model].accuracy
        ax.plot(seeds, np.full(len(seeds), y + 0.22), "o", ms=4, color=colour, alpha=0.45, mew=0)
        ax.plot([row.accuracy_low, row.accuracy_high], [y, y], color=colour, lw=2.2, solid_capstyle="round")
        ax.plot(row.accuracy, y, "o", color=colour, ms=8, mec="white")
        said = f"{row.accuracy:.1%}" + ("" if row.model == "cosine" else f", {100 * row['diff']:+.1f} points")
        ax.text(1.0, y - 0.26, said, transform=ax.get_yaxis_transform(), ha="right", va="center", fontsize=8.5)
    ax.set_yticks(range(len(summary)), summary.model)
    ax.set_ylim(len(summary) - 0.5, -0.6)
    ax.set(title="accuracy of every model", xlabel="validation accuracy")
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.grid(axis="x", color="#EEEEEE")
    ax.set_axisbelow(True)
    canvas.plain(ax)


def _plane(ax, plane: pd.DataFrame, paths: pd.DataFrame) -> None:
    "Contours of the loss, the shadows of both paths, the snapshots as triangles."
    table = plane.pivot(index="y", columns="x", values="valid_loss")
    top = np.nanquantile(table.to_numpy(), 0.85)
    levels = np.linspace(table.min().min(), top, 14)
    filled = ax.contourf(table.columns, table.index, np.clip(table, None, top), levels, cmap="Greys", extend="max")
    ax.figure.colorbar(filled, ax=ax, label="validation loss", format="%.2f")
    for name in ("sgdr", "constant"):
        own = paths[paths.schedule == name]
        ax.plot(
            own.x, own.y, color=STYLE[name][0], ls=STYLE[name][1], marker="o", ms=3.5, lw=1.4, label=f"{name}, by epoch"
        )
    corners = paths[paths.schedule == "snapshot"]
    ax.plot(corners.x, corners.y, "v", color=STYLE["sgdr"][0], mec="white", ms=12, label="snapshots")
    ax.set(xlim=(table.columns.min(), table.columns.max()), ylim=(table.index.min(), table.index.max()))
    ax.set(title="loss on the plane through the last three snapshots", xlabel="along the first two snapshots (units)")
    ax.set_ylabel("towards the third (units)")
    ax.legend(fontsize=8.5, loc="upper right")
