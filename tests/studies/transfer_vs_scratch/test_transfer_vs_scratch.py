"""The grids of both starts: cells, the best of them, what a common accuracy costs, and the recipe."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from lrlab.recipes import cli, transfer_vs_scratch
from lrlab.recipes.kitchen.errors import NothingFinished
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.studies.transfer_vs_scratch import figure as lr_epochs_figure
from lrlab.recipes.studies.transfer_vs_scratch import report as lr_epochs
from tests.studies.drawing import check_words, drawn

prepare_torchvision()  # timm imports torchvision
pytest.importorskip("timm")

CELLS = pd.DataFrame(
    [
        ("pretrained", 1e-3, 1, 3, 0.80, 0.78, 0.82, 10, 1.0),
        ("pretrained", 1e-2, 1, 3, 0.70, 0.60, 0.80, 10, 1.0),
        ("pretrained", 1e-3, 4, 3, 0.90, 0.89, 0.91, 40, 4.0),
        ("scratch", 1e-3, 4, 3, 0.60, 0.55, 0.65, 40, 4.0),
        ("scratch", 1e-2, 4, 3, 0.75, 0.70, 0.80, 40, 4.0),
        ("scratch", 1e-1, 4, 0, np.nan, np.nan, np.nan, 5, 1.0),
    ],
    columns="start lr epochs n accuracy accuracy_low accuracy_high steps seconds".split(),
)


def test_the_best_cell_and_what_a_common_accuracy_costs():
    assert lr_epochs.best(CELLS, "pretrained").epochs == 4 and lr_epochs.best(CELLS, "scratch").lr == 1e-2
    assert lr_epochs.common_target(CELLS) == 0.75
    assert lr_epochs.cheapest(CELLS, "pretrained", 0.75).to_dict()["epochs"] == 1
    assert lr_epochs.cheapest(CELLS, "scratch", 0.99) is None
    assert lr_epochs.finding(CELLS) == "To reach 75.0 %: 1 epoch pretrained, 4 epochs from scratch"
    assert (
        lr_epochs.details(CELLS)[-1] == "To reach 75.0 %: pretrained 1 epoch (10 steps), scratch 4 epochs (40 steps)."
    )
    alone = CELLS[CELLS.start == "pretrained"]
    assert lr_epochs.finding(alone) == "No scratch run finished" and "scratch: nothing finished." in lr_epochs.details(
        alone
    )


def test_a_cell_shows_half_of_its_interval_although_one_end_is_clipped_and_says_when_nothing_finished():
    cells = pd.DataFrame(
        [
            (1e-3, 1, 0.99, 0.95, 1.0),
            (1e-3, 2, 0.02, 0.0, 0.05),
            (1e-3, 4, 0.5, np.nan, np.nan),
            (1e-3, 8, *[np.nan] * 3),
        ],
        columns="lr epochs accuracy accuracy_low accuracy_high".split(),
    )
    ax = Figure().subplots()
    lr_epochs_figure._heat_map(ax, cells, 0.0, 1.0)
    assert [text.get_text() for text in ax.texts] == ["99.0\n±4.0", "2.0\n±3.0", "50.0", "none\nfinished"]


def test_equal_cells_have_one_colour_in_both_maps(monkeypatch):
    monkeypatch.setattr(lr_epochs_figure, "workload_caption", lambda config: "two classes")
    cells = CELLS.iloc[[0, 3]].assign(accuracy=0.5, accuracy_low=np.nan, accuracy_high=np.nan)
    fig = lr_epochs_figure.draw(cells, {"data": {"majority": 0.5}}, "a title")
    first, second = (ax.images[0].to_rgba(np.array([0.5])) for ax in fig.axes[:2])
    assert np.array_equal(first, second)


def test_the_legend_hides_no_mark():
    cells = CELLS[CELLS.epochs == 4].assign(
        accuracy=[0.5, 0.53, 0.53, np.nan], accuracy_low=np.nan, accuracy_high=np.nan
    )
    fig = Figure()
    ax = fig.subplots()
    lr_epochs_figure._cost(ax, cells)
    fig.draw_without_rendering()
    marks = ax.transData.transform(cells[["steps", "accuracy"]].dropna())
    assert not any(ax.get_legend().get_window_extent().contains(*mark) for mark in marks)


def test_runs_that_all_diverged_give_no_finding(tmp_path, monkeypatch):
    row = {"run_id": "a", "schedule": "scratch", "lr_max": "1e3", "status": "diverged", "budget": 1, "steps": 5}
    runs = pd.DataFrame([row | {"accuracy": np.nan, "seconds": 1.0, "error": "the loss is not finite"}])
    monkeypatch.setattr(Store, "tables", lambda store: (runs, pd.DataFrame()))
    with pytest.raises(NothingFinished, match="no run of either start finished; lower `lrs` may help"):
        lr_epochs.redraw(Store(tmp_path))
    assert (tmp_path / "runs.csv").exists() and not (tmp_path / "transfer_vs_scratch.png").exists()


@pytest.fixture(scope="module")
def answered(tmp_path_factory, resnet_file):
    out = tmp_path_factory.mktemp("grid") / "out"
    options = {"data": "digits:480", "arch": "test_resnet", "size": 32, "bs": 64, "seeds": "1", "jobs": "1"}
    options |= {"lrs": "1e-3,1e-2", "epochs": "1,2", "weights": str(resnet_file), "out": str(out)}
    return out, options, transfer_vs_scratch.main(**options)


def test_every_cell_of_both_grids_is_trained(answered):
    out, _, found = answered
    assert len(found.cells) == 8 and (found.cells.n == 1).all()
    assert set(zip(found.cells.lr, found.cells.epochs, strict=True)) == {(lr, n) for lr in (1e-3, 1e-2) for n in (1, 2)}
    lr_max = found.runs.groupby("schedule").lr_max.unique()
    assert set(lr_max["pretrained"]) == {"slice(1e-5, 1e-3)", "slice(1e-4, 1e-2)"}
    assert set(lr_max["scratch"]) == {"1e-3", "1e-2"}
    fig = drawn(lr_epochs.redraw, out)
    check_words(fig)
    for ax, start in zip(fig.axes[:2], ("pretrained", "scratch"), strict=True):
        cells = found.cells[found.cells.start == start].sort_values(["lr", "epochs"])
        assert [text.get_text() for text in ax.texts] == [f"{100 * value:.1f}" for value in cells.accuracy]
    assert "To reach" in found.text and "nan to" not in found.text


def test_both_starts_make_the_same_number_of_steps(answered):
    _, _, found = answered
    assert (found.runs.groupby("budget").steps.nunique() == 1).all()


@pytest.mark.usefixtures("undrawn")
def test_the_same_command_trains_nothing(answered, capsys):
    _, options, found = answered
    again = transfer_vs_scratch.main(**options)
    assert "To do" not in capsys.readouterr().out
    pd.testing.assert_frame_equal(found.cells, again.cells)


@pytest.mark.parametrize("option", [["--arch", "small"], ["--lrs", "1e-3,1e-3"], ["--lrs", "x"], ["--epochs", "0"]])
def test_bad_options_are_one_sentence(tmp_path, capsys, option):
    assert cli.main(["transfer-vs-scratch", *option, "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
