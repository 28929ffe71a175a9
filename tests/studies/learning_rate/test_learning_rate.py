"""The diagnosis by its stated rule, the tutorial's published rows, and the recipe from start to answer."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.basics import DataLoaders, Learner

from lrlab.recipes import cli, learning_rate
from lrlab.recipes.kitchen.learner_workload import LearnerWorkload
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.studies.learning_rate import report as lr_report
from lrlab.recipes.studies.learning_rate import tutorial
from lrlab.recipes.studies.learning_rate.diagnosis import diagnose, guessing_loss, majority
from lrlab.recipes.studies.learning_rate.guessing import measure_guessing_loss
from lrlab.recipes.studies.learning_rate.tutorial import tutorial_rows
from tests.conftest import write_images
from tests.kitchen import tasks
from tests.studies.drawing import check_words, drawn

LN2 = np.log(2)


def curves(train, valid):
    return pd.DataFrame({"train_loss": train, "valid_loss": valid})


@pytest.mark.parametrize(
    "word, train, valid",
    [
        ("right", [0.6, 0.4, 0.35, 0.34], [0.5, 0.4, 0.38, 0.37]),
        ("right", [0.6, 0.4, 0.0052, 0.0026], [0.5, 0.4, 0.0002, 0.0016]),  # far below one percent of guessing
        ("cut short", [0.5], [0.4]),
        ("cut short", [0.6, 0.5, 0.4, 0.3], [0.6, 0.5, 0.4, 0.3]),
        ("overfitted", [0.6, 0.4, 0.2, 0.1], [0.5, 0.4, 0.45, 0.55]),
        ("hardly moved", [0.7, 0.69, 0.685, 0.68], [0.7, 0.69, 0.685, 0.68]),
        ("bounced", [0.5, 0.4, 0.3, 0.2, 0.1], [0.4, 0.6, 0.3, 0.6, 0.3]),
        ("bounced", [0.3, 0.2, 0.4, 0.4], [0.3, 0.2, 0.25, 0.28]),  # worse again, and not because of overfitting
        ("diverged", [0.5, np.nan], [0.5, np.nan]),
    ],
)
def test_the_word_follows_from_the_curves(word, train, valid):
    assert diagnose(curves(train, valid), [], LN2) == word


def test_a_spike_of_the_training_loss_is_bouncing():
    calm = np.linspace(0.7, 0.3, 50)
    spiked = calm.copy()
    spiked[30] = 2.5
    table = curves([0.6, 0.4, 0.35, 0.34], [0.5, 0.4, 0.38, 0.37])
    assert diagnose(table, calm, LN2) == "right"
    assert diagnose(table, spiked, LN2) == "bounced"


@pytest.mark.parametrize(
    "word, losses, train, valid",
    [
        ("hardly moved", [25.0, 24.8, 25.1], [25.0, 24.9], [25.0, 24.9]),  # a regression that starts far from its mean
        ("bounced", [25.0, 90.0, 40.0], [52.0, 40.0], [45.0, 40.0]),
        ("bounced", [0.8, 1.9, 0.7], [1.2, 0.7], [6.0, 5.0]),  # out and back in training, still far off in validation
    ],
)
def test_far_from_guessing_is_bouncing_only_if_the_run_went_there(word, losses, train, valid):
    assert diagnose(curves(train, valid), np.array(losses), LN2) == word


def test_a_stopped_run_diverged_even_before_its_first_epoch():
    assert diagnose(curves([], []), [5.0, np.inf], LN2, diverged=True) == "diverged"


def test_guessing_is_the_entropy_of_the_classes():
    assert guessing_loss([50, 50]) == pytest.approx(LN2)
    assert guessing_loss([100, 0]) == 0.0
    assert guessing_loss([1, 1, 1, 1]) == pytest.approx(np.log(4))


def test_the_word_of_several_seeds_says_when_they_differ():
    assert majority(pd.Series(["right"] * 3)) == "right"
    assert majority(pd.Series(["bounced", "right", "bounced"])) == "bounced (2 of 3)"
    assert majority(pd.Series(["right", "overfitted"])) == "overfitted / right"


def test_the_tutorials_rows_are_whole_and_each_is_a_count_of_its_2886_images():
    rows = tutorial_rows()
    assert len(rows) == 49 and rows.groupby(["lr", "epochs"]).size().to_dict() == {
        (1e-6, 8): 8,
        (3e-4, 1): 1,
        (3e-4, 30): 30,
        (0.1, 10): 10,
    }
    errors = (1 - rows.accuracy) * 2886
    assert np.abs(errors - errors.round()).max() < 0.01


def test_what_the_rule_says_of_the_tutorials_runs():
    "Its prose says that 1e-6 does not move and that 30 epochs overfit; its own numbers say otherwise."
    words = {key: diagnose(run, [], LN2) for key, run in tutorial_rows().groupby(["lr", "epochs"])}
    assert words == {(0.1, 10): "bounced", (1e-6, 8): "cut short", (3e-4, 1): "cut short", (3e-4, 30): "right"}


def test_our_epochs_stand_beside_the_tutorials_of_the_same_lr_and_length_and_other_data_are_said():
    ours = [("too short", 3e-4, 0, 1, 0.6), ("too high", 0.1, 0, 2, 0.5)]
    ours += [(arm, 3e-4, seed, 1, 0.7 + 0.2 * seed) for arm in ("right", "too long") for seed in (0, 1)]
    epochs = pd.DataFrame(ours, columns=["schedule", "lr_max", "seed", "epoch", "accuracy"]).assign(valid_loss=0.25)
    data = {"title": "Ships and trucks", "counts": {"train": {"ship": 400, "truck": 350}}}
    lines = tutorial.beside_the_tutorial(epochs, {"question": {"data": "ships"}, "data": data})
    assert "Our data are different (Ships and trucks: 750 training images, the tutorial had 11,548)" in lines[1]
    rows = {tuple(line.split()[:2]) + (line.split()[-1],): line.split()[-2] for line in lines[4:]}
    assert rows["0.0003", "1", "1"] == "60.00", "one epoch beside one epoch"
    assert rows["0.0003", "1", "2"] == "80.00", "the mean over seeds: both longer runs of a seed begin the same way"
    assert rows["0.1", "2", "1"] == "50.00" and rows["0.1", "4", "0"] == "-"
    lines = tutorial.beside_the_tutorial(epochs, {"question": {"data": "mnist_sample"}, "data": data})
    assert "different" not in " ".join(lines)


def test_the_title_names_the_best_arm_also_where_it_is_not_the_right_one():
    rows = [("too long", "3e-3", 30, 0.796), ("right", "3e-3", 8, 0.785), ("too high", "1e-1", 8, np.nan)]
    summary = pd.DataFrame(rows, columns=["arm", "lr", "epochs", "accuracy"])
    assert lr_report.finding(summary) == '"too long" is best: LR 3e-3 for 30 epochs, 79.6 %'
    assert lr_report.finding(summary.iloc[1:]) == "LR 3e-3 for 8 epochs is best here: 78.5 %"
    summary.loc[1, "accuracy"] = 0.795
    assert lr_report.finding(summary) == "LR 3e-3 for 8 epochs is enough: 79.5 %; 30 gain 0.1 points"
    summary.loc[0, "accuracy"] = 0.795
    assert lr_report.finding(summary) == "LR 3e-3 for 8 epochs is as good as any here: 79.5 %"
    assert lr_report.finding(summary.iloc[2:]) == "No run finished"


def test_n_counts_the_runs_that_the_interval_is_of():
    runs = pd.DataFrame({"schedule": "too high", "lr_max": "1e-1", "budget": 8, "accuracy": [0.6, np.nan, 0.7]})
    row = lr_report.summarize(runs.assign(valid_loss=runs.accuracy, diagnosis=["right", "diverged", "right"])).iloc[0]
    assert row.n == 2 and row.accuracy == pytest.approx(0.65) and row.diagnosis == "right (2 of 3)"


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    "A lesson of seconds: 96 images of two classes that differ in their brighter half."
    folder = tmp_path_factory.mktemp("images")
    for i, name in enumerate(("left", "right")):
        write_images(folder / name, 48, seed=i, size=12)
    return {"data": str(folder), "epochs": 2, "long": 3, "seeds": "1", "lr": "3e-3", "jobs": "1", "size": 12, "bs": 16}


def test_the_recipe_tells_draws_and_keeps(options, tmp_path, capsys):
    first = learning_rate.main(**options, out=str(tmp_path / "a"))
    assert "hardly moved" in first.text and lr_report.finding(first.summary) + "." in first.text.splitlines()
    assert "nan to" not in first.text, "one seed has no interval"
    assert list(first.summary.arm) == ["too high", "too low", "too short", "too long", "right"]
    assert (first.summary.n == 1).all() and (tmp_path / "a" / "learning_rate.png").exists()
    fig = drawn(lr_report.redraw, tmp_path / "a")
    check_words(fig)
    for column, arm in enumerate(first.summary.itertuples()):
        title, (loss, valid, accuracy) = fig.axes[column].get_title().splitlines(), fig.axes[column::5]
        assert (title[0], title[2]) == (arm.arm, arm.diagnosis)
        assert valid.lines[0].get_ydata()[-1] == pytest.approx(arm.loss)
        assert accuracy.lines[0].get_ydata()[-1] == pytest.approx(arm.accuracy) and len(loss.lines[0].get_xdata()) > 1
    capsys.readouterr()
    again = learning_rate.main(**options, out=str(tmp_path / "a"))
    assert "To do" not in capsys.readouterr().out, "nothing is trained twice"
    pd.testing.assert_frame_equal(first.summary, again.summary)
    fresh = learning_rate.main(**options, out=str(tmp_path / "b"))
    pd.testing.assert_frame_equal(first.epochs.drop(columns="seconds"), fresh.epochs.drop(columns="seconds"))


def with_loaders_of_torch():
    learn = tasks.regression()
    parts = [torch.utils.data.DataLoader(list(loader.dataset), 8) for loader in learn.dls.loaders]
    return Learner(DataLoaders(*parts), learn.model, loss_func=learn.loss_func)


@pytest.mark.parametrize(
    ("make", "guess"),
    [
        (tasks.classifier, guessing_loss(torch.bincount(tasks.LABELS[64:]).tolist())),
        (tasks.regression, float(tasks.X[64:].sum(1).var(correction=0))),
        (with_loaders_of_torch, float(tasks.X[64:].sum(1).var(correction=0))),
        (tasks.multi_label, np.mean([guessing_loss([n, 32 - n]) for n in (tasks.X[64:] > 0).sum(0).tolist()])),
    ],
)
def test_guessing_on_your_own_learner_is_the_best_constant_answer(make, guess):
    assert measure_guessing_loss(LearnerWorkload(make), None, 0) == pytest.approx(guess, rel=1e-4)


def test_a_learner_with_several_outputs_is_measured_untrained():
    workload = LearnerWorkload(tasks.segmentation)
    untrained = workload.learner(0).validate()[0]
    assert measure_guessing_loss(workload, None, 0) == pytest.approx(untrained)


def test_on_your_own_learner_its_metric_judges(tmp_path):
    (tmp_path / "train.py").write_text("from tests.kitchen.tasks import regression\n")
    asked = {
        "epochs": 2,
        "long": 3,
        "seeds": 1,
        "lr": 1e-2,
        "jobs": 1,
        "learner": f"{tmp_path / 'train.py'}:regression",
    }
    found = learning_rate.main(**asked, out=str(tmp_path / "out"))
    assert list(found.summary.columns[:7]) == ["arm", "lr", "epochs", "n", "rmse", "rmse_low", "rmse_high"]
    best = found.summary.sort_values("rmse").iloc[0]
    assert best.arm in lr_report.finding(found.summary, Measure.of("-rmse")) and f"rmse {best.rmse:#.4g}" in found.text
    fig = drawn(lr_report.redraw, tmp_path / "out")
    check_words(fig)
    assert fig.axes[10].get_ylabel() == "validation rmse" and "Adam" not in fig.texts[-1].get_text()


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_explodes_is_a_row_and_a_word(options, tmp_path):
    found = learning_rate.main(**options | {"high": 1e6}, out=str(tmp_path))
    row = found.summary.set_index("arm").loc["too high"]
    assert row.diagnosis == "diverged"
    assert found.runs.set_index("schedule").status["too high"] == "diverged"


def test_a_suggested_lr_that_is_not_between_low_and_high_is_refused_before_training(tmp_path, capsys, monkeypatch):
    made = SimpleNamespace(to_df=pd.DataFrame, suggestions={"valley": 0.2}, reasons={})
    monkeypatch.setattr("lrlab.recipes.kitchen.grid.range_tests.range_test", lambda *args: made)
    assert cli.main(["learning-rate", "--data", "digits", "--seeds", "1", "--out", str(tmp_path)]) == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith(
            "--low 1e-06, the suggested LR 0.2, --high 0.1: expected a low, a right and a high LR, in ascending order; "
            "choose another --low or --high, with --fresh"
        )
    )
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize(
    "option", [["--high", "-1"], ["--lr", "0"], ["--lr", "0.2"], ["--long", "0"], ["--data", "solra"]]
)
def test_bad_options_are_one_sentence(tmp_path, capsys, option):
    assert cli.main(["learning-rate", *option, "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
