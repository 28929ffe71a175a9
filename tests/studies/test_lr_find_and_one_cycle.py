"""The recipes lr-find and one-cycle from the command line to the files, on scikit-learn's digits."""

import shutil

import pandas as pd
import pytest

from lrlab.recipes import cli
from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.studies.lr_find import report as lr_find_report
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


def test_lr_find_repeats_its_numbers(folder, tmp_path):
    "Alone in another folder, a seed gives the same curve, to the last digit."
    assert cli.main(command(tmp_path, seeds=1)) == 0
    again, first = ((made / "lr_find.csv").read_text().splitlines() for made in (tmp_path, folder))
    assert len(again) > 20 and again == first[: len(again)] and len(first) > len(again)


def test_another_question_in_the_same_folder_is_refused(folder, tmp_path, capsys):
    out = shutil.copytree(folder, tmp_path / "out")
    assert cli.main(command(out, bs=32)) == 2
    assert "bs = 64, this command has bs = 32" in capsys.readouterr().err
    assert cli.main([*command(out, seeds=1, num_it=6, bs=32), "--fresh"]) == 0
    assert pd.read_csv(out / "lr_find.csv").seed.nunique() == 1


def test_every_recipe_suggests_the_same_lr_over_the_same_seeds(tmp_path, capsys):
    "Whatever the threads and seeds of their runs."
    few = ["--data", "digits:200", "--size", "8", "--bs", "16"]
    alone, arch = ["--seeds", "1", "--epochs", "1", "--jobs", "1"], ["--arch", "small"]
    commands = {
        "lr-find": few,
        "one-cycle": [*few, *arch, "--epochs", "1", "--seed", "7"],
        "compare": [*few, *alone, "--schedules", "cosine", "--threads", "2"],
    }
    found = {}
    for recipe, options in commands.items():
        assert cli.main([recipe, *options, "--out", str(tmp_path / recipe)]) == 0
        manifest = Manifest.read(tmp_path / recipe)
        found[recipe] = manifest.lr_find, manifest.lr_find_range
        assert set(pd.read_csv(tmp_path / recipe / "lr_find.csv").seed) == {0, 1, 2}
    (lr, (low, high)), *others = found.values()
    assert all(other == (lr, [low, high]) for other in others) and low <= lr <= high
    assert f"lr_find suggests {format_number(lr)} ({format_number(low)} to" in capsys.readouterr().out


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
    assert "learn.fit_one_cycle(2, 1e-2)" in capsys.readouterr().out
