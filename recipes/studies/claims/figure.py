"""The figure of `lrlab claims`: one line a claim and workload, its paired difference, interval and verdict."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.studies.claims.catalogue import BY_NAME
from lrlab.recipes.studies.claims.page import kinds_in_words, points
from lrlab.recipes.studies.claims.verdict import FAILS, HOLDS, UNDECIDED

STYLE = {HOLDS: ("#009E73", "o", "#009E73"), FAILS: ("#D55E00", "X", "#D55E00"), UNDECIDED: ("#555555", "D", "white")}
LINEAR = 1.0  # points on both sides of 0 where the axis is linear; logarithmic beyond
TICKS = (1, 3, 10, 30, 100)
LEAST, GAP = 2, 0.75  # the least room for a claim, and that between two, in lines
LEFT, WIDTH = 0.395, 0.335  # of the axes, in the figure


def draw(claims: pd.DataFrame, cards: dict[str, dict], words: dict, title: str) -> Figure:
    "`claims` has the columns of claims.csv; `cards` describe the workloads; `words` fill the settings."
    names = list(dict.fromkeys(claims.claim))
    rooms = claims.groupby("claim", sort=False).size().clip(lower=LEAST)  # in lines
    fig = Figure(figsize=(13, 0.27 * (rooms.sum() + GAP * len(names)) + 1.1))
    bottom, top = style.frame(fig, title, _caption(claims, cards, words))
    height = fig.get_size_inches()[1]
    below, above = 0.62 / height, 0.42 / height
    ax = fig.add_axes((LEFT, bottom + below, WIDTH, top - bottom - below - above))
    top_of = 0.0
    for position, (name, room) in enumerate(rooms.items()):
        own, middle = claims[claims.claim == name], top_of + (room + GAP) / 2
        if position % 2:  # a band over the whole width
            xs = [(edge - LEFT) / WIDTH for edge in (0.01, 0.99)]
            band = {"transform": ax.get_yaxis_transform(), "color": "#F4F4F4", "lw": 0, "clip_on": False, "zorder": 0}
            ax.fill_betweenx((top_of, top_of + room + GAP), *xs, **band)
        _claim(ax, own, middle, words)
        for line, row in enumerate(own.itertuples()):
            _line(ax, row, middle + line - (len(own) - 1) / 2)
        top_of += room + GAP
    _axis(ax, claims[["diff", "diff_low", "diff_high"]].to_numpy(float) * 100)
    ax.set(ylim=(top_of, 0), yticks=[])
    _legend(ax)
    return fig


def _claim(ax, own: pd.DataFrame, middle: float, words: dict) -> None:
    "The claim in words, and what is subtracted from what."
    claim = BY_NAME[own.claim.iloc[0]]
    text, minus = textwrap.fill(claim.says.format(**words), 52), f"{claim.better} minus {claim.than}"
    place = {"transform": ax.get_yaxis_transform(), "ha": "left", "zorder": 3}
    x, lines = (0.015 - LEFT) / WIDTH, text.count("\n") + 1
    ax.text(x, middle + 0.1, text, va="bottom" if lines == 1 else "center_baseline", fontsize=9, **place)
    ax.text(x, middle + 0.35 + 0.35 * (lines - 1), minus, va="top", fontsize=8, color="#666666", **place)


def _axis(ax, ends: np.ndarray) -> None:
    "Points to both sides of 0: one axis for tenths of a point and for thirty."
    high, low = max(np.nanmax(ends, initial=0.0), 1.0), max(-np.nanmin(ends, initial=0.0), 1.0)
    ax.axvline(0, color="#222222", lw=1)
    ax.set_xscale("symlog", linthresh=LINEAR, linscale=0.9)
    ax.set_xlim(-1.5 * low, 1.5 * high)
    ticks = [*(-t for t in reversed(TICKS) if t <= 1.4 * low), 0, *(t for t in TICKS if t <= 1.4 * high)]
    ax.set_xticks(ticks, [f"{t:+d}" if t else "0" for t in ticks])
    ax.minorticks_off()
    ax.set_xlabel(
        "against the claim  ←  paired difference, points of accuracy  →  for the claim\n(linear to ±1, then log)"
    )
    ax.grid(axis="x", color="#DDDDDD")
    ax.set_axisbelow(True)
    style.plain(ax)
    ax.spines["left"].set_visible(False)
    ax.patch.set_visible(False)


def _legend(ax) -> None:
    keys = [
        Line2D([], [], color=edge, marker=marker, mfc=face, ms=7, lw=2, label=word)
        for word, (edge, marker, face) in STYLE.items()
    ]
    keys.append(Line2D([], [], color="#0072B2", ls=":", lw=1.6, label='margin of "as good as"'))
    ax.legend(handles=keys, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize=9)


def _line(ax, row, y: float) -> None:
    "One workload of one claim."
    colour, marker, face = STYLE[row.verdict]
    if row.margin:
        ax.plot([-100 * row.margin] * 2, [y - 0.45, y + 0.45], color="#0072B2", ls=":", lw=1.6)
    if np.isfinite(row.diff_low):
        ax.plot([100 * row.diff_low, 100 * row.diff_high], [y, y], color=colour, lw=2, solid_capstyle="round")
    if np.isfinite(row.diff):
        ax.plot(100 * row.diff, y, marker, color=colour, mfc=face, mec=colour, ms=7, zorder=3)
    place = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 8.5, "zorder": 3}
    ax.text(-0.02, y, row.workload, ha="right", color="#333333", **place)
    ax.text(1.02, y, points(row), **place)
    ax.text(1.42, y, row.verdict, color=style.text_colour(colour), fontweight="bold", **place)


def _caption(claims: pd.DataFrame, cards: dict[str, dict], words: dict) -> str:
    counts = claims.groupby("workload", sort=False).n.agg(["min", "max"])
    n = "; ".join(
        f"{name} n = {row['min']}" + (f" to {row['max']}" if row["max"] > row["min"] else "")
        for name, row in counts.iterrows()
    )
    data = "; ".join(
        f"{card['title']}, {card['images']['train']:,} training images of {card['size']} px" for card in cards.values()
    )
    return (
        f"Each line: A - B of the claim that A is better than B, right of 0 in its favour, with its 95 % t interval, "
        f"not corrected for the number of lines. {data}. Small residual net from scratch unless the claim is about "
        f"pretrained models; {words['epochs']} epochs unless the claim is about length; lr_max as each claim's setting "
        f"says, mostly each schedule's own best of one grid. Seeds or starts: {n}. Title: {kinds_in_words()}."
    )
