"""The figure of `lrlab lr-band`: the measure against the peak LR, one panel per schedule, its safe band shaded."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.captions import workload_caption
from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.stats.best import FEWEST_SEEDS
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.stats.summary import measured_on
from lrlab.recipes.kitchen.text import plural
from lrlab.recipes.studies.lr_band import words

BLUE, ORANGE, GREEN = style.COLOURS[1], style.COLOURS[2], style.COLOURS[3]
MOST_IN_A_ROW = 4  # panels
ASIDE = 1.25  # the factor by which the shaded band is wider than the LRs at its ends
MOST_BESIDE = 6  # LRs, whose labels fit beside each other
FEW = 4  # LRs, in whose range the axis has hardly a power of ten
ROOM = 12.0  # tolerances below the best mean that a panel shows; a tolerance could not be seen beside a run of chance
LOOKS = {  # marker, face
    "best": ("D", BLUE),
    "safe": ("o", BLUE),
    "open": ("o", "white"),
    "costly": ("X", BLUE),
}


def draw(
    runs: pd.DataFrame, table: pd.DataFrame, bands: pd.DataFrame, found: LRSuggestion, config: dict, title: str
) -> Figure:
    "`runs` has the judged measure as `value`, `table` is that of `judge_lrs`, `bands` that of `summarize`."
    question, n = config["question"], len(bands)
    measure = Measure.of_question(question)
    columns = min(n, MOST_IN_A_ROW)
    lines = -(-n // columns)
    fig = Figure(figsize=(max(7.0, 4.1 * columns), 3.9 * lines), layout="constrained")
    panels = fig.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    best = bands["mean"].min() if measure.lower_is_better else bands["mean"].max()
    margin = measure.margin(question.get("tolerance"), best)
    limits = _limits(bands, measure, margin)
    for ax, (_, row) in zip(panels.flat, bands.iterrows(), strict=False):
        own, of = table[table.schedule == row.schedule], runs[runs.schedule == row.schedule]
        ax.set(xscale="log", ylim=limits)
        _panel(ax, own, of, row, measure, margin, found)
    for ax in panels.flat[n:]:
        ax.set_visible(False)
    for ax in panels[:, 0]:
        ax.set_ylabel(f"{measured_on(runs, measure.judge)} {measure.label}")
    for ax in panels.flat[max(0, n - columns) : n]:
        ax.set_xlabel("peak learning rate (log scale)")
        ax.xaxis.set_tick_params(labelbottom=True)
    style.frame(fig, title, caption(config, table, measure))
    return fig


def caption(config: dict, table: pd.DataFrame, measure: Measure) -> str:
    "Data, model, n, budget, the grid, and how to read the figure."
    question = config["question"]
    tolerated = measure.tolerance_words(question.get("tolerance"))
    diverged = int(table.diverged.sum())
    lost = f" {plural(diverged, 'run')} diverged." if diverged else ""
    budget, grid = plural(question["epochs"], "epoch"), ", ".join(config["tuned"]["grid"])
    return (
        f"{workload_caption(config)}, {budget}, lr_max {grid}. Small dots: seeds. Diamond: best, "
        f"filled: safe, hollow: open, cross: costly. Shaded: the safe band, LRs that miss "
        f"less than {tolerated} against the schedule's best LR (one-sided 95 % bounds for each LR, paired by seed). "
        f"Dashed: the tolerance. Orange: lr_find's suggestion, from the lowest to the highest seed. Triangles: values "
        f"beyond the axis.{lost}"
    )


def _limits(bands: pd.DataFrame, measure: Measure, margin: float) -> tuple[float, float]:
    "From what the best LRs reach to ROOM tolerances behind the worst of them."
    low, high = bands["mean"].min(), bands["mean"].max()
    if measure.lower_is_better:
        return max(low - 3 * margin, 0.0), high + ROOM * margin
    top = high + 3 * margin
    return low - ROOM * margin, min(top, 1.004) if measure.is_share else top


def _panel(
    ax: Axes,
    table: pd.DataFrame,
    runs: pd.DataFrame,
    row: pd.Series,
    measure: Measure,
    margin: float,
    found: LRSuggestion,
) -> None:
    is_decided = row.n >= FEWEST_SEEDS
    if is_decided:
        ax.axvspan(row.low / ASIDE, row.high * ASIDE, color=GREEN, alpha=0.18, lw=0, zorder=0)
    sign = 1 if measure.lower_is_better else -1
    ax.axhline(row["mean"] + sign * margin, color=style.LINE, lw=1, ls="--", zorder=1)
    worst = ax.get_ylim()[1 if measure.lower_is_better else 0]
    is_beyond = (lambda values: values > worst) if measure.lower_is_better else (lambda values: values < worst)
    lr_of = table.set_index("lr_max").lr
    seeds = runs[runs.value.notna() & ~is_beyond(runs.value)]
    ax.plot(seeds.lr_max.map(lr_of), seeds.value, "o", ms=3.5, color=BLUE, alpha=0.35, mew=0, zorder=2)
    ax.plot(table.lr, table["mean"], color=BLUE, lw=1.4, zorder=2)
    for word, (marker, face) in LOOKS.items():
        own = table[(table.verdict == word) & ~is_beyond(table["mean"])]
        ax.plot(own.lr, own["mean"], marker, ms=7, color=BLUE, mfc=face, mec=BLUE, zorder=3)
    for lr, value, count in _beyond(table, is_beyond):
        ax.plot(lr, worst, "^" if measure.lower_is_better else "v", ms=8, color=BLUE, clip_on=False, zorder=3)
        label = f"{count} diverged" if pd.isna(value) else measure.with_unit(value)
        y, va = (-9, "top") if measure.lower_is_better else (6, "bottom")
        turned = {"rotation": 90 * (len(table) > MOST_BESIDE), "xytext": (0, y), "textcoords": "offset points"}
        ax.annotate(label, (lr, worst), fontsize=7.5, color=style.SOFT, ha="center", va=va, **turned)
    ax.set_xlim(table.lr.min() / ASIDE**3, table.lr.max() * ASIDE**3)
    if table.lr.nunique() <= FEW:
        ax.set_xticks(table.lr, map(format_number, table.lr))
        ax.set_xticks([], minor=True)
    _suggestion(ax, found)
    safe = "safe " + (words.span(row.low, row.high) if row.high > row.low else f"at {row.best} alone")
    ax.set_title(f"{row.schedule}: {safe if is_decided else f'best mean at {row.best}'}", fontsize=10.5)
    if measure.is_share:
        style.in_percent(ax.yaxis)
    style.plain(ax)


def _beyond(table: pd.DataFrame, is_beyond) -> list[tuple[float, float, int]]:
    "LR, mean and number of diverged runs where the mean is beyond the axis, or no run finished."
    rows = table[is_beyond(table["mean"]) | table["mean"].isna()]
    return list(zip(rows.lr, rows["mean"], rows.diverged, strict=True))


def _suggestion(ax: Axes, found: LRSuggestion) -> None:
    "lr_find's suggestion as a tick at the top of the panel, and a bar from the lowest to the highest seed."
    if found.lr is None:
        return
    place = {"transform": ax.get_xaxis_transform(), "color": ORANGE, "clip_on": False}
    low, high = ax.get_xlim()
    if not low < found.lr < high:
        ax.plot(low if found.lr < low else high, 0.97, "<" if found.lr < low else ">", ms=8, **place)
        return
    ax.plot(np.clip(found.range, low, high), [1.0, 1.0], lw=4, solid_capstyle="butt", **place)
    ax.plot([found.lr, found.lr], [0.94, 1.0], lw=2, **place)
