"""The figure of `lrlab transfer-vs-scratch`: two heat maps on one scale, and accuracy against optimizer steps."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.captions import if_shown, workload_caption
from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.text import show_share

LOOK = {"pretrained": ("#0072B2", "-", "o"), "scratch": ("#D55E00", "--", "s")}


def draw(cells: pd.DataFrame, config: dict, title: str) -> Figure:
    "Mean accuracy by LR and epochs, the best cell framed; beside them the best LR at every length, by its cost."
    fig = Figure(figsize=(13, 4.6), layout="constrained")
    axes = fig.subplots(1, 3, width_ratios=(1, 1, 1.25))
    low, high = cells.accuracy.min(), cells.accuracy.max()
    room = max(0.0, (style.LEAST_SHARE - (high - low)) / 2)  # equal cells would get a colour in each map
    low, high = low - room, high + room
    for ax, start in zip(axes, LOOK, strict=False):
        image = _heat_map(ax, cells[cells.start == start], low, high)
        ax.set_title(start, fontsize=11, fontweight="bold", color=style.text_colour(LOOK[start][0]))
    bar = fig.colorbar(image, ax=axes[:2], aspect=30)
    style.in_percent(bar.ax.yaxis)
    bar.ax.tick_params(labelsize=8.5)
    axes[0].set_ylabel("lr_max (of the head, if pretrained)")
    _cost(axes[2], cells)
    caption = (
        f"{workload_caption(config)}, 1cycle. All layers train from the first epoch on, pretrained ones at "
        "slice(lr/100, lr). Cells: mean validation accuracy in percent"
        f"{if_shown(cells.accuracy_low, ', ± half of its 95 % interval')}. Framed: the best. "
        f"Always the most frequent class: {show_share(config['data']['majority'])}. A step costs the same from "
        "either start."
    )
    style.frame(fig, title, caption)
    return fig


def _heat_map(ax, cells: pd.DataFrame, low: float, high: float):
    above, below = cells.accuracy_high - cells.accuracy, cells.accuracy - cells.accuracy_low
    cells = cells.assign(half=np.fmax(above, below))  # one of them may be clipped
    table, half = (cells.pivot(index="lr", columns="epochs", values=v) for v in ("accuracy", "half"))
    image = ax.imshow(table, cmap="cividis", vmin=low, vmax=high, origin="lower", aspect="auto")
    ax.set_xticks(range(table.shape[1]), [str(n) for n in table.columns])
    ax.set_yticks(range(table.shape[0]), [format_number(lr) for lr in table.index])
    ax.set_xlabel("epochs")
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        if np.isfinite(value):
            spread = 100 * half.to_numpy()[row, column]
            text = f"{100 * value:.1f}" + (f"\n±{spread:.1f}" if np.isfinite(spread) else "")
            dark = (value - low) < 0.5 * (high - low)
            ax.text(column, row, text, ha="center", va="center", fontsize=9, color="white" if dark else "black")
        else:
            ax.text(column, row, "none\nfinished", ha="center", va="center", fontsize=8)
    if table.notna().any().any():
        best_row, best_column = np.unravel_index(np.nanargmax(table), table.shape)
        ax.add_patch(
            Rectangle((best_column - 0.5, best_row - 0.5), 1, 1, fill=False, ec="#D55E00", lw=3, clip_on=False)
        )
    return image


def _cost(ax, cells: pd.DataFrame) -> None:
    "The best LR at every length: accuracy with its interval against the cost, the optimizer steps of one run."
    for start, (colour, dash, marker) in LOOK.items():
        own = cells[(cells.start == start) & cells.accuracy.notna()]
        top = own.loc[own.groupby("epochs").accuracy.idxmax()] if len(own) else own
        ax.plot(top.steps, top.accuracy, color=colour, ls=dash, marker=marker, lw=1.8, label=start)
        aside = top.steps + (2 if start == "scratch" else -2) / 300 * cells.steps.max()
        ax.plot([aside, aside], [top.accuracy_low, top.accuracy_high], color=colour, lw=1.4, alpha=0.6)
        # Away from the other curve, and from its own, which mostly rises.
        beside, ha = ((5, -20), "left") if start == "scratch" else ((-5, 6), "right")
        for row in top.itertuples():
            label = f"{row.epochs} ep, {format_number(row.lr)}"
            ax.annotate(
                label,
                (row.steps, row.accuracy),
                beside,
                textcoords="offset points",
                ha=ha,
                fontsize=8,
                color=style.text_colour(colour),
            )
    ax.set(
        title="best LR at every length (epochs, LR)", xlabel="optimizer steps of one run", ylabel="validation accuracy"
    )
    ax.set_xlim(0, 1.35 * cells.steps.max())
    ax.margins(y=0.12)  # for the words
    style.in_percent(ax.yaxis)
    ax.legend(fontsize=9, frameon=False, loc="best")
    style.plain(ax)
