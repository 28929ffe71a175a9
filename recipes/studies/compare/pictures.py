"""The figures of a comparison with their words: which there are, in reading order, and how each is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.lr_find_panel import DASHED
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.stats.measures import Measure, lower_is_better
from lrlab.recipes.kitchen.stats.summary import measured_on, tuning_scores
from lrlab.recipes.kitchen.store.tables import EPOCH_COLUMNS
from lrlab.recipes.kitchen.text import plural
from lrlab.recipes.studies.compare import panels, protocol
from lrlab.recipes.studies.compare.panels import Curves, Final, Look, LRCurves
from lrlab.recipes.studies.compare.ranking import Ranking
from lrlab.recipes.studies.compare.results import Results

EPOCH_MEASURES = ("accuracy",)  # of EPOCH_COLUMNS, beside the loss
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


@dataclass(frozen=True)
class Picture:
    "A figure of the page. Those with a `file` also stand alone, four panels wide, with title and caption."

    name: str
    title: str
    note: str  # below it on the page
    draw: Callable[..., Figure]  # without words; those with a `file` take wide=True
    file: str = ""  # name of the PNG
    caption: str = ""  # below it there

    def draw_alone(self) -> Figure:
        fig = self.draw(wide=True)
        style.frame(fig, self.title, self.caption)
        return fig


def shown_measures(results: Results) -> list[Measure]:
    "The measures whose curves are drawn: the loss, and the judged one or another that every epoch has."
    known = [name for name in EPOCH_MEASURES if results.epochs[name].notna().any()]
    known += list(results.epochs.columns[len(EPOCH_COLUMNS) :])
    names = [results.measure.name] if results.measure.name in known else known[:1]
    return [Measure("loss", True), *(Measure(name, bool(lower_is_better(name))) for name in names)]


class Gallery:
    "Every figure is of the longest budget, but the one over budgets."

    def __init__(self, results: Results, summary: pd.DataFrame, ranks: list[Ranking]):
        self.results, self.summary, self.rank, self.budget = results, summary, ranks[0], results.budget
        self.has_budgets = len(ranks) > 1
        self.runs, self.epochs, self.cycles = results.of_budget(results.budget)
        self.look = Look(list(self.rank.table.schedule), list(results.schedules))
        self.measure, self.groups = results.measure, results.config["groups"]
        self.majority = results.config["data"].get("majority", 0.0)
        tables = self.epochs, self.cycles, self.look
        self.curves = [Curves(*tables, shown, self.budget, self.majority) for shown in shown_measures(results)]
        curves = {name: results.lr_curves[name] for name in self.look.order if name in results.lr_curves}
        self.lrs = LRCurves(curves, self.groups, self.look, results.config["steps_per_epoch"], self.budget)

    def poster(self, title: str) -> Figure:
        "comparison.png."
        curves = [Column(f"validation {c.measure.label}", c.panel, "epoch", 1.2) for c in self.curves]
        columns = [Column("learning rate", self.lrs.panel, "epoch", 1.0), *curves, *self._finals()]
        caption = protocol.caption(self.results, self.runs)
        return comparison(self.look, self.groups_of_words, columns, title, caption)

    @property
    def groups_of_words(self) -> dict[str, list[str]]:
        return {word: list(own.schedule) for word, own in self.rank.table.groupby("group", sort=False)}

    def _finals(self) -> list[Column]:
        "What judges after the last epoch, and another measure beside it."
        table, results = self.rank.table, self.results
        ends = table.set_index("schedule")[["mean", "low", "high"]]
        own = Final(self.runs, self.measure, self.look, ends).decided(table, results.tolerance, results.majority)
        others = [c.measure for c in self.curves if c.measure.name != self.measure.name]
        finals = [own, *(Final(self.runs, other, self.look) for other in others[:1])]
        return [
            Column(
                f"final {final.measure.label}",
                final.panel,
                f"{measured_on(self.runs, final.measure.judge)} {final.measure.label}",
                1.5 - 0.4 * place,
            )
            for place, final in enumerate(finals)
        ]

    def pictures(self) -> list[Picture]:
        "In reading order."
        found = [self._final_picture()] if self.rank.table.n.any() else []
        found += [self._budgets_picture()] if self.has_budgets else []
        found += self._curve_pictures() if len(self.epochs) else []
        found += [self._lr_picture()] if self.lrs.curves else []
        found += [self._lr_find_picture()] if self.results.lr_find is not None and len(self.results.lr_find) else []
        scores = tuning_scores(self.results.trials[self.results.trials.budget == self.budget], self.measure)
        return [*found, self._tuning_picture(scores)] if len(scores) else found

    def _final_picture(self) -> Picture:
        columns = self._finals()
        title = f"{' and '.join(column.x for column in columns).capitalize()} after {plural(self.budget, 'epoch')}"
        note = "Small dots: seeds. Large dots and bars: mean and 95 % interval. Grey band: the tolerance."
        return Picture("final", title, note, partial(final_values, self.look, self.groups_of_words, columns))

    def _budgets_picture(self) -> Picture:
        title, note = protocol.budgets_finding(self.summary), "Each point is trained for its own budget."
        draw = partial(panels.budgets_grid, self.summary, self.look, self.measure)
        caption = f"{protocol.caption(self.results, self.results.runs)} {note}"
        return Picture("budgets", title, note, draw, "budgets", caption)

    def _curve_pictures(self) -> list[Picture]:
        diamonds = " Diamonds: ends of cycles, where the LR is lowest." if len(self.cycles) else ""
        note = f"In colour one schedule, mean and 95 % interval over seeds. In grey the others.{diamonds}"
        is_cut = f"{note} The axis may cut off extreme values."
        return [
            Picture(
                c.measure.name, f"Validation {c.measure.label} by epoch", note if c.measure.is_share else is_cut, c.grid
            )
            for c in reversed(self.curves)
        ]

    def _lr_picture(self) -> Picture:
        note = "Recorded at every optimizer step of one run each."
        note += "" if len(self.groups) == 1 else f" Layer groups: {', '.join(self.groups)}."
        note += " The axis is logarithmic: 0 lies at its lower edge." if self.lrs.is_log else ""
        n = plural(len(self.lrs.curves), "schedule")
        title = f"The learning rates of {n} over {plural(self.budget, 'epoch')}"
        return Picture("lr", title, note, self.lrs.grid, "schedules", f"{protocol.where(self.results)}. {note}")

    def _lr_find_picture(self) -> Picture:
        draw = partial(panels.lr_find, self.results.lr_find, LRSuggestion.of_config(self.results.config))
        return Picture("lr-find", "LR range test (lr_find)", DASHED, draw)

    def _tuning_picture(self, scores: pd.DataFrame) -> Picture:
        chosen = self.results.config.get("tuned", {}).get("chosen", {}).get(str(self.budget), {})
        draw = partial(panels.tuning_grid, scores, chosen, self.look, self.measure)
        note = "Rings: the chosen LR. Crosses: a seed diverged or failed there."
        tried = protocol.lr_find_words(self.results) + protocol.tuning_words(self.results)
        caption = f"{protocol.where(self.results)}. {tried} {note}"
        return Picture("tuning", protocol.tuning_finding(chosen), note, draw, "tuning", caption)


def comparison(look: Look, groups: Groups, columns: Sequence[Column], title: str, caption: str) -> Figure:
    "comparison.png: one row per schedule, grouped by word: its LR, its curves, and the final values beside them."
    fig = Figure(figsize=(13, _height(groups, ROW)))
    bottom, top = style.frame(fig, title, caption)
    _draw_rows(fig, look, groups, columns, 0.15, bottom, top)
    return fig


def final_values(look: Look, groups: Groups, columns: Sequence[Column]) -> Figure:
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
