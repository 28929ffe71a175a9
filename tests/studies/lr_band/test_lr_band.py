"""The safe band from question to answer: the grid widens, a later command extends it, the words, the recipe."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lrlab.callbacks import Constant, CosineDecay, PolynomialDecay, warmup
from lrlab.recipes import cli
from lrlab.recipes.kitchen.errors import NothingFinished, Refused, UserError
from lrlab.recipes.kitchen.learner_workload import LearnerWorkload
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.stats.band import judge_lrs
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.studies.compare.protocol import safe_words
from lrlab.recipes.studies.lr_band import report, study, words
from tests.kitchen.stats.test_band import NOISE, runs_of
from tests.kitchen.test_learner_workload import classifier
from tests.studies.drawing import check_words, drawn
from tests.studies.pasted import run_printed_code

OWN = LearnerWorkload(classifier)
SCHEDULES = {"constant": Constant(), "linear": PolynomialDecay(power=1.0)}


def question(**changes):
    asked = {"epochs": 1, "schedules": SCHEDULES, "seeds": [0, 1, 2], "lr_max": LearningRate(0.1), "points": 3}
    return study.Question(OWN, **asked | changes)


@pytest.fixture(scope="module", autouse=True)
def a_grid_that_widens_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "MAX_EXTENSIONS", 1)
        yield


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    out = tmp_path_factory.mktemp("lr_band") / "out"
    return out, study.answer(question(), out)


def test_the_answer_has_every_schedule_at_every_lr(answered):
    out, found = answered
    config = json.loads((out / "config.json").read_text())
    grid = [float(lr) for lr in config["tuned"]["grid"]]
    assert len(grid) >= 3 and list(found.bands.schedule) == ["constant", "linear"]
    assert len(found.runs) == 2 * 3 * len(grid)
    for schedule, own in found.lrs.groupby("schedule"):
        assert list(own.lr) == grid and (own.verdict == "best").sum() == 1, schedule
    assert config["initial_loss"] > 0 and found.bands.sensitivity.between(0, config["initial_loss"]).all()
    for name in ("band", "lrs", "runs"):
        assert (out / f"{name}.csv").exists()
    assert "LR sensitivity" in found.text and "learn.fit_schedule(1, " in found.text and "lr_find" in found.text


def test_the_code_that_trains_with_the_best_lr_runs_as_pasted(answered):
    learn = run_printed_code(answered[1].text, classifier=classifier)
    assert len(learn.recorder.values) == 1 and max(learn.recorder.lrs) <= 1.05 * max(answered[1].lrs.lr)


def test_the_grid_ends_where_lrs_are_costly_or_no_more_are_added(answered):
    _, found = answered
    ends = found.lrs[found.lrs.lr.isin([found.lrs.lr.min(), found.lrs.lr.max()])]
    assert (ends.verdict == "costly").all() or found.lrs.lr.nunique() > 3


def test_the_figure_has_a_panel_for_every_schedule_and_can_be_redrawn(answered, capsys):
    out, found = answered
    fig = drawn(report.redraw, out)
    check_words(fig)
    assert [ax.get_title().split(":")[0] for ax in fig.axes] == ["constant", "linear"]
    for ax, (_, row) in zip(fig.axes, found.bands.iterrows(), strict=True):
        assert ax.get_xscale() == "log"
        shaded = ax.patches[0].get_extents().transformed(ax.transData.inverted())
        assert shaded.x0 < row.low <= row.high < shaded.x1
    (out / "lr_band.png").unlink()
    assert cli.main(["report", str(out)]) == 0 and (out / "lr_band.png").exists()
    assert capsys.readouterr().out.strip() == found.text.strip()


@pytest.mark.usefixtures("undrawn")
def test_a_later_command_adds_seeds_and_schedules(answered, capsys):
    out, before = answered
    more = study.answer(question(seeds=[3], schedules={"cosine": CosineDecay()}), out)
    printed = capsys.readouterr().out
    assert "is extended: the answer covers 4 seeds, 3 schedules" in printed
    assert list(more.bands.schedule) == ["constant", "linear", "cosine"] and set(more.runs.seed) == {0, 1, 2, 3}
    assert more.lrs.lr.nunique() >= before.lrs.lr.nunique()
    assert json.loads((out / "config.json").read_text())["question"]["looks"] == 2
    study.answer(question(), out)
    assert "To do" not in capsys.readouterr().out, "nothing is trained again"
    with pytest.raises(Refused, match=r"there linear is PolynomialDecay\(power=1.0"):
        study.answer(question(schedules={"linear": PolynomialDecay(power=3.0)}), out)


@pytest.mark.filterwarnings("error:constrained_layout")  # lr_find's LR is far below the grid
def test_in_a_limited_time_seeds_are_left_out_and_the_answer_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study, "MAX_EXTENSIONS", 0)
    monkeypatch.setattr(study, "seeds_in_time", lambda study, left, minutes, started: list(left)[:1])
    asked = question(seeds=[0, 1, 2, 3, 4, 5], schedules={"constant": Constant()}, minutes=10)
    found = study.answer(asked, tmp_path)
    assert (found.runs.groupby("lr_max").seed.nunique() == 4).all() and found.runs.lr_max.nunique() == 3
    assert "In 10 minutes there was time for 4 of 6 seeds." in found.text
    assert (
        "unfinished" not in found.text and "looks" not in json.loads((tmp_path / "config.json").read_text())["question"]
    )
    capsys.readouterr()
    assert study.answer(asked, tmp_path).text == found.text and "To do" not in capsys.readouterr().out
    more = study.answer(replace(asked, minutes=20), tmp_path)
    assert set(more.runs.seed) == {0, 1, 2, 3, 4} and "time for 5 of 6 seeds" in more.text
    assert json.loads((tmp_path / "config.json").read_text())["question"]["looks"] == 2


def verdicts(**words_of):
    "The rows of `judge_lrs` at 1e-3, 1e-2 and 1e-1 for two schedules."
    rows = [
        (name, lr, verdict)
        for name, own in words_of.items()
        for lr, verdict in zip((1e-3, 1e-2, 1e-1), own, strict=True)
    ]
    return pd.DataFrame(rows, columns=["schedule", "lr", "verdict"])


@pytest.mark.parametrize(
    ("own", "grid"),
    [
        ((["costly", "best", "costly"], ["costly", "best", "costly"]), [-1, 0, 1]),
        ((["costly", "best", "open"], ["costly", "best", "costly"]), [-1, 0, 1, 2]),
        ((["safe", "best", "costly"], ["costly", "best", "costly"]), [-2, -1, 0, 1]),
        ((["open", "open", "open"], ["costly", "best", "best"]), [-2, -1, 0, 1, 2]),
    ],
)
def test_the_grid_grows_at_an_end_that_is_not_costly_for_all(own, grid):
    table = verdicts(constant=own[0], linear=own[1])
    assert study.wider([-1, 0, 1], [-1, 0, 1], table) == grid
    most = study.MAX_EXTENSIONS
    full = list(range(-1 - most, 2 + most))
    assert study.wider(full, [-1, 0, 1], table) == full


def answer_of(*schedules, tolerance=None):
    "The bands, and the sentence of the first, of schedules with these mean accuracies at LRS."
    runs = pd.concat(
        [runs_of(np.array(means)[:, None] + NOISE, name) for name, means in zip("ab", schedules, strict=False)]
    )
    table = judge_lrs(runs, tolerance=tolerance)
    bands = words.summarize(table, runs, 2.3)
    found = LRSuggestion({0: 1e-3, 1: 1e-3})
    return words.finding(bands), words.sentence(bands.iloc[0], table, found, Measure().tolerance_words(tolerance))


PEAK, WIDE, FLAT = [0.5, 0.9, 0.5, 0.4], [0.5, 0.9, 0.898, 0.4], [0.899, 0.9, 0.898, 0.897]


@pytest.mark.parametrize(
    ("schedules", "finding", "sentence"),
    [
        ([WIDE], "With a, LRs from 1e-3 to 1e-2 are safe", "any LR from 1e-3 to 1e-2 is within 1 point of the best; "),
        ([WIDE, PEAK], "a has the widest safe band: from 1e-3 to 1e-2", "lr_find's 1e-3 is inside."),
        ([WIDE, WIDE], "With every schedule the safe band is 10 times wide", "With a, any LR"),
        ([PEAK, PEAK], "Only the best LR is shown to be safe: train more seeds", "With a, only 1e-3 is shown to be"),
        ([FLAT], "With a, LRs from 1e-4 to 1e-1 are safe", "; lower and higher LRs were not tried; lr_find's 1e-3"),
        ([PEAK[::-1]], "Only the best LR is shown to be safe: train more seeds", "lr_find's 1e-3 is too low."),
    ],
)
def test_the_answer_in_words(schedules, finding, sentence):
    said, first = answer_of(*schedules)
    assert said == finding and len(said.split()) <= 12
    assert sentence in first and first.endswith(".")


def test_a_wider_band_has_a_lower_sensitivity_beyond_chance():
    runs = pd.concat([runs_of(np.array(m)[:, None] + NOISE, name) for name, m in (("wide", WIDE), ("peak", PEAK))])
    table = judge_lrs(runs)
    bands = words.summarize(table, runs, 2.3).set_index("schedule", drop=False)
    assert bands.sensitivity_verdict.to_dict() == {"wide": "best", "peak": "behind"}
    assert bands.sensitivity["wide"] == pytest.approx(0.9 - np.mean(WIDE), abs=2e-3)
    numbers, forgiving = words.sensitivity_words(bands, table)
    assert "wide 0.22" in numbers and "from 1e-4 to 1e-1" in numbers
    assert forgiving.startswith("wide forgives a wrong LR more: it loses less by 0.0")


def test_runs_that_all_diverge_are_said_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "MAX_EXTENSIONS", 0)
    asked = question(seeds=[0], schedules={"constant": Constant()}, lr_max=LearningRate(1e12))
    with pytest.raises(NothingFinished, match="no run finished; a lower `lr_max` may help"):
        study.answer(asked, tmp_path)
    assert (tmp_path / "runs.csv").exists() and not (tmp_path / "lr_band.png").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"judge": Measure("dice")}, "`judge` dice: no run has it"),
        ({"schedules": {"x": warmup(PolynomialDecay(power=1.0), 900)}}, "`schedules` x: "),
    ],
)
def test_what_cannot_run_is_refused_before_anything_is_written(changes, says, tmp_path):
    with pytest.raises(UserError, match=says):
        study.answer(question(**changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_recipe(tmp_path, capsys):
    options = "--data digits:60 --size 8 --bs 6 --epochs 1 --seeds 1 --points 3 --lr-max 1e-2 --schedules linear"
    options += " --jobs 1 --log tensorboard"
    assert cli.main(["lr-band", *options.split(), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "1 seed cannot decide which LRs are safe" in printed and "has the best mean of 1 seed" in printed
    assert (tmp_path / "out" / "lr_band.png").exists()
    runs = json.loads((tmp_path / "out" / "logged.json").read_text())["tensorboard"].values()
    assert {run["said"]["answer"] for run in runs} == {"1 seed cannot decide which LRs are safe."}
    assert {run["said"]["verdict"] for run in runs} == {"best", "open"}
    assert "one LR" not in printed, "no LR is called safe"
    assert "with --seeds 3 adds seeds" in printed, "two would not decide either"
    (panel,) = drawn(report.redraw, tmp_path / "out").axes
    assert panel.get_title().startswith("linear: best mean at ") and not panel.patches


def test_compare_tells_the_bands_of_the_runs_that_tuned_its_lrs():
    runs = pd.concat([runs_of(np.array(m)[:, None] + NOISE, name) for name, m in (("wide", WIDE), ("peak", PEAK))])
    short = runs.assign(budget=1, accuracy=0.5)
    results = SimpleNamespace(trials=pd.concat([runs.assign(budget=3), short]), measure=Measure(), tolerance=None)
    assert safe_words(results) == " Shown to miss less than 1 point there: wide 1e-3 to 1e-2, peak 1e-3."
    results.trials = runs.assign(budget=3, status="diverged")
    assert safe_words(results) == ""
