"""What the tests of figures share: the figure that a report draws, and what every figure must have."""

from unittest.mock import patch

from matplotlib.figure import Figure

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.store.store import Store


def drawn(redraw, folder) -> Figure:
    "The last figure that a redrawing of `folder` would save."
    with patch.object(style, "save") as save, Store(folder) as store:
        redraw(store)
    return save.call_args.args[0]


def check_words(fig: Figure) -> None:
    "A title of at most twelve words, and a caption below it that is a sentence."
    assert 0 < len(fig.get_suptitle().split()) <= 12, fig.get_suptitle()
    caption = min(fig.texts, key=lambda text: text.get_position()[1]).get_text()
    assert len(caption.split()) > 10 and caption.endswith(".")


def numbers(ax, marker: str) -> list[float]:
    "The x values of the single points that are drawn with this marker."
    return [
        float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() == marker and len(line.get_xdata()) == 1
    ]
