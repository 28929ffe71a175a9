"""The figure of `lrlab claims`: one line a claim, one panel a data set, with difference, interval and verdict."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.studies.claims.catalogue import BY_NAME
from lrlab.recipes.studies.claims.page import points
from lrlab.recipes.studies.claims.verdict import FAILS, HOLDS, UNDECIDED, Rule

STYLE = {HOLDS: ("#009E73", "o", "#009E73"), FAILS: ("#D55E00", "X", "#D55E00"), UNDECIDED: ("#555555", "D", "white")}
LINEAR = 1.0  # points on both sides of 0 where the axis is linear; logarithmic beyond
TICKS = (1, 10, 100)
LINE = 0.46  # inches
WORDS, PANEL, GAP = 4.3, 2.55, 0.12  # widths in inches: the claims, the least of a panel, and between panels
X_LABEL = "against the claim  ←  paired difference, points of accuracy (linear to ±1, then log)  →  for the claim"
LEAST_WIDTH = 11.7  # inches: room for the legend


def draw(claims: pd.DataFrame, cards: dict[str, dict], words: dict, title: str, rule: Rule) -> Figure:
    "`claims` has the columns of claims.csv; `cards` describe the workloads; `words` fill the settings."
    names, panels = list(dict.fromkeys(claims.claim)), panels_of(claims, list(cards))
    panel_width = max(PANEL, (LEAST_WIDTH - WORDS) / len(panels) - GAP)
    width = WORDS + len(panels) * (panel_width + GAP) + 0.1
    fig = Figure(figsize=(width, LINE * len(names) + 2.4))
    bottom, top = style.frame(fig, title, _caption(claims, cards, words, rule))
    width, height = fig.get_size_inches()
    below, above = 0.62 / height, 0.62 / height
    ends = claims[["diff", "diff_low", "diff_high"]].to_numpy(float) * 100
    for column, (panel, own) in enumerate(panels.items()):
        left = (WORDS + column * (panel_width + GAP)) / width
        ax = fig.add_axes((left, bottom + below, panel_width / width, top - bottom - below - above))
        _axis(ax, ends, 100 * rule.tolerance)
        ax.set(ylim=(len(names) - 0.5, -0.5), yticks=[])
        ax.set_title(panel, fontsize=10, fontweight="bold")
        for position in range(1, len(names), 2):
            ax.axhspan(position - 0.5, position + 0.5, color="#F4F4F4", lw=0, zorder=0)
        for row in own.itertuples():
            _line(ax, row, names.index(row.claim), panel)
        if column == 0:
            _claims(ax, names, words, panel_width)
    fig.text((WORDS + 0.05) / width, bottom + 0.1 / height, X_LABEL, fontsize=9, color="#333333")
    _legend(fig, WORDS / width, top, rule)
    return fig


def panels_of(claims: pd.DataFrame, workloads: list[str]) -> dict[str, pd.DataFrame]:
    "The rows of every panel. The surfaces of the claims about minima stand in the first panels, and say so."
    surfaces = [name for name in claims.workload.unique() if name not in workloads]
    names = workloads + surfaces[len(workloads) :]
    panels = {name: claims[claims.workload == name] for name in names}
    for surface, name in zip(surfaces, names, strict=False):
        if surface != name:
            panels[name] = pd.concat([panels[name], claims[claims.workload == surface]])
    return panels


def _claims(ax, names: list[str], words: dict, panel_width: float) -> None:
    "Every claim in words, and what is subtracted from what."
    place = {"transform": ax.get_yaxis_transform(), "ha": "left", "zorder": 3}
    x = (0.08 - WORDS) / panel_width
    for position, name in enumerate(names):
        claim = BY_NAME[name]
        text, minus = textwrap.fill(claim.says.format(**words), 68), f"{claim.better} minus {claim.than}"
        middle = position + (0.06 if "\n" not in text else 0.16)
        ax.text(x, middle, text, va="bottom", fontsize=8, linespacing=1.0, **place)
        ax.text(x, middle + 0.03, minus, va="top", fontsize=7, color="#666666", **place)


def _axis(ax, ends: np.ndarray, tolerance: float) -> None:
    "Points to both sides of 0: one axis for tenths of a point and for thirty."
    high, low = max(np.nanmax(ends, initial=0.0), 1.0), max(-np.nanmin(ends, initial=0.0), 1.0)
    ax.axvspan(0, tolerance, color="#0072B2", alpha=0.10, lw=0, zorder=0.5)
    ax.axvline(0, color="#222222", lw=1)
    ax.set_xscale("symlog", linthresh=LINEAR, linscale=0.9)
    ax.set_xlim(-1.5 * low, 1.5 * high)
    ticks = [*(-t for t in reversed(TICKS) if t <= 1.4 * low), 0, *(t for t in TICKS if t <= 1.4 * high)]
    ax.set_xticks(ticks, [f"{t:+d}" if t else "0" for t in ticks], fontsize=8)
    ax.minorticks_off()
    ax.grid(axis="x", color="#DDDDDD")
    ax.set_axisbelow(True)
    style.plain(ax)
    ax.spines["left"].set_visible(False)


def _legend(fig: Figure, left: float, top: float, rule: Rule) -> None:
    keys = [
        Line2D([], [], color=edge, marker=marker, mfc=face, ms=6, lw=2, label=word)
        for word, (edge, marker, face) in STYLE.items()
    ]
    keys.append(Line2D([], [], color="#0072B2", alpha=0.25, lw=7, label=f"gains less than {rule.tolerated}"))
    keys.append(Line2D([], [], color="#0072B2", ls=":", lw=1.6, label='margin of "as good as"'))
    fig.legend(handles=keys, loc="upper left", bbox_to_anchor=(left, top), ncols=5, frameon=False, fontsize=8)


def _line(ax, row, y: float, panel: str) -> None:
    "One workload of one claim."
    colour, marker, face = STYLE[row.verdict]
    y_line = y + 0.17
    if row.margin:
        ax.plot([-100 * row.margin] * 2, [y - 0.05, y + 0.4], color="#0072B2", ls=":", lw=1.6)
    if np.isfinite(row.diff_low):
        ax.plot([100 * row.diff_low, 100 * row.diff_high], [y_line] * 2, color=colour, lw=2, solid_capstyle="round")
    if np.isfinite(row.diff):
        ax.plot(100 * row.diff, y_line, marker, color=colour, mfc=face, mec=colour, ms=6, zorder=3)
    shown = points(row) if row.workload == panel else f"{row.workload}: {points(row)}"
    place = {"transform": ax.get_yaxis_transform(), "va": "center", "ha": "center", "fontsize": 7.5, "zorder": 3}
    halo = [withStroke(linewidth=2.5, foreground="white")]  # the line at 0 runs behind the numbers
    ax.text(0.5, y - 0.22, shown, color=style.text_colour(colour), path_effects=halo, **place)


def _caption(claims: pd.DataFrame, cards: dict[str, dict], words: dict, rule: Rule) -> str:
    counts = claims.groupby("workload", sort=False).n.agg(["min", "max"])
    n = "; ".join(
        f"{name} n = {row['min']:,}" + (f" to {row['max']:,}" if row["max"] > row["min"] else "")
        for name, row in counts.iterrows()
    )
    data = "; ".join(
        f"{card['title']}, {card['images']['train']:,} training images of {card['size']} px" for card in cards.values()
    )
    return (
        f"A - B of the claim that A is better than B, right of 0 in its favour, with its {100 * rule.level:.4g} % t "
        f"interval, not corrected for the number of lines. {data}. Small residual net from scratch unless the claim is "
        f"about pretrained models; {words['epochs']} epochs unless the claim is about length; lr_max as each claim's "
        f"setting says, mostly each schedule's own best of one grid. Seeds or starts: {n}."
    )
