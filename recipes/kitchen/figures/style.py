"""How every figure looks: colours and dashes, the title and the caption, plain axes, and files."""

import io
import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axis import Axis
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator, NullLocator
from PIL import Image

from lrlab.recipes.kitchen.figures.fonts import show_every_script
from lrlab.recipes.kitchen.store.files import replacing

# Okabe & Ito (2008): colour-blind readers can tell them apart. In this order, neighbours also differ in grey.
COLOURS = ["#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#B8860B", "#7F3C8D"]
DASHES = ["-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (6, 2, 1, 2))]
OTHERS = "#B4B4B4"  # the lines around the one that a panel is about
SOFT = "#444444"  # captions and small print
LINE = "#777777"  # reference lines, such as the most frequent class
CONTRAST = 4.5  # of text on white, at least (WCAG 2.1, level AA)
DPI = 160
LEAST_SHARE = 1e-3  # the least that an axis of percent shows
SVG = {"svg.hashsalt": "lrlab", "svg.fonttype": "none"}  # the same tables give the same file; text stays text


def style_of(names: Iterable[str]) -> dict[str, tuple]:
    "One colour and one dash per arm, the same in every figure of a study."
    n = len(COLOURS)
    return {name: (COLOURS[i % n], DASHES[(i + i // n) % len(DASHES)]) for i, name in enumerate(names)}


def text_colour(colour: str) -> str:
    """`colour`, darkened until text in it can be read on white.

    >>> text_colour("#0072B2"), text_colour("#56B4E9")
    ('#0072b2', '#3c7da2')
    """
    rgb = np.array(to_rgb(colour))
    while _contrast_on_white(rgb) < CONTRAST:
        rgb = rgb * 0.97
    return to_hex(rgb)


def _contrast_on_white(rgb: np.ndarray) -> float:
    "WCAG 2.1: the ratio of relative luminances, from 1 to 21."
    linear = np.where(rgb <= 0.03928, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05))


def frame(fig: Figure, title: str, caption: str) -> tuple[float, float]:
    """Write the finding above a figure and its caption below. The figure grows by their room.

    Returns the (bottom, top) of the room for the panels, in fractions of the new height. A figure with constrained
    layout keeps its panels there by itself.
    """
    width, height = fig.get_size_inches()
    title, caption = textwrap.fill(title, int(7.5 * width)), textwrap.fill(caption, int(14.5 * width))
    above, below = 0.32 + 0.25 * (title.count("\n") + 1), 0.16 + 0.15 * (caption.count("\n") + 1)
    total = height + above + below
    bottom, top = below / total, 1 - above / total
    fig.set_size_inches(width, total)
    if fig.get_layout_engine() is not None:
        fig.get_layout_engine().set(rect=(0, bottom, 1, top - bottom))
    heading = fig.suptitle(title, x=0.2 / width, y=1 - 0.12 / total, ha="left", va="top", fontsize=14, weight="bold")
    heading.set_in_layout(False)
    fig.text(0.2 / width, 0.08 / total, caption, fontsize=8.5, color=SOFT, ha="left", va="bottom")
    return bottom, top


def plain(ax, whole_epochs: bool = False) -> None:
    "No frame above and to the right. Whole epochs as ticks, where x counts epochs."
    ax.spines[["top", "right"]].set_visible(False)
    if whole_epochs:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))


def as_percent(value: float, _position: int = 0) -> str:
    """A share as a tick label says it; nothing where no share can be.

    >>> as_percent(0.75), as_percent(0.775), as_percent(1.02)
    ('75 %', '77.5 %', '')
    """
    return f"{100 * value:g} %" if -1e-9 < value < 1 + 1e-9 else ""


def dot_row(
    ax, y: float, seeds, mean: float, low: float, high: float, colour: str, words: str, most: float | None = 1.0
) -> None:
    """One row of a dot plot: the mean, its interval, every seed as a small dot below, and words at the right.

    The interval ends at 0 and at `most`, what a share can be; None leaves it as it is.
    """
    ax.plot(seeds, np.full(len(seeds), y + 0.2), "o", ms=4, color=colour, alpha=0.45, mew=0)
    if np.isfinite(low):
        ends = [low, high] if most is None else [max(low, 0.0), min(high, most)]
        ax.plot(ends, [y, y], color=colour, lw=2.2, solid_capstyle="round")
    if np.isfinite(mean):
        ax.plot(mean, y, "o", ms=8, color=colour, mec="white")
    place = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "center"}
    ax.text(1.0, y - 0.27, words, fontsize=8.5, color="#333333", **place)


def dot_axes(ax, n: int) -> None:
    "The axes under `n` rows of `dot_row`, the first of them on top."
    ax.set_ylim(n - 0.5, -0.6)
    ax.grid(axis="x", color="#EEEEEE")
    ax.set_axisbelow(True)
    plain(ax)


def limits_of(values: pd.Series) -> tuple[float, float]:
    "From the smallest to the largest of the middle 96 % of the values, with a margin: one outlier hides nothing else."
    values = values.astype(float).replace([np.inf, -np.inf], np.nan).dropna()
    if values.empty:
        return 0.0, 1.0
    low, high = np.quantile(values, [0.02, 0.98])
    low, high = max(values.min(), low - 0.6 * (high - low)), min(values.max(), high + 0.6 * (high - low))
    margin = 0.07 * (high - low) or 0.05
    return low - margin, high + margin


def wrapped(text: str, width: int = 14) -> str:
    "`text` over several lines. A constructor call is broken after its bracket and its commas rather than anywhere."
    lines = [""]
    for part in re.findall(r"[^\s(,]*[(,]*\s*", text):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def save(fig: Figure, file: Path) -> None:
    "Write a PNG of 256 colours, a third of the size, completely or not at all."
    stream = io.BytesIO()
    with _finished(fig):
        fig.savefig(stream, dpi=DPI)
    image = Image.open(stream).convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    with replacing(file) as part:
        image.save(part, "PNG")


def to_svg(fig: Figure) -> str:
    "The figure as the text of an SVG element. The same figure gives the same text."
    stream = io.StringIO()
    with _finished(fig), matplotlib.rc_context(SVG):
        fig.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]


@contextmanager
def _finished(fig: Figure) -> Iterator[None]:
    "Every name is shown as it is written, and float noise is not shown as a difference, while the figure is saved."
    texts = fig.findobj(Text)
    _show_names_literally(texts)
    show_every_script(texts)
    for ax in fig.axes:
        for axis in (ax.xaxis, ax.yaxis):
            _show_a_tenth_of_a_point(axis)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a note of `show_every_script` says so
        yield


def _show_names_literally(texts: list[Text]) -> None:
    "Names may hold dollar signs. matplotlib would read what is between two of them as a formula, or fail on it."
    for text in texts:
        if "$" in text.get_text() and "mathdefault" not in text.get_text():  # matplotlib's own tick labels have that
            text.set_parse_math(False)


def _show_a_tenth_of_a_point(axis: Axis) -> None:
    "Let an axis of percent show at least that much: the same share may differ in its last bits."
    low, high = axis.get_view_interval()
    if getattr(axis.get_major_formatter(), "func", None) is as_percent and high - low < LEAST_SHARE:
        middle = (low + high) / 2
        axis.axes.set(**{f"{axis.axis_name}lim": (middle - LEAST_SHARE / 2, middle + LEAST_SHARE / 2)})


def in_percent(axis) -> None:
    "Label an axis of shares in percent."
    axis.set_major_formatter(as_percent)


def budget_axis(ax, budgets: Iterable[int]) -> None:
    "A log axis of x with a tick at every number of epochs, and no others."
    ax.set_xscale("log")
    ax.set_xticks(list(budgets), [str(int(budget)) for budget in budgets])
    ax.xaxis.set_minor_locator(NullLocator())
