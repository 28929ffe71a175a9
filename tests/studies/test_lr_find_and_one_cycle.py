"""The recipes lr-find and one-cycle from the command line to the files, on scikit-learn's digits."""

import pandas as pd
import pytest

from lrlab.recipes import cli


def test_lr_find_writes_curves_suggestions_and_a_figure(tmp_path, capsys):
    out = tmp_path / "out"
    command = ["lr-find", "--data", "digits", "--seeds", "2", "--num_it=60", "--out", str(out)]
    assert cli.main(command) == 0
    curves, suggestions = pd.read_csv(out / "lr_find.csv"), pd.read_csv(out / "suggestions.csv")
    assert set(curves.columns) >= {"lr", "loss", "seed"} and curves.seed.nunique() == 2
    assert suggestions.lr.between(1e-7, 10).all() and set(suggestions.rule) <= {"valley", "slide", "minimum", "steep"}
    assert (out / "lr_find.png").stat().st_size > 20_000
    printed = capsys.readouterr().out
    assert "Use it: lr_max =" in printed
    assert cli.main(command) == 0
    assert capsys.readouterr().out == printed, "the same command finds the results there"


def test_lr_find_repeats_its_numbers(tmp_path, capsys):
    for name in ("a", "b"):
        cli.main(["lr-find", "--data", "digits", "--seeds", "1", "--num-it", "40", "--out", str(tmp_path / name)])
    a, b = ((tmp_path / name / "lr_find.csv").read_text() for name in ("a", "b"))
    assert a == b


def test_one_cycle_trains_and_tells(tmp_path, capsys):
    out = tmp_path / "out"
    command = [
        "one_cycle",
        "--data",
        "digits",
        "--arch",
        "small",
        "--epochs",
        "2",
        "--lr-max",
        "1e-2",
        "--out",
        str(out),
    ]
    assert cli.main(command) == 0
    epochs, steps = pd.read_csv(out / "epochs.csv"), pd.read_csv(out / "steps.csv")
    confusion = pd.read_csv(out / "confusion.csv", index_col=0)
    assert list(epochs.epoch) == [1, 2] and epochs.accuracy.iloc[-1] > 0.7
    assert steps.lr.max() == pytest.approx(1e-2, rel=1e-2) and steps.lr.iloc[-1] < 1e-4
    assert confusion.to_numpy().trace() / confusion.to_numpy().sum() == pytest.approx(epochs.accuracy.iloc[-1])
    assert (out / "one_cycle.png").exists()
    assert "learn.fit_one_cycle(2, 1e-2)" in capsys.readouterr().out


def test_another_question_in_the_same_folder_is_refused(tmp_path, capsys):
    out = str(tmp_path / "out")
    quick = ["lr-find", "--data", "digits", "--quick", "--out", out]
    assert cli.main(quick) == 0
    assert cli.main([*quick, "--bs", "32"]) == 2
    assert "bs = 64, this command has bs = 32" in capsys.readouterr().err
    assert cli.main([*quick, "--bs", "32", "--fresh"]) == 0
