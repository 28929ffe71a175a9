"""`lrlab compare` from end to end, on a few images: the same question gives the same answer, come what may."""

import json
import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from lrlab.callbacks import Constant, CosineDecay, PolynomialDecay, ScheduleLR
from lrlab.recipes import compare, report
from lrlab.recipes.kitchen.data.catalog import load
from lrlab.recipes.kitchen.errors import Refused, UserError
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.logs import log_runs
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.recording import EpochLog
from lrlab.recipes.kitchen.schedule_names import parse_schedule
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.tables import RUN_COLUMNS
from lrlab.recipes.kitchen.workloads import ImageWorkload
from lrlab.recipes.studies.compare import study
from lrlab.recipes.studies.compare.study import Question, extend, is_for_a_pretrained_model, name_lr
from tests.conftest import write_images

TINY = {"epochs": "2", "seeds": "2", "schedules": "constant,sgdr", "lr_max": "3e-3", "jobs": "1", "size": 12, "bs": 16}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    "The options of a comparison that takes a second: 64 images of two classes."
    image_set = tmp_path_factory.mktemp("images")
    for i, name in enumerate(("left", "right")):
        write_images(image_set / name, 32, seed=i, size=12)
    return TINY | {"data": str(image_set)}


def test_a_pretrained_model_is_recommended_for_somebodys_photos_only(small):
    photos, digits = load(small["data"], 12), load("digits")
    assert is_for_a_pretrained_model(photos, ImageWorkload())
    assert not is_for_a_pretrained_model(photos, ImageWorkload(arch="efficientnet_lite0"))
    assert not is_for_a_pretrained_model(digits, ImageWorkload())


@pytest.fixture(scope="module")
def first(small, tmp_path_factory):
    out = tmp_path_factory.mktemp("compare") / "first"
    return compare.main(**small, out=out, log="tensorboard")


def test_the_runs_are_logged_with_the_verdict_of_their_schedule(first):
    logged = json.loads((first.out / "logged.json").read_text())["tensorboard"]
    assert set(logged) == set(first.runs.run_id) and len(list((first.out / "tensorboard").glob("*/*"))) == 4
    words, run = dict(zip(first.summary.schedule, first.summary.verdict, strict=True)), first.runs.iloc[0]
    said = logged[run.run_id]["said"]
    assert said == {"status": "ok", "verdict": words[run.schedule], "answer": first.verdict}


def test_a_tracker_that_fails_does_not_hide_the_answer(first, monkeypatch, capsys):
    def full_disk(tool, folder):
        raise RuntimeError("no room left")

    monkeypatch.setattr(study, "answer", lambda *_: first)
    monkeypatch.setattr(log_runs, "open_writer", full_disk)
    with pytest.raises(log_runs.NotLogged, match="no room left"):
        compare.main(data="digits", log="tensorboard", out=first.out)
    assert first.text in capsys.readouterr().out


def test_the_files_and_columns_of_the_contract(first):
    names = {file.name for file in first.out.iterdir()}
    assert {"config.json", "runs.csv", "epochs.csv", "summary.csv", "comparison.png", "schedules.png"} <= names
    assert "report.html" in names
    assert list(pd.read_csv(first.out / "runs.csv").columns) == [*RUN_COLUMNS, "brier"]
    assert list(first.runs.status) == ["ok"] * 4 and len(pd.read_csv(first.out / "epochs.csv")) == 8
    assert first.summary.n.tolist() == [2, 2] and first.exit_code == 0


def test_in_a_notebook_the_result_shows_itself(first):
    assert first.plot()._repr_png_()[:4] == b"\x89PNG"
    page = first._repr_html_()
    assert page.count("<tr") == 3 and "data:image/png;base64," in page


@pytest.mark.usefixtures("undrawn")
def test_the_same_command_again_trains_nothing(small, first, capsys):
    before = {file: file.stat().st_mtime_ns for file in first.out.glob("runs/*/run.json")}
    again = compare.main(**small, out=first.out)
    assert "To do" not in capsys.readouterr().out
    assert before == {file: file.stat().st_mtime_ns for file in first.out.glob("runs/*/run.json")}
    pd.testing.assert_frame_equal(again.runs, first.runs)


def test_another_question_in_the_folder_is_refused(small, first, capsys):
    with pytest.raises(Refused, match="bs"):
        compare.main(**small | {"bs": 4, "seeds": "1"}, out=first.out)
    assert "is extended" not in capsys.readouterr().out


@pytest.mark.usefixtures("undrawn")
def test_a_later_command_extends_the_comparison(small, first, tmp_path, capsys):
    "More seeds, another schedule, a budget: only what is missing is trained, and the answer covers all of it."
    out = shutil.copytree(first.out, tmp_path / "out")
    names = list(first.summary.schedule)
    more = compare.main(**small | {"seeds": "3"}, out=out)
    assert "To do: 2 runs" in capsys.readouterr().out and more.summary.n.tolist() == [3, 3]
    common = more.runs[more.runs.seed < 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(common, first.runs, check_dtype=False)
    wider = compare.main(**small | {"seeds": "1", "schedules": "linear", "epochs": "1"}, out=out)
    said = capsys.readouterr().out
    assert "is extended: the answer covers 3 seeds, 3 schedules, 1 and 2 epochs." in said and "To do: 3 runs" in said
    asked = {(row.budget, row.schedule) for row in wider.summary.itertuples()}
    assert asked == {*((2, name) for name in names), (1, "linear")}
    assert len(wider.runs) == 9 and json.loads((out / "config.json").read_text())["question"]["seeds"] == [0, 1, 2]
    with pytest.raises(Refused, match="there linear is"):
        extend(Question(None, [0], {1: {"linear": CosineDecay()}}, LearningRate(3e-3)), Manifest.read(out), out)


@pytest.mark.usefixtures("undrawn")
def test_another_peak_lr_in_the_folder_makes_other_arms(small, first, tmp_path, capsys):
    "One layer group takes the upper end of a slice, so that is no other LR."
    out = shutil.copytree(first.out, tmp_path / "out")
    plain = list(first.summary.schedule)
    compare.main(**small | {"lr_max": "slice(3e-6, 3e-3)"}, out=out)
    assert "To do" not in capsys.readouterr().out
    wider = compare.main(**small | {"lr_max": "1e-2", "schedules": "constant"}, out=out)
    said = capsys.readouterr().out
    assert "is extended: the answer covers 2 seeds, 3 schedules, 2 epochs." in said and "To do: 2 runs" in said
    lrs = wider.runs.set_index("schedule").lr_max.to_dict()
    assert lrs == {**dict.fromkeys(plain, "3e-3"), "constant at 1e-2": "1e-2"} and len(wider.runs) == 6
    question = json.loads((out / "config.json").read_text())["question"]
    assert question["lr_max"] == "3e-3" and question["lrs"] == {"constant at 1e-2": "1e-2"}
    page = (out / "report.html").read_text()
    assert "Untuned: lr_max = 3e-3, except where the name of a schedule says another." in page
    again = compare.main(**small, out=out)
    pd.testing.assert_frame_equal(again.runs, wider.runs)
    both = report.main(str(first.out), str(out), out=str(tmp_path / "both"))
    assert len(both.runs) == 6 and set(both.summary.schedule) == set(lrs)


def test_an_lr_that_was_found_is_compared_by_its_value():
    held = Manifest(question={"lr_max": "find", "tuning": None}, groups=["all"], lr_find=2e-3)
    asked = Question(ImageWorkload(), [0], {1: {"constant": Constant()}}, LearningRate(2e-3))
    assert name_lr(asked, held).lr_max is None and list(name_lr(asked, held).schedules[1]) == ["constant"]
    other = name_lr(replace(asked, lr_max=LearningRate(1e-3)), held)
    assert other.lr_max is None and other.lrs == {"constant at 1e-3": LearningRate(1e-3)}
    before_any_test = replace(held, lr_find=None)
    assert name_lr(asked, before_any_test) is asked, "the folder is refused then"


@pytest.mark.usefixtures("undrawn")
def test_cyclic_schedules_are_read_at_their_cycle_ends(small, first):
    "sgdr over 2 epochs is one cycle; two equal cycles end after epochs 1 and 2, exactly where the epochs are measured."
    cycles = compare.main(
        **small | {"schedules": "CosineRestarts(cycle_len=1, cycle_mult=1)", "seeds": "1"},
        out=first.out.with_name("cycles"),
    )
    ends = pd.read_csv(cycles.out / "cycles.csv")
    epochs = pd.read_csv(cycles.out / "epochs.csv")
    assert ends.epoch.tolist() == [1, 2] and ends.step.tolist() == epochs.step.tolist()
    pd.testing.assert_series_equal(ends.accuracy, epochs.accuracy, rtol=1e-6)
    pd.testing.assert_series_equal(ends.valid_loss, epochs.valid_loss, rtol=1e-3)


@pytest.mark.usefixtures("undrawn")
def test_diverging_and_failing_runs_are_rows_and_the_others_go_on(small, tmp_path, monkeypatch):
    "An LR of 1000; the same with a warm-up of a hundred-millionth; and a schedule in whose run something breaks."
    usual = EpochLog.before_epoch

    def before_epoch(self):
        usual(self)
        if any(isinstance(cb, ScheduleLR) and cb.schedule == PolynomialDecay() for cb in self.learn.cbs):
            raise RuntimeError("on purpose")

    monkeypatch.setattr(EpochLog, "before_epoch", before_epoch)
    tiny = "Points(((0, 0.0), (1, 1e-5)))"
    question = {"epochs": "8", "seeds": "1", "lr_max": "1e3", "schedules": f"constant,linear,{tiny}"}
    result = compare.main(**small | question, out=tmp_path / "out")
    rows = result.runs.set_index("schedule")
    assert rows.status.to_dict() == {"constant": "diverged", "linear": "failed", tiny: "ok"}
    assert rows.error["constant"].startswith("diverged at step") and rows.diverged_step["constant"] >= 0
    assert rows.error["linear"].startswith("RuntimeError: ") and rows.error["linear"].endswith("on purpose")
    summary = result.summary.set_index("schedule")
    assert summary.diverged["constant"] == 1 and summary.failed["linear"] == 1
    assert summary.verdict[tiny] == "best" and summary.verdict["constant"] == "behind", "it diverged on that seed"
    assert (
        "1 diverged" in result.text and "1 failed" in result.text and f"Use {tiny}," in result.text.replace("\n", " ")
    )
    page = (result.out / "report.html").read_text()
    assert "on purpose" in page and "diverged at step" in page


def test_run_ids_differ_where_the_runs_do():
    shapes = ["CosineRestarts(cycle_len=1.0)", "CosineRestarts(cycle_len=10)", "CosineRestarts( cycle_len=1,0)"]
    runs = [Run(label, parse_schedule(shapes[0]), 1e-3, 0, 3) for label in [*shapes, "x" * 90 + "a", "x" * 90 + "b"]]
    ids = {run.run_id for run in runs}
    assert len(ids) == len(runs)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) and len(name) < 110 for name in ids)
    assert Run("cosine", parse_schedule("CosineDecay()"), 3e-3, 1, 7).run_id == "cosine_3e_3-7ep-s1"


def test_budgets_are_trained_separately_and_merge(small, first, tmp_path, request):
    "Another budget and another seed in other folders: one report of all, with the runs that they share counted once."
    longer = compare.main(**small | {"epochs": "1,2", "seeds": "1"}, out=tmp_path / "longer")
    assert longer.runs.groupby("budget").epochs.unique().map(list).to_dict() == {1: [1], 2: [2]}
    assert (tmp_path / "longer" / "budgets.png").exists()
    assert longer.summary.budget.tolist() == [2, 2, 1, 1]
    request.getfixturevalue("undrawn")
    both = report.main(str(first.out), str(longer.out), out=str(tmp_path / "both"))
    assert len(both.runs) == 4 + 2 and both.summary.n.tolist() == [2, 2, 1, 1]
    pd.testing.assert_frame_equal(both.runs.iloc[:4], first.runs, check_dtype=False)
    with pytest.raises(UserError, match="one of the folders"):
        report.main(str(first.out), str(longer.out), out=str(first.out))
    assert len(report.main(str(first.out), out=str(both.out)).runs) == 4, "a merged report may be made anew"


@pytest.mark.usefixtures("undrawn")
def test_a_merged_report_does_not_overwrite_other_results(small, first, tmp_path):
    other = compare.main(**small | {"epochs": "1", "seeds": "1"}, out=tmp_path / "other")
    before = {file: file.read_bytes() for file in other.out.rglob("*.*") if file.is_file()}
    with pytest.raises(Refused, match="other: holds other results"):
        report.main(str(first.out), out=str(other.out))
    assert before == {file: file.read_bytes() for file in before}


@pytest.mark.usefixtures("undrawn")
def test_different_questions_do_not_merge(small, first, tmp_path):
    other = compare.main(**small | {"epochs": "1", "seeds": "1", "lr_max": "1e-3"}, out=tmp_path / "other")
    with pytest.raises(Refused, match="lr_max"):
        report.main(str(first.out), str(other.out), out=str(tmp_path / "both"))
