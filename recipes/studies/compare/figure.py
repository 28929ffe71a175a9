"""comparison.png: one row per schedule, grouped by word: its LR, its curves, and the final values beside them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.studies.compare.panels import Look

ROW, HEADING, ENDS = 0.98, 0.34, 0.85  # inches: a schedule, the word above a group, titles and x labels of the columns
EDGE = 0.2  # inches at the left, as beside the title
LONG = 15  # characters of a label that needs smaller letters

Groups = dict[str, list[str]]  # the schedules of each word


@dataclass(frozen=True)
class Column:
    "One axes per schedule, which `panel(ax, schedule)` fills."

    title: str
    panel: Callable[[Axes, str], None]
    x: str
    width: float  # in proportion to the others


def comparison(look: Look, groups: Groups, columns: Sequence[Column], title: str, caption: str) -> Figure:
    "The figure that stands alone."
    fig = Figure(figsize=(13, _height(groups, ROW)))
    bottom, top = style.frame(fig, title, caption)
    _draw_rows(fig, look, groups, columns, 0.15, bottom, top)
    return fig


def final(look: Look, groups: Groups, columns: Sequence[Column]) -> Figure:
    "The final values alone, for the page."
    fig = Figure(figsize=(5.5, _height(groups, 0.62)))
    _draw_rows(fig, look, groups, columns, 0.26, 0.0, 1.0)
    return fig


def _height(groups: Groups, row: float) -> float:
    return row * sum(map(len, groups.values())) + HEADING * len(groups) + ENDS


def _draw_rows(
    fig: Figure, look: Look, groups: Groups, columns: Sequence[Column], left: float, bottom: float, top: float
) -> None:
    "A heading for every group, a row for every schedule, within `bottom` and `top` of the figure."
    width, height = fig.get_size_inches()
    rows = [row for word, names in groups.items() for row in ((word, None), *((word, name) for name in names))]
    n_names = sum(map(len, groups.values()))
    row_height = (height * (top - bottom) - ENDS - HEADING * len(groups)) / n_names
    ratios = [HEADING if name is None else row_height for _, name in rows]
    room = {"top": top - 0.35 / height, "bottom": bottom + 0.5 / height, "left": left, "right": 0.985}
    widths = [column.width for column in columns]
    grid = GridSpec(
        len(rows), len(columns), fig, hspace=0.26, wspace=0.26, width_ratios=widths, height_ratios=ratios, **room
    )
    last = rows[-1][1]
    for row, (word, name) in enumerate(rows):
        box = grid[row, 0].get_position(fig)
        if name is None:
            fig.text(EDGE / width, box.y0, word.upper(), fontsize=8.5, fontweight="bold", color=style.SOFT, va="bottom")
            fig.add_artist(Line2D([EDGE / width, 0.985], [box.y0 - 0.03 / height] * 2, color=style.OTHERS, lw=0.8))
            continue
        letters, size = (13, 10.5) if len(name) < LONG else (17, 8.5)
        words = {"fontsize": size, "fontweight": "bold", "color": look.text_colour(name), "va": "center"}
        fig.text(EDGE / width, (box.y0 + box.y1) / 2, style.wrapped(name, letters), **words)
        for place, column in enumerate(columns):
            ax = fig.add_subplot(grid[row, place])
            column.panel(ax, name)
            ax.tick_params(labelsize=8.5, labelbottom=name == last)
            if name == last:
                ax.set_xlabel(column.x, fontsize=9.5)
    for place, column in enumerate(columns):
        box = grid[0, place].get_position(fig)
        fig.text((box.x0 + box.x1) / 2, top - 0.3 / height, column.title, fontsize=10.5, ha="center", va="bottom")
