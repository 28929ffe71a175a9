"""Snapshots, their ensemble and average, the loss plane, and the recipe."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.basics import DataLoaders
from torch.utils.data import DataLoader

from lrlab.recipes import cli, snapshot_ensemble
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.studies.snapshot_ensemble import loss_plane
from lrlab.recipes.studies.snapshot_ensemble import report as snapshot_report
from lrlab.recipes.studies.snapshot_ensemble import runs as snapshots
from tests.kitchen import tasks
from tests.studies.drawing import check_words, drawn


def test_the_average_is_the_mean_of_the_weights_and_keeps_whole_numbers():
    states = [
        {"w": torch.tensor([0.0, 2.0]), "n": torch.tensor(3)},
        {"w": torch.tensor([2.0, 4.0]), "n": torch.tensor(7)},
    ]
    mean = snapshots.average(states)
    assert mean["w"].tolist() == [1.0, 3.0] and mean["n"].item() == 7


def test_the_plane_holds_its_three_points():
    points = [torch.randn(50, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    origin, axes, unit = loss_plane.basis(*points)
    assert torch.allclose(axes @ axes.T, torch.eye(2), atol=1e-6)
    for point in points:
        flat = (point - origin) @ axes.T
        assert torch.allclose(origin + flat @ axes, point, atol=1e-5)
    assert torch.allclose((points[1] - origin) @ axes.T, torch.tensor([unit, 0.0]), atol=1e-5)


def test_weights_survive_the_way_to_a_vector_and_back():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(4, 2)).to(memory_format=torch.channels_last)
    before = [p.detach().clone() for p in model.parameters()]
    vector = loss_plane._vector(model)
    with torch.no_grad():
        loss_plane._put(2 * vector, model)
        assert all(torch.equal(2 * a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    "A small ensemble, with a plane of 3 x 3 points."
    options = {"data": "digits:480", "epochs": 3, "cycles": 3, "seeds": "1", "bs": 64, "jobs": "1"}
    options |= {"out": str(tmp_path_factory.mktemp("snapshots"))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loss_plane, "RESOLUTION", 3)
        return options, snapshot_ensemble.main(**options)


def test_every_model_is_scored_and_the_plane_is_measured(answered, tmp_path):
    options, found = answered
    assert found.models.model.tolist() == [
        *("snapshot 1", "snapshot 2", "snapshot 3", "ensemble", "average"),
        *("cosine", "constant"),
    ]
    assert found.models.accuracy.between(0, 1).all()
    plane, paths = (pd.read_csv(f"{options['out']}/{name}.csv") for name in ("plane", "paths"))
    assert len(plane) == 3 * 3 and np.isfinite(plane.valid_loss).all()
    corners = paths[paths.schedule == "snapshot"]
    assert corners.away.abs().max() < 1e-3 and corners.x.tolist()[:2] == pytest.approx([0, 1], abs=1e-4)
    starts = paths[paths.epoch == 0].set_index("schedule")
    assert starts.x["sgdr"] == pytest.approx(starts.x["constant"], abs=1e-4), "both paths begin at the same weights"
    assert "No interval: these seeds cannot compare the ensemble with one cosine run." in found.text
    assert "The ensemble reaches " in found.text and "points (one seed)" in found.text and "nan to" not in found.text


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ((0.001, 0.03), "of 2 snapshots is better than one"),
        ((-0.03, -0.001), "is worse than"),
        ((-0.009, 0.009), "is as good as"),
        ((-0.02, 0.009), "cannot tell"),
    ],
)
def test_the_word_for_the_ensemble_follows_the_interval_and_the_tolerance(bounds, says):
    rows = [("snapshot 2", 0.0, 0.0), ("ensemble", *bounds)]
    assert says in snapshot_report.finding(pd.DataFrame(rows, columns=["model", "diff_low", "diff_high"]))


def test_the_figure_shows_every_model_and_the_plane(answered):
    options, found = answered
    fig = drawn(snapshot_report.redraw, options["out"])
    check_words(fig)
    lr, scores, _, plane = fig.axes[:4]
    assert [label.get_text() for label in scores.get_yticklabels()] == found.summary.model.tolist()
    means = [line.get_xdata()[0] for line in scores.lines if line.get_markersize() == 8 and line.get_marker() == "o"]
    assert means == pytest.approx(found.summary.accuracy.tolist())
    assert [line.get_label() for line in lr.lines[:3]] == ["sgdr", "cosine", "constant"]
    assert plane.get_visible() and any(line.get_label() == "snapshots" for line in plane.lines)


def test_without_an_interval_several_seeds_are_not_called_one():
    rows = [(name, 0.9, 0.01, np.nan, np.nan) for name in ("snapshot 2", "ensemble", "average", "cosine")]
    summary = pd.DataFrame(rows, columns=["model", "accuracy", "diff", "diff_low", "diff_high"])
    assert "+1.0 points (no interval)" in snapshot_report.details(summary.assign(n=2))
    assert "+1.0 points (one seed)" in snapshot_report.details(summary.assign(n=1))


@pytest.mark.parametrize("recipe", ["learning-rate", "snapshot-ensemble", "transfer", "transfer-vs-scratch"])
def test_a_folder_without_runs_is_told_so_and_keeps_its_tables(tmp_path, capsys, recipe):
    config = {"recipe": recipe, "question": {"data": "images"}, "data": {"counts": {"train": {"a": 1}}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "runs.csv").write_text("kept")
    assert cli.main(["report", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "no finished run yet; the same command continues" in said and said.count("\n") == 1
    assert (tmp_path / "runs.csv").read_text() == "kept"


def test_the_last_snapshot_is_the_end_of_the_run(answered):
    options, found = answered
    runs = pd.read_csv(f"{options['out']}/runs.csv").set_index("schedule")
    last = found.models.set_index("model").accuracy["snapshot 3"]
    assert last == pytest.approx(runs.accuracy["sgdr"], abs=1e-6)


@pytest.mark.usefixtures("undrawn")
def test_the_same_command_trains_nothing(answered, capsys):
    options, found = answered
    again = snapshot_ensemble.main(**options)
    assert "To do" not in capsys.readouterr().out
    pd.testing.assert_frame_equal(found.summary, again.summary)


def test_on_your_own_learner(tmp_path, monkeypatch, capsys):
    "Tabular: a model with several inputs, and targets [n, 1]."
    monkeypatch.setattr(loss_plane, "RESOLUTION", 2)
    (tmp_path / "train.py").write_text("from tests.kitchen.tasks import regression, tabular\n")
    asked = {"epochs": 3, "cycles": 3, "seeds": "1", "jobs": 1, "lr_max": 1e-2, "out": str(tmp_path / "out")}
    found = snapshot_ensemble.main(**asked, learner=f"{tmp_path / 'train.py'}:tabular")
    assert len(found.models) == 7 and found.models.accuracy.between(0, 1).all()
    runs = pd.read_csv(tmp_path / "out" / "runs.csv").set_index("schedule")
    models = found.models.set_index("model")
    assert models.accuracy["snapshot 3"] == pytest.approx(runs.accuracy["sgdr"], abs=1e-6)
    assert models.valid_loss["cosine"] == pytest.approx(runs.valid_loss["cosine"], rel=1e-4)
    plane = pd.read_csv(tmp_path / "out" / "plane.csv")
    assert len(plane) == 4 and np.isfinite(plane.valid_loss).all()
    fig = drawn(snapshot_report.redraw, tmp_path / "out")
    check_words(fig)
    assert fig.axes[2].get_ylabel() == "loss"
    learner = f"--learner={tmp_path / 'train.py'}:regression"
    assert cli.main(["snapshot-ensemble", learner, f"--out={tmp_path / 'none'}"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "expected a classification of one class per item" in said and said.endswith("FlattenedLoss of MSELoss()")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("option", [["--cycles", "1"], ["--cycles", "20"], ["--lr-max", "slice(1e-5,1e-3)"]])
def test_bad_options_are_one_sentence(tmp_path, capsys, option):
    assert cli.main(["snapshot-ensemble", *option, "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_loader_of_torch_gives_the_predictions_unless_it_shuffles():
    "It has no `new`, by which fastai makes a loader in the order of the data."
    items = list(zip(tasks.X, tasks.LABELS, strict=True))
    learns = [
        tasks.classifier(DataLoaders(DataLoader(items, 8), DataLoader(items[64:], 8, shuffle=shuffle)))
        for shuffle in (False, True)
    ]
    usual = tasks.classifier()
    usual.model.load_state_dict(learns[0].model.state_dict())
    for ours, theirs in zip(snapshots._probabilities(learns[0]), snapshots._probabilities(usual), strict=True):
        assert np.array_equal(ours, theirs)
    state = SimpleNamespace(snapshots=2 * [learns[1].model.state_dict()])
    with learns[1].no_bar(), pytest.raises(UserError, match="the validation loader gives other items each time"):
        snapshots._scores(learns[1], state)
