"""What the lessons' figures share: a finding as the title, a caption line, and plain axes."""

import textwrap

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def heading(fig: Figure, title: str, caption: str) -> tuple[float, float]:
    "The finding above and the caption below, wrapped; returns the (bottom, top) between them, in figure fractions."
    width, height = fig.get_size_inches()
    above = textwrap.fill(title, int(7.7 * width))
    below = textwrap.fill(caption, int(14.5 * width))
    fig.suptitle(above, fontsize=14, fontweight="bold", x=0.02, ha="left", y=1 - 0.12 / height, va="top")
    fig.text(0.02, 0.1 / height, below, fontsize=8.5, color="#444444", va="bottom")
    return (0.2 + 0.15 * (below.count("\n") + 1)) / height, 1 - (0.2 + 0.25 * (above.count("\n") + 1)) / height


def titled(fig: Figure, title: str, caption: str) -> None:
    "`heading`, with the figure's panels laid out between."
    bottom, top = heading(fig, title, caption)
    fig._suptitle.set_in_layout(False)  # its room is counted already
    fig.tight_layout(rect=(0.005, bottom, 0.995, top))


def plain(ax, whole_epochs: bool = False) -> None:
    "No frame above and to the right; whole epochs as ticks where x counts epochs."
    ax.spines[["top", "right"]].set_visible(False)
    if whole_epochs:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
