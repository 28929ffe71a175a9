"""The figure of `lrlab gradient-descent`: paths on a bowl and a valley, paths among wells, and the counted outcomes."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, GridSpecFromSubplotSpec

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.text import show_share
from lrlab.recipes.studies.gradient_descent import descent
from lrlab.recipes.studies.gradient_descent.surfaces import BOWL, SURFACES, VALLEY

FIRST = np.array([-3.4, 2.2])  # where every path on the bowl and the valley begins
SHOWN_STEPS = 25
SHOWN_STARTS = 5  # the first of the counted ones, whatever becomes of them
MOST_PANELS = 6
ROWS = (
    "What the LR does: the same start, a constant LR, no noise. The star marks the minimum.",
    "What a schedule does: noisy descent among five wells, from the same {} starts (circles; dots: where they end).",
    "Counted over {} starts:",
)
# shares of the LR from which descent diverges (2 / the largest curvature): too small, right, too large
SHARES = {"too small": 0.015, "right": 0.48, "too large": 1.02}


def draw(question, shares: pd.DataFrame, tuning: pd.DataFrame) -> Figure:
    "Everything is recomputed from the question, except the shares, which are as stored."
    labels = list(question.schedules)
    look = style.style_of(labels)
    n = int(shares.n.max())
    caption = (
        f"{n:,} random starts, {question.epochs * descent.STEPS_PER_EPOCH} steps, gradient noise of standard deviation "
        f"{question.noise:g}. Every schedule gets the same starts and noise. lr_max is each schedule's best of "
        f"{len(descent.LRS)}, chosen on {int(tuning.n.max())} other starts. A start counts if small noise-free steps "
        "from where it ended lead to the global minimum. Lines through the dots: Wilson 95 % intervals. Paths shown: "
        f"the first {SHOWN_STARTS} starts, not chosen; first row: {SHOWN_STEPS} steps. Coordinates and losses have no "
        "unit."
    )
    fig = Figure(figsize=(13, 10))
    bottom, top = style.frame(fig, descent.finding(shares), caption)
    height = fig.get_size_inches()[1]
    room = {"left": 0.075, "right": 0.985, "bottom": bottom + 0.55 / height, "top": top - 0.6 / height}
    grid = GridSpec(3, 1, figure=fig, height_ratios=(1, 1.4, 1.3), hspace=0.42, **room)
    for row, words in enumerate((ROWS[0], ROWS[1].format(SHOWN_STARTS), ROWS[2].format(f"{n:,}"))):
        fig.text(0.02, grid[row].get_position(fig).y1 + 0.32 / height, words, fontsize=11, va="bottom")
    _simple_row(fig, GridSpecFromSubplotSpec(1, 6, grid[0], wspace=0.12))
    shown = labels[:MOST_PANELS]
    _wells_row(fig, GridSpecFromSubplotSpec(1, max(len(shown), 4), grid[1], wspace=0.1), question, shares, shown, look)
    row = GridSpecFromSubplotSpec(1, 4, grid[2], width_ratios=(1.25, 1.35, 1.0, 1.25), wspace=0.42)
    _shares(fig.add_subplot(row[0]), shares[shares.surface == "wide"], look, "wide global minimum")
    _tuning(fig.add_subplot(row[1]), tuning[tuning.surface == "wide"], look)
    narrow = fig.add_subplot(row[2])
    _contours(narrow, SURFACES["narrow"], SURFACES["narrow"].minima)
    narrow.set_title("the other surface: the global\nminimum (star) is narrow", fontsize=9.5)
    _shares(fig.add_subplot(row[3]), shares[shares.surface == "narrow"], look, "narrow global minimum")
    return fig


def _simple_row(fig: Figure, grid) -> None:
    "Too small, right and too large, on the bowl and in the valley."
    panels = [(name, surface, word) for name, surface in (("bowl", BOWL), ("valley", VALLEY)) for word in SHARES]
    for column, (name, surface, word) in enumerate(panels):
        ax = fig.add_subplot(grid[column])
        lr = SHARES[word] * surface.limit
        path = descent.descend(surface, FIRST, np.full(SHOWN_STEPS, lr))
        _contours(ax, surface, np.zeros((1, 2)), half=5.2)
        colour = style.COLOURS[(5, 3, 2)[list(SHARES).index(word)]]
        ax.plot(*path.T, "o-", color=colour, ms=3, lw=1.3, clip_on=True)
        ax.plot(*FIRST, "o", color="white", mec=colour, ms=6, mew=1.6, zorder=4)
        left = surface.value(path[-1]) / surface.value(FIRST)
        ax.set_title(f"{name}: LR {lr:.2g}, {word}", fontsize=9.5, fontweight="bold", color=style.text_colour(colour))
        ax.set_xlabel(f"loss ends at {_percent(left)} of its start", fontsize=8.5)


def _wells_row(fig: Figure, grid, question, shares: pd.DataFrame, labels: list[str], look: dict) -> None:
    "A few paths of every schedule on the surface whose global minimum is wide, with the LR above them."
    surface = SURFACES["wide"]
    starts, noise = descent.draws(question, 1, question.starts)  # as counted; only the first are drawn
    starts, noise = starts[:SHOWN_STARTS], noise[:, :SHOWN_STARTS]
    own = shares[shares.surface == "wide"].set_index("schedule")
    for column, label in enumerate(labels):
        cell = GridSpecFromSubplotSpec(2, 1, grid[column], height_ratios=(1, 4), hspace=0.05)
        above, ax = fig.add_subplot(cell[0]), fig.add_subplot(cell[1])
        curve, colour = descent.lr_curve(question, label, own.lr_max[label]), look[label][0]
        above.fill_between(np.arange(len(curve)), curve, color=colour, alpha=0.35, lw=0)
        above.plot(curve, color=colour, lw=1.3)
        above.set(xticks=[], yticks=[], xlim=(0, len(curve)), ylim=(0, 1.08 * curve.max()))
        above.spines[["top", "right", "left"]].set_visible(False)
        words = {"fontsize": 9.5, "fontweight": "bold", "color": style.text_colour(colour)}
        above.set_title(f"{label}, LR up to {own.lr_max[label]:.2g}", **words)
        path = descent.descend(surface, starts, curve, noise)
        _contours(ax, surface, surface.minima)
        hits = surface.in_lowest(path[-1])
        for i in range(SHOWN_STARTS):
            ax.plot(*path[:, i].T, color=colour, lw=0.5, alpha=0.45)
            ax.plot(*starts[i], "o", color="white", mec=colour, ms=5, mew=1.3, zorder=4)
            ax.plot(*path[-1, i], "o", color=colour, ms=6.5, mec="white", zorder=5)
        ax.set_xlabel(f"{hits.sum()} of these {SHOWN_STARTS} end at the star", fontsize=8.5)


def _contours(ax, surface, minima: np.ndarray, half: float = 4.6) -> None:
    "Contour lines, denser towards the bottom, crosses at the minima and a star at the lowest."
    axis = np.linspace(-half, half, 121)
    values = surface.value(np.stack(np.meshgrid(axis, axis), -1))
    levels = np.quantile(values, np.linspace(0, 1, 16) ** 1.7)
    ax.contourf(axis, axis, values, np.unique(levels), cmap="Greys_r", alpha=0.35)
    ax.contour(axis, axis, values, np.unique(levels), colors="#9a9a9a", linewidths=0.4)
    lowest = surface.value(minima).argmin()
    for i, (x, y) in enumerate(minima):
        ax.plot(x, y, "*" if i == lowest else "x", color="black", ms=11 if i == lowest else 5, zorder=3)
    ax.set(xlim=(-half, half), ylim=(-half, half), xticks=[], yticks=[], aspect="equal")


def _shares(ax, shares: pd.DataFrame, look: dict, title: str) -> None:
    "A sorted dot plot with intervals; the dotted line is the share of starts that lie in the right basin already."
    base = shares[shares.schedule == "start"].share.iloc[0]
    rows = shares[shares.schedule != "start"].sort_values("share", ascending=False)
    for y, row in enumerate(rows.itertuples()):
        colour = look[row.schedule][0]
        ax.plot([row.low, row.high], [y, y], color=colour, lw=2.2, solid_capstyle="round")
        ax.plot(row.share, y, "o", color=colour, ms=5, mec="white", mew=0.8)
        beside, ha = (row.low - 0.02, "right") if row.share > 0.6 else (row.high + 0.02, "left")
        ax.text(beside, y, f"{show_share(row.share)} at LR {row.lr_max:.2g}", ha=ha, va="center", fontsize=8.5)
    ax.axvline(base, color="#777777", ls=":", lw=1.2)
    ax.text(base, len(rows) - 0.42, " lie there at the start", fontsize=8, color="#555555", va="bottom")
    ax.set(yticks=range(len(rows)), ylim=(len(rows) - 0.4, -0.6), xlim=(0, 1.02), title=title)
    ax.set_yticklabels(rows.schedule, fontsize=9)
    ax.title.set_fontsize(10)
    ax.set_xlabel("starts that end in the global minimum", fontsize=9)
    style.in_percent(ax.xaxis)
    style.plain(ax)


def _tuning(ax, tuning: pd.DataFrame, look: dict) -> None:
    for label, part in tuning.groupby("schedule", sort=False):
        ax.plot(part.lr_max, part.share, "o", color=look[label][0], ls=look[label][1], ms=3.5, lw=1.6, label=label)
    ax.set(xscale="log", ylim=(0, 1.02))
    ax.set_title("the same by lr_max: too low never leaves,\ntoo high never settles unless it decays", fontsize=9.5)
    ax.set_xlabel("lr_max (log scale)", fontsize=9)
    ax.set_ylabel("share in the global minimum", fontsize=9)
    style.in_percent(ax.yaxis)
    ax.legend(fontsize=7.5, frameon=False, loc="lower left", labelspacing=0.25)
    style.plain(ax)


def _percent(share: float) -> str:
    if not np.isfinite(share) or share > 10:
        return "over 1000 %"
    return show_share(share, 0) if share > 0.005 else "under 0.5 %"
