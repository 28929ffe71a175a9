"""Tuning lr_max: one grid for all, widened where it must be, on seeds of its own."""

from dataclasses import replace

import pandas as pd
import pytest

from lrlab.callbacks import Constant, CosineDecay
from lrlab.recipes import compare
from lrlab.recipes.kitchen.grid import tuning as tune
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.stats.summary import tuning_scores
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.studies.compare import protocol
from lrlab.recipes.studies.compare.results import merge, read
from tests.conftest import write_images

CENTRE = LearningRate(1e-3)


def table(accuracy: dict[tuple[str, int], float | None], centre: LearningRate) -> pd.DataFrame:
    "Rows of runs.csv of tuning runs, one seed each; None diverged."
    rows = [
        {"budget": 7, "schedule": schedule, "lr_max": str(tune.lr_at(centre, position)), "accuracy": value}
        | {"status": "ok" if value is not None else "diverged", "valid_loss": 1.0 if value is not None else None}
        for (schedule, position), value in accuracy.items()
    ]
    return tuning_scores(pd.DataFrame(rows))


def test_the_grid_has_two_lrs_a_decade_around_the_suggestion():
    assert tune.first_grid(5) == [-2, -1, 0, 1, 2]
    assert [tune.lr_at(LearningRate(1e-3), p).peak for p in tune.first_grid(5)] == [1e-4, 3.2e-4, 1e-3, 3.2e-3, 1e-2]
    for text, position, moved in [("slice(1e-5, 1e-3)", 2, "slice(1e-4, 1e-2)"), ("slice(1e-3)", -2, "slice(1e-4)")]:
        assert tune.lr_at(LearningRate.parse(text), position) == LearningRate.parse(moved)


def test_every_schedule_gets_the_same_trials():
    shapes = {"constant": Constant(), "cosine": CosineDecay()}
    runs = tune.trials({3: shapes, 6: shapes}, CENTRE, [-1, 0, 1], tune.Tuning(3, 2).seeds)
    counts = pd.Series([(run.epochs, run.arm) for run in runs]).value_counts()
    assert len(runs) == 2 * 2 * 3 * 2 and set(counts) == {6} and len({run.run_id for run in runs}) == len(runs)
    assert all(run.run_id.startswith("tune-") and run.seed >= tune.FIRST_SEED for run in runs)


def test_the_best_lr_finished_on_every_seed():
    accuracy = {("a", -1): 0.5, ("a", 0): 0.7, ("a", 1): None, ("b", -1): 0.6, ("b", 0): 0.6, ("b", 1): 0.55}
    scored = table(accuracy, CENTRE)
    scored.loc[(scored.schedule == "b") & (scored.lr_max == "1e-3"), "valid_loss"] = 0.5
    assert tune.best_positions(scored, CENTRE, [-1, 0, 1]) == {(7, "a"): 0, (7, "b"): 0}, "b: equal, and a lower loss"
    nothing = table({("a", -1): None, ("a", 0): None, ("a", 1): None}, CENTRE)
    assert tune.best_positions(nothing, CENTRE, [-1, 0, 1]) == {(7, "a"): -1}, "what diverges everywhere needs less"


def test_the_grid_grows_where_a_best_lr_is_at_its_edge_and_not_for_ever():
    first = tune.first_grid(3)
    assert tune.wider(first, {(7, "a"): 0}, first) == first
    assert tune.wider(first, {(7, "a"): 0, (7, "b"): 1}, first) == [-1, 0, 1, 2]
    assert tune.wider(first, {(7, "a"): -1, (7, "b"): 1}, first) == [-2, -1, 0, 1, 2]
    grid = first
    while (wider := tune.wider(grid, {(7, "a"): grid[0]}, first)) != grid:
        grid = wider
    assert grid == list(range(-1 - tune.MAX_EXTENSIONS, 2))


@pytest.fixture(scope="module", autouse=True)
def a_grid_that_widens_twice():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tune, "MAX_EXTENSIONS", 2)
        yield


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    "From a centre that is far too low: the grid has to grow upwards."
    folder = tmp_path_factory.mktemp("tuned")
    for i, name in enumerate(("left", "right")):
        write_images(folder / "split" / "train" / name, 32, seed=i, size=12)
        write_images(folder / "split" / "valid" / name, 16, seed=2 + i, size=12)
        write_images(folder / "split" / "test" / name, 16, seed=4 + i, size=12)
    options = {"epochs": "3", "seeds": "2", "schedules": "constant,one_cycle", "size": 12, "bs": 8, "jobs": "1"}
    options |= {"tune": True, "tune_points": 3, "tune_seeds": 1, "lr_max": "1e-5"}
    return compare.main(str(folder / "split"), **options, out=folder / "out"), options, folder


def test_a_tuned_comparison_widens_its_grid_and_says_what_it_did(tuned):
    import json

    result, _, _ = tuned
    config = json.loads((result.out / "config.json").read_text())
    note = config["tuned"]
    assert note["added"] >= 1 and len(note["grid"]) == 3 + note["added"]
    trials = pd.read_csv(result.out / "tuning.csv", dtype={"lr_max": str})
    assert len(trials) == 2 * len(note["grid"]) and set(trials.seed) == {tune.FIRST_SEED}
    assert not set(trials.seed) & set(result.runs.seed) and not set(trials.run_id) & set(result.runs.run_id)
    by_mean = trials.sort_values(["accuracy", "valid_loss"], ascending=[False, True]).groupby("schedule").lr_max.first()
    assert by_mean.to_dict() == note["chosen"]["3"]
    assert dict(zip(result.runs.schedule, result.runs.lr_max, strict=True)) == note["chosen"]["3"]
    assert f"tried the same {len(note['grid'])} LRs" in result.text and f"Cost: {len(trials)} runs" in result.text
    assert (result.out / "tuning.png").exists() and "lr_find (" in result.text


def test_it_is_reported_on_the_test_images_where_there_are_any(tuned):
    result, _, _ = tuned
    assert set(result.summary.measured_on) == {"test"} and result.runs.test_accuracy.notna().all()
    means = result.runs.groupby("schedule").test_accuracy.mean()
    assert result.summary.set_index("schedule")["mean"].to_dict() == pytest.approx(means.to_dict())
    assert "on the test images" in (result.out / "report.html").read_text()


@pytest.mark.usefixtures("undrawn")
def test_continuing_a_tuned_comparison_trains_nothing_and_finds_the_same(tuned, capsys):
    result, options, folder = tuned
    again = compare.main(str(folder / "split"), **options, out=result.out)
    assert "To do" not in capsys.readouterr().out
    pd.testing.assert_frame_equal(again.runs, result.runs)


def test_merged_folders_keep_what_each_of_them_tuned(tuned):
    "The second folder has another schedule, and widened the grid downwards."
    ours = read(Store(tuned[0].out))
    note = ours.config["tuned"]
    wider = {"grid": ["1e-6", *note["grid"][:3]], "added": 1, "at_edge": ["linear (3 epochs)"]}
    wider |= {"chosen": {"3": {"linear": "1e-6", "constant": "1e-6"}, "6": {"linear": "1e-6"}}}
    question = ours.question | {"schedules": {"3": {"linear": "PolynomialDecay()"}}}
    trials = ours.trials[ours.trials.lr_max.isin(wider["grid"]) & (ours.trials.schedule == "constant")]
    trials = trials.assign(schedule="linear", run_id="linear-" + trials.run_id)
    theirs = replace(ours, config=ours.config | {"tuned": note | wider, "question": question}, trials=trials)
    both = merge([ours, theirs], ["ours", "theirs"])
    merged = both.config["tuned"]
    assert merged["grid"] == ["1e-6", *note["grid"]] and merged["added"] == note["added"] + 1
    assert merged["chosen"] == {"3": note["chosen"]["3"] | {"linear": "1e-6"}, "6": {"linear": "1e-6"}}
    assert list(merged["chosen"]["3"]) == ["constant", "one_cycle", "linear"], "in the order of the folders"
    assert merged["at_edge"] == [*note["at_edge"], "linear (3 epochs)"]
    assert "tried at least 3 of the" in protocol.tuning_words(both) and "tried the same" in protocol.tuning_words(ours)
