"""comparison.png: one row per schedule, best first: its LR, its curves, and the final values beside them."""

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.studies.compare.panels import Look

ROW, HEAD = 1.05, 0.85  # inches: the height of one schedule, and of the columns' titles and x labels
SIDE = {"left": 0.155, "right": 0.975}  # in fractions of the width; the schedules' names stand at the left
LONG = 15  # characters of a label that needs smaller letters


def comparison(
    look: Look, columns: dict, final: Callable[[Axes], None], measured: str, title: str, caption: str
) -> Figure:
    "`columns` maps the title of a column to an object with `panel(ax, schedule)`; `final(ax)` fills the last column."
    n = len(look.order)
    fig = Figure(figsize=(12, ROW * n + HEAD))
    bottom, top = style.frame(fig, title, caption)
    height = fig.get_size_inches()[1]
    room = {"top": top - 0.3 / height, "bottom": bottom + 0.5 / height, "wspace": 0.26, "hspace": 0.25}
    grid = GridSpec(
        n, len(columns) + 1, figure=fig, width_ratios=(1.0, *[1.25] * (len(columns) - 1), 1.6), **SIDE, **room
    )
    for row, schedule in enumerate(look.order):
        for place, (name, column) in enumerate(columns.items()):
            ax = fig.add_subplot(grid[row, place])
            column.panel(ax, schedule)
            ax.tick_params(labelsize=8.5, labelbottom=row == n - 1)
            if row == 0:
                ax.set_title(name, fontsize=10.5)
            if row == n - 1:
                ax.set_xlabel("epoch", fontsize=9.5)
        width, size = (13, 10.5) if len(schedule) < LONG else (17, 8.5)
        box = grid[row, 0].get_position(fig)
        words = {"fontsize": size, "fontweight": "bold", "color": look.text_colour(schedule), "va": "center"}
        fig.text(0.02, (box.y0 + box.y1) / 2, style.wrapped(schedule, width), **words)
    last = fig.add_subplot(grid[:, -1])
    last.set_title(f"{measured} after the last epoch", fontsize=10.5)
    final(last)
    return fig
