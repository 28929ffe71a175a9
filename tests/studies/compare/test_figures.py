"""The figures of a comparison show what is in its tables: order, axes, lines and words."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.studies.compare.panels import DECADES, Look, LRCurves
from lrlab.recipes.studies.compare.ranking import MEANINGS, UNFINISHED
from lrlab.recipes.studies.compare.report import make_report
from lrlab.recipes.studies.compare.results import read
from tests.studies.drawing import check_words

REFERENCE = Path(__file__).parents[3] / "results" / "reference" / "compare"
COLUMNS = ("learning rate", "validation loss", "validation accuracy", "final accuracy", "final loss")


@pytest.fixture(scope="module")
def results():
    return read(Store(REFERENCE))


@pytest.fixture(scope="module")
def report(results):
    return make_report(results)


@pytest.fixture(scope="module")
def drawn(report):
    return report.files()


def panel_titles(fig) -> list[str]:
    return [ax.get_title(loc="left") for ax in fig.axes if ax.get_visible()]


def named(fig, order: list[str]) -> list[str]:
    return [text.get_text() for text in fig.texts if text.get_text() in order]


def test_every_figure_has_the_order_of_the_ranking(report, drawn):
    order = [row.schedule for row in report.rankings[0].rows]
    assert named(drawn["comparison"], order) == order == panel_titles(drawn["schedules"])
    for picture in report.pictures:
        if picture.name in ("accuracy", "loss", "lr"):
            assert panel_titles(picture.draw()) == order
    final = next(picture for picture in report.pictures if picture.name == "final").draw()
    assert named(final, order) == order and len(final.axes) == 2 * len(order)


def test_schedules_stand_below_their_word(report, drawn):
    "The recommended one first, and what every word means in the order of the words below the table."
    verdict_of = {row.schedule: row.verdict for row in report.rankings[0].rows}
    words = [text.get_text() for text in drawn["comparison"].texts if text.get_text().lower() in MEANINGS]
    assert [word.lower() for word in words] == [word for word in MEANINGS if word in verdict_of.values()]
    current = ""
    for text in (text.get_text() for text in drawn["comparison"].texts):
        current = text.lower() if text in words else current
        assert verdict_of.get(text, current) == current
    assert [arm.schedule for _, arm in report.summary.iterrows()] != list(verdict_of), "summary.csv is sorted by mean"


def test_the_poster_has_the_finding_and_the_final_numbers(report, drawn):
    fig = drawn["comparison"]
    check_words(fig)
    assert fig.get_suptitle() == report.finding and report.advice.schedule in report.finding
    assert [text.get_text() for text in fig.texts if text.get_text() in COLUMNS] == list(COLUMNS)
    rows, table = [fig.axes[i : i + 5] for i in range(0, len(fig.axes), 5)], report.rankings[0].table
    for row, arm in zip(rows, table.itertuples(), strict=True):
        for final, column in zip(row[3:], ("accuracy", "valid_loss"), strict=True):
            own = report.results.runs[report.results.runs.schedule == arm.schedule][column]
            assert numbers_of(final, size=8) == pytest.approx([own.mean()])
            assert sorted(numbers_of(final, size=4)) == pytest.approx(sorted(own))
    judged = rows[-1][3]
    assert all(label.get_text().endswith(" %") for label in judged.get_xticklabels())
    (band,) = judged.patches
    assert band.get_width() == pytest.approx(0.02), "the tolerance of one point both ways"
    assert not rows[-1][4].patches


def numbers_of(ax, size: int) -> list[float]:
    "The x values of the dots of one size: means have 8, seeds have 4."
    return [
        x for line in ax.lines if line.get_marker() == "o" and line.get_markersize() == size for x in line.get_xdata()
    ]


def test_a_schedule_looks_like_itself_on_a_linear_axis_with_zero(results, drawn):
    ax = drawn["schedules"].axes[0]
    assert ax.get_yscale() == "linear" and ax.get_ylim()[0] == 0
    recorded = results.lr_curves[ax.get_title(loc="left")]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), recorded.lr)
    np.testing.assert_allclose(ax.lines[0].get_xdata(), recorded.step / 30)


@pytest.mark.parametrize("factor, scale", [(1.0, "linear"), (DECADES / 2, "linear"), (2 * DECADES, "log")])
def test_layer_groups_that_are_decades_apart_get_a_log_axis(factor, scale):
    step = np.arange(60)
    groups = [pd.DataFrame({"step": step, "group": g, "lr": lr * (1 - step / 59)}) for g, lr in enumerate((1, factor))]
    look = Look(["a"], ["a"])
    fig = LRCurves({"a": pd.concat(groups)}, ["body", "head"], look, per_epoch=30, budget=2).grid()
    assert fig.axes[0].get_yscale() == scale


def test_the_most_frequent_class_is_a_line_where_the_runs_come_near_it(results, report):
    picture = next(picture for picture in report.pictures if picture.name == "accuracy")
    majority = results.config["data"]["majority"]
    for ax in picture.draw().axes:
        dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
        assert [line.get_ydata()[0] for line in dotted] == [majority] and ax.get_ylim()[0] < majority
    far = replace(results, config=results.config | {"data": results.config["data"] | {"majority": 0.1}})
    picture = next(picture for picture in make_report(far).pictures if picture.name == "accuracy")
    assert not [line for ax in picture.draw().axes for line in ax.lines if line.get_linestyle() == ":"]


def test_where_every_run_diverged_no_axis_is_crowded_and_nothing_is_ranked(results):
    steps = {name: curve[curve.step < 2] for name, curve in results.lr_curves.items()}
    runs = results.runs.assign(status="diverged", accuracy=np.nan, valid_loss=np.nan, epochs=0, steps=2)
    lost = replace(results, runs=runs, epochs=results.epochs.iloc[:0], cycles=results.cycles.iloc[:0], lr_curves=steps)
    report = make_report(lost)
    assert [picture.name for picture in report.pictures] == ["lr", "lr-find"] and report.advice is None
    assert f"lr_find suggests {LRSuggestion.of_config(results.config)}." in report.no_advice and report.words == ""
    fig = report.poster()
    low, high = fig.axes[0].get_xlim()
    ticks = [tick for tick in fig.axes[0].get_xticks() if low <= tick <= high]
    assert ticks == list(range(results.budget + 1)), "whole epochs"
    words = [text.get_text() for ax in fig.axes for text in ax.texts]
    assert words.count(f"{results.runs.seed.nunique()} diverged") == len(report.rankings[0].rows)
    assert UNFINISHED.upper() in [text.get_text() for text in fig.texts]


@pytest.mark.parametrize(("ends", "epochs"), [((0.6, 1.4), [1]), ((0, 2.1), [0, 1, 2]), ((0.6, 2.4), [1, 2])])
def test_an_axis_of_epochs_has_whole_ones_as_ticks(ends, epochs):
    ax = Figure().subplots()
    ax.set_xlim(ends)
    style.plain(ax, whole_epochs=True)
    assert [tick for tick in ax.get_xticks() if ends[0] <= tick <= ends[1]] == epochs


def test_coloured_words_can_be_read(report):
    look = Look(*[[row.schedule for row in report.rankings[0].rows]] * 2)
    for schedule in look.order:
        rgb = [int(look.text_colour(schedule)[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert style._contrast_on_white(np.array(rgb)) >= 4.4
