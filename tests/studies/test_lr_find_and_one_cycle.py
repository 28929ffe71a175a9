"""The recipes lr-find and one-cycle from the command line to the files, on scikit-learn's digits."""

import shutil
from io import StringIO

import numpy as np
import pandas as pd
import pytest

from lrlab.recipes import cli
from lrlab.recipes.kitchen.grid import study
from lrlab.recipes.kitchen.grid.range_tests import range_tests
from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.studies.compare import panels
from lrlab.recipes.studies.lr_find import report as lr_find_report
from lrlab.recipes.studies.one_cycle import report as one_cycle_report
from tests.studies.drawing import check_words, drawn


def command(out, seeds=2, num_it=60, bs=64) -> list[str]:
    options = {"data": "digits", "seeds": seeds, "num-it": num_it, "bs": bs, "out": out}
    return ["lr-find", *(f"--{name}={value}" for name, value in options.items())]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    "The folder of an LR range test of two seeds."
    out = tmp_path_factory.mktemp("lr_find") / "out"
    assert cli.main(command(out)) == 0
    return out


def test_lr_find_writes_curves_suggestions_and_a_figure(folder, capsys):
    curves, suggestions = pd.read_csv(folder / "lr_find.csv"), pd.read_csv(folder / "suggestions.csv")
    assert set(curves.columns) >= {"lr", "loss", "seed"} and curves.seed.nunique() == 2
    assert suggestions.lr.between(1e-7, 10).all() and set(suggestions.rule) <= {"valley", "slide", "minimum", "steep"}
    fig = drawn(lr_find_report.redraw, folder)
    check_words(fig)
    assert [len(line.get_xdata()) for line in fig.axes[0].lines[:2]] == curves.groupby("seed").size().tolist()
    written = (folder / "lr_find.csv").stat().st_mtime_ns
    assert (folder / "lr_find.png").exists() and cli.main(command(folder)) == 0
    assert "Use it: lr_max =" in capsys.readouterr().out
    assert (folder / "lr_find.csv").stat().st_mtime_ns == written, "the same command finds the results there"


@pytest.mark.usefixtures("undrawn")
def test_a_table_that_was_emptied_or_saved_by_excel_is_named_and_a_deleted_one_is_made_again(folder, tmp_path, capsys):
    out = shutil.copytree(folder, tmp_path / "out")
    curves, suggestions = out / "lr_find.csv", out / "suggestions.csv"
    for file, text in [(suggestions, suggestions.read_text().replace(",", ";")), (curves, "")]:
        file.write_text(text)
        assert cli.main(command(out)) == 2
        assert f"{file}: damaged" in capsys.readouterr().err.splitlines()[-1]
        file.unlink()
        assert cli.main(command(out)) == 0
    assert all((out / file.name).read_text() == (folder / file.name).read_text() for file in (curves, suggestions))


def test_a_file_that_changes_the_working_directory_does_not_move_the_results(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "moves.py").write_text("import os\n\nos.chdir('elsewhere')\n" + OWN.format(made="classifier"))
    assert cli.main("lr-find --learner moves.py:make --seeds 1 --num-it 6 --out here".split()) == 0
    assert f"Figure: {tmp_path / 'here' / 'lr_find.png'}" in capsys.readouterr().out
    assert (tmp_path / "here" / "lr_find.png").exists()


@pytest.mark.usefixtures("undrawn")
def test_losses_that_are_never_finite_suggest_nothing(folder, tmp_path):
    out = shutil.copytree(folder, tmp_path / "out")
    for file in (out / "lr_find.csv", out / "suggestions.csv"):
        file.write_text(file.read_text().splitlines()[0] + "\n")
    assert "No rule suggests an LR" in lr_find_report.redraw(Store(out)).text


@pytest.mark.usefixtures("undrawn")
def test_a_tilde_is_the_home_folder_in_out_and_in_report(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(folder, tmp_path / "out")
    assert cli.main(command("~/out")) == 0 and cli.main(["report", "~/out"]) == 0


@pytest.mark.usefixtures("undrawn")
def test_the_table_and_the_answer_name_one_median(folder, tmp_path):
    "Of two seeds, the middle of a log axis."
    out = shutil.copytree(folder, tmp_path / "out")
    lrs = pd.DataFrame({"seed": [0, 1] * 2, "rule": ["valley"] * 2 + ["steep"] * 2, "lr": [1e-4, 1e-2, 1e-6, 1e-2]})
    lrs.to_csv(out / "suggestions.csv", index=False)
    text = lr_find_report.redraw(Store(out)).text
    assert text.count("    1e-3 ") == 1 and "suggests 1e-3 (1e-4 to 1e-2" in text and " 1e-4 " in text
    assert "\nslide and minimum suggest no LR.\n" in text


@pytest.mark.usefixtures("undrawn")
def test_lr_find_repeats_its_numbers(folder, tmp_path):
    "Alone in another folder, a seed gives the same curve, to the last digit."
    assert cli.main(command(tmp_path, seeds=1)) == 0
    again, first = ((made / "lr_find.csv").read_text().splitlines() for made in (tmp_path, folder))
    assert len(again) > 20 and again == first[: len(again)] and len(first) > len(again)


@pytest.mark.usefixtures("undrawn")
def test_another_question_in_the_same_folder_is_refused(folder, tmp_path, capsys):
    out = shutil.copytree(folder, tmp_path / "out")
    assert cli.main(command(out, bs=32)) == 2
    assert "bs = 64, this command has bs = 32" in capsys.readouterr().err
    assert cli.main([*command(out, seeds=1, num_it=6, bs=32), "--fresh"]) == 0
    assert pd.read_csv(out / "lr_find.csv").seed.nunique() == 1


def test_one_cycle_trains_and_tells(tmp_path, capsys):
    out = tmp_path / "out"
    options = "--data digits --arch small --epochs 2 --lr-max 1e-2".split()
    assert cli.main(["one_cycle", *options, "--out", str(out)]) == 0
    epochs, steps = pd.read_csv(out / "epochs.csv"), pd.read_csv(out / "steps.csv")
    confusion = pd.read_csv(out / "confusion.csv", index_col=0)
    assert list(epochs.epoch) == [1, 2] and epochs.accuracy.iloc[-1] > 0.7
    assert steps.lr.max() == pytest.approx(1e-2, rel=1e-2) and steps.lr.iloc[-1] < 1e-4
    assert confusion.to_numpy().trace() / confusion.to_numpy().sum() == pytest.approx(epochs.accuracy.iloc[-1])
    assert (out / "one_cycle.png").exists()
    told, found = capsys.readouterr().out, LRSuggestion.of_config(Manifest.read(out).to_dict())
    distance = found.distance(1e-2)
    used = f"Used: lr_max = 1e-2, {distance}." if distance else f"Used: lr_max = 1e-2; lr_find suggests {found}."
    assert "learn.fit_one_cycle(2, 1e-2)" in told and used in told
    last = epochs.iloc[-1]
    assert (
        "[2/2] smoothed train loss" in told
        and f"valid loss {last.valid_loss:.4g}, accuracy {last.accuracy:.4g}, " in told
    )
    check_words(drawn(one_cycle_report.redraw, out))
    epochs.assign(valid_loss=np.nan).to_csv(out / "epochs.csv", index=False)
    assert drawn(one_cycle_report.redraw, out).get_suptitle() == "small diverged at lr_max 1e-2"
    assert "It diverged" in one_cycle_report.redraw(Store(out)).text


OWN = """
from tests.kitchen.tasks import {made}


def make():
    return {made}()
"""


@pytest.mark.parametrize(
    ("made", "panels", "says"),
    [
        ("classifier", ["learning rate", "loss", "validation accuracy", "validation: true and predicted class"], "%"),
        ("regression", ["learning rate", "loss", "validation rmse"], "Validation rmse: "),
    ],
)
def test_one_cycle_on_your_own_learner(tmp_path, capsys, monkeypatch, made, panels, says):
    monkeypatch.setattr(study, "range_tests", range_tests)  # with all its steps, to find an LR
    (tmp_path / "train.py").write_text(OWN.format(made=made))
    learner = f"--learner={tmp_path / 'train.py'}:make"
    assert cli.main(["one-cycle", learner, "--epochs=1", "--threads=1", f"--out={tmp_path / 'out'}"]) == 0
    printed = capsys.readouterr().out
    assert f"{says}" in printed and "after the last epoch" in printed
    fig = drawn(one_cycle_report.redraw, tmp_path / "out")
    check_words(fig)
    assert [ax.get_title() for ax in fig.axes] == panels
    question = Manifest.read(tmp_path / "out").question
    assert question["threads"] == 1 and question["learner"] == "make of train.py" and question["lr_max"] == "find"


@pytest.mark.usefixtures("undrawn")
def test_every_recipe_makes_the_same_range_tests_and_suggests_the_same_lr(tmp_path, capsys, monkeypatch):
    "The seeds and the threads of the training do not matter. A quarter of the steps are made here."
    asked = []

    def shorter(workload, images, seeds, num_it, *how):
        asked.append(num_it)
        return range_tests(workload, images, seeds, num_it // 4, *how)

    monkeypatch.setattr(study, "range_tests", shorter)
    few = ["--data=digits:120", "--size=8", "--bs=16"]
    commands = {
        "lr-find": [],
        "one-cycle": ["--arch=small", "--epochs=1", "--lr-max=find", "--seed=5"],
        "compare": ["--schedules=constant", "--epochs=1", "--seeds=4,", "--jobs=1", "--threads=2", "--lr-max=1e-6"],
    }
    for recipe, options in commands.items():
        assert cli.main([recipe, *few, *options, f"--out={tmp_path / recipe}"]) == 0
    assert asked == [asked[0]] * 3
    found = {recipe: Manifest.read(tmp_path / recipe) for recipe in commands}
    curves = {(tmp_path / recipe / "lr_find.csv").read_text() for recipe in commands}
    assert len(curves) == 1 and pd.read_csv(StringIO(curves.pop())).seed.unique().tolist() == [0, 1, 2]
    assert len({(one.lr_find, *one.lr_find_range) for one in found.values()}) == 1
    low, high = found["compare"].lr_find_range
    assert low <= found["compare"].lr_find <= high and low < high
    assert found["compare"].lr_find_cost["tests"] == 3
    assert found["one-cycle"].lr_max == format_number(found["compare"].lr_find)
    suggestion, told = LRSuggestion.of_config(found["compare"].to_dict()), capsys.readouterr().out
    assert told.count(f"lr_find suggests {suggestion}") >= 3 and "(1 seed" not in str(suggestion)
    assert f"Warning: the LR in use, 1e-6, is {suggestion.distance(1e-6)}." in told
    limit = f"The lr_max of all runs, 1e-6, is {suggestion.distance(1e-6)}. Another may change the order."
    assert limit in (tmp_path / "compare" / "report.html").read_text()


def test_curves_without_a_seed_are_still_drawn(folder):
    "lrlab 1.0 wrote those of one seed, and one number into the manifest."
    curves = pd.read_csv(folder / "lr_find.csv").query("seed == 0").drop(columns="seed")
    fig = panels.lr_find(curves, LRSuggestion.of_config({"lr_find": 4e-3}))
    curve, dashed = fig.axes[0].lines
    assert len(curve.get_xdata()) == len(curves) and list(dashed.get_xdata()) == [4e-3, 4e-3]
