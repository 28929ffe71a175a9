"""Descent on surfaces whose minima and stability limits are known exactly, and the counts made of it."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime

from lrlab.callbacks import Constant, CosineRestarts
from lrlab.recipes import cli, gradient_descent
from lrlab.recipes.studies.gradient_descent import descent
from lrlab.recipes.studies.gradient_descent import figure as descent_figure
from lrlab.recipes.studies.gradient_descent.surfaces import BOWL, SURFACES, VALLEY
from tests.studies.drawing import check_words


@pytest.mark.parametrize("surface", [BOWL, VALLEY, *SURFACES.values()])
def test_the_gradient_is_that_of_the_value(surface):
    for point in np.random.default_rng(0).uniform(-3, 3, (20, 2)):
        assert surface.gradient(point) == pytest.approx(approx_fprime(point, surface.value, 1e-7), abs=1e-5)


@pytest.mark.parametrize("surface", [BOWL, VALLEY])
def test_descent_converges_below_the_limit_and_diverges_above_it(surface):
    start = np.array([1.0, 1.0])
    below, above = (descent.descend(surface, start, np.full(4000, f * surface.limit)) for f in (0.99, 1.01))
    assert surface.value(below[-1]) < 1e-6
    assert surface.value(above[-1]) > 1e6


def test_a_path_that_leaves_every_bound_ends_without_warnings_and_counts_as_lost(recwarn):
    surface = SURFACES["wide"]
    ended = descent.descend(surface, np.ones((3, 2)), np.full(300, 1e3))[-1]
    assert not surface.in_lowest(ended).any() and not recwarn.list


@pytest.mark.parametrize("name", SURFACES)
def test_the_global_minimum_is_what_the_name_says(name):
    surface = SURFACES[name]
    assert np.abs(surface.gradient(surface.minima)).max() < 1e-9
    widths = np.array(surface.widths)
    assert widths[surface.lowest] == (widths.max() if name == "wide" else widths.min())
    assert surface.in_lowest(surface.minima).tolist() == [i == surface.lowest for i in range(len(widths))]


def test_a_tiny_lr_leaves_every_start_in_its_own_basin():
    question = descent.Question({"constant": Constant()}, epochs=2, starts=200, noise=1.0, seed=3)
    starts, noise = descent.draws(question, 1, 200)
    surface = SURFACES["wide"]
    ended = descent.descend(surface, starts, descent.lr_curve(question, "constant", 1e-4), noise)[-1]
    assert (surface.in_lowest(ended) == surface.in_lowest(starts)).mean() > 0.98


def test_the_finding_sets_the_best_beside_another_schedule():
    def said(**wide):
        rows = [("wide", name, share) for name, share in wide.items()]
        rows += [("narrow", name, 0.3) for name in wide] + [("narrow", "start", 0.1)]
        return descent.details(pd.DataFrame(rows, columns=["surface", "schedule", "share"])).split(". ")[0]

    start = "Wide global minimum: "
    assert said(constant=0.8, sgdr=0.9) == start + "sgdr finds it from 90 % of the starts, constant from 80 %"
    first = start + "constant finds it from 94 % of the starts"
    assert said(constant=0.94, sgdr=0.7, cosine=0.9) == first + ", the next best, cosine, from 90 %"
    assert said(constant=0.94) == first


def test_the_recipe_answers_and_a_fresh_folder_gives_the_same_numbers(tmp_path, capsys):
    options = ["--starts", "60", "--epochs", "6", "--schedules", "constant,sgdr"]
    for folder in ("a", "b"):
        assert cli.main(["gradient-descent", *options, "--out", str(tmp_path / folder)]) == 0
    assert "finds a wide global minimum" in capsys.readouterr().out
    a, b = (pd.read_csv(tmp_path / folder / "shares.csv") for folder in ("a", "b"))
    pd.testing.assert_frame_equal(a, b)
    assert (tmp_path / "a" / "gradient_descent.png").exists()
    tuning = pd.read_csv(tmp_path / "a" / "tuning.csv")
    shapes = {"constant": Constant(), "sgdr": CosineRestarts(cycle_len=1)}
    fig = descent_figure.draw(descent.Question(shapes, 6, 60, 1.0, 0), a, tuning)
    check_words(fig)
    wide = a[(a.surface == "wide") & (a.schedule != "start")].sort_values("share", ascending=False)
    (ax,) = [ax for ax in fig.axes if ax.get_title() == "wide global minimum" and ax.get_xlabel()]
    assert [label.get_text() for label in ax.get_yticklabels()] == wide.schedule.tolist()
    assert [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"] == pytest.approx(wide.share.tolist())
    assert set(a.schedule) == {"constant", "sgdr", "start"} and a.share.between(a.low, a.high).all()


def test_the_same_command_does_not_descend_again(tmp_path, monkeypatch):
    options = {"starts": 20, "epochs": 3, "schedules": "constant", "out": str(tmp_path)}
    first = gradient_descent.main(**options)
    monkeypatch.setattr("lrlab.recipes.studies.gradient_descent.study.tune", None)
    monkeypatch.setattr("lrlab.recipes.studies.gradient_descent.study.measure", None)
    pd.testing.assert_frame_equal(gradient_descent.main(**options).shares, first.shares)


@pytest.mark.parametrize(
    "option, value",
    [("--starts", "0"), ("--noise", "-1"), ("--schedules", "cosin"), ("--schedules", "StepDecay(0.01)")],
)
def test_bad_options_are_one_sentence(tmp_path, capsys, option, value):
    assert cli.main(["gradient-descent", option, value, "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
