"""`lrlab best`: on time by an injected clock, honest about its test images, and resumed where it stopped."""

import json
from itertools import accumulate, count

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lrlab.recipes import cli
from lrlab.recipes.kitchen.data.catalog import load
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.learner.saved_model import load_model, predict_files
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.workloads import make_workload
from lrlab.recipes.studies.best import data, layers, plan, report, study
from lrlab.recipes.studies.best.budget import Budget
from lrlab.recipes.studies.best.measure import measure_speed
from lrlab.recipes.studies.best.timed import CycleByTheClock
from tests.conftest import write_images
from tests.studies.best.clock import Clock
from tests.studies.drawing import check_words, drawn

prepare_torchvision()  # timm imports torchvision
pytest.importorskip("timm")
STEPS = ["Speed and image size", "Features of the images", "Head on the frozen body", "All layers", "Final model"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    "A folder of 300 digits as PNG files, in a folder for each class."
    folder, images = tmp_path_factory.mktemp("digits"), load("digits", 8)
    for row in range(300):
        name = images.classes[images.labels[row]]
        (folder / name).mkdir(exist_ok=True)
        Image.fromarray(images.images[row][..., 0]).save(folder / name / f"{row}.png")
    return folder


@pytest.fixture(scope="module", autouse=True)
def a_speed():
    "The same on every machine, so that the clock of the tests decides what fits."
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "measure_speed", lambda *_: plan.Speed(32, 0.002, 0.009))
        patch.setattr(plan.Speed, "corrected", lambda speed, _: speed)
        yield


@pytest.fixture(scope="module")
def ask(digits, resnet_file):
    "Ask for the best model of the digits, by a clock of its own."

    def go(out, minutes=1.0, tick=0.2, clock=None, seed=0):
        workload = make_workload(str(digits), "test_resnet", 32, None, "fp32", str(resnet_file))
        return study.answer(study.Question(workload, minutes, seed, 1), out, clock=clock or Clock(tick))

    return go


@pytest.fixture
def few_heads(monkeypatch):
    monkeypatch.setattr(plan, "HEAD_LRS", (1e-2,))
    monkeypatch.setattr(plan, "SEEDS", (0,))


@pytest.fixture(scope="module")
def answered(ask, tmp_path_factory):
    out, clock = tmp_path_factory.mktemp("best"), Clock(0.2)
    return out, ask(out, clock=clock), clock


def test_it_takes_its_steps_in_order_and_ends_on_time(answered):
    out, found, clock = answered
    assert [step.name for step in found.steps] == STEPS
    assert all(step.evidence and step.decision for step in found.steps)
    assert 35 < clock.now < 60, "most of the minute is used, and some is left for the report"
    assert sum(step.seconds for step in found.steps) == pytest.approx(clock.now, abs=5)
    question = Manifest.read(out).question
    assert not {"head_epochs", "head_lr"} & set(question), "they are chosen, not asked for"


def test_the_exported_model_is_the_one_that_was_tested(answered, digits):
    "The files of the test, read again and predicted by model.pkl: the same classes and probabilities as in test.csv."
    out, found, _ = answered
    rows = list(predict_files(load_model(found.model), [digits / name for name in found.test.file]))
    classes = [str(i) for i in range(10)]
    assert [classes[p.argmax()] for _, p, _ in rows] == list(found.test.predicted)
    assert [float(p.max()) for _, p, _ in rows] == pytest.approx(list(found.test.probability), abs=1e-5)
    assert found.accuracy == (found.test.label == found.test.predicted).mean() > 0.5
    assert [name.split("/")[0] for name in found.test.file] == list(found.test.label)


def test_the_parts_are_disjoint_and_the_final_training_gets_half_of_the_validation_images(digits):
    images = load(str(digits), 8)
    parts, where = data.put_aside(images, seed=3)
    rows = np.concatenate(list(parts.splits.values()))
    assert len(np.unique(rows)) == len(rows) == 300 and len(parts.splits["test"]) == 60 and "20 %" in where
    final = data.with_validation_images(parts, seed=3)
    assert np.array_equal(final.splits["test"], parts.splits["test"])
    assert set(final.splits["train"]) > set(parts.splits["train"])
    assert abs(len(final.splits["valid"]) - len(parts.splits["valid"]) / 2) <= 5
    assert len(final.splits["train"]) + len(final.splits["valid"]) == 240
    other, _ = data.put_aside(images, seed=4)
    assert not np.array_equal(other.splits["test"], parts.splits["test"])


@pytest.mark.parametrize("n_valid", [1, 2, 3])
def test_few_images_leave_some_of_every_class_for_validation(digits, n_valid):
    "Ten images of a class give one validation image, which cannot be given away."
    images = load(str(digits), 8)
    rows = np.concatenate([np.flatnonzero(images.labels == label)[:10] for label in range(10)])
    few = np.sort(np.concatenate([rows[i::10] for i in range(n_valid)]))
    parts = type(images)(
        **{**vars(images), "splits": {"train": np.setdiff1d(rows, few), "valid": few, "test": rows[:0]}}
    )
    final = data.with_validation_images(parts, seed=0)
    assert set(images.labels[final.splits["valid"]]) == set(images.labels[few])
    assert set(final.splits["train"]) | set(final.splits["valid"]) == set(rows)
    assert (len(final.splits["valid"]) < len(few)) == (n_valid > 1)


def test_the_first_images_of_every_part_have_every_class(digits):
    parts, _ = data.put_aside(load(str(digits), 8), 0)
    ordered = data.in_order(parts)
    for name, rows in ordered.splits.items():
        assert set(rows) == set(parts.splits[name]) and len(set(parts.labels[rows[:10]])) == 10
    part = data.take_first(ordered, 50, 20)
    assert {name: len(rows) for name, rows in part.splits.items()} == {"train": 50, "valid": 20, "test": 15}
    counts = np.bincount(part.labels[part.splits["train"]])
    assert counts.min() >= 4 and counts.max() <= 6


def test_images_are_taken_until_their_time_is_used_up(ask, tmp_path, few_heads, monkeypatch):
    "On a machine that is slower than it seemed. The report says which share that is; a resumed command takes the same."
    with monkeypatch.context() as patch:
        patch.setattr(study, "choose_head", _killed)
        with pytest.raises(KeyboardInterrupt):
            ask(tmp_path, minutes=0.5, tick=1.0)
    parts = Manifest.read(tmp_path).other["parts"]
    assert 10 <= parts["train"] < 204 and 10 <= parts["valid"] <= 36 and 10 <= parts["test"] < 60
    found = ask(tmp_path, minutes=0.5, tick=0.001)
    step = found.steps[1]
    share = (parts["train"] + parts["valid"]) / 240
    assert step.decision == f"{100 * share:.1f} % of the images; for more there is no time"
    assert Manifest.read(tmp_path).other["parts"] == parts and len(found.test) == parts["test"]


def test_parts_that_the_data_bring_are_the_test(digits):
    images = load(str(digits), 8)
    given = images.split_by(0)
    has_valid = type(given)(**{**vars(given), "strata": None})
    parts, where = data.put_aside(has_valid, 0)
    assert np.array_equal(parts.splits["test"], given.splits["valid"]) and "validation part" in where
    has_test = type(given)(**{**vars(has_valid), "splits": parts.splits})
    same, where = data.put_aside(has_test, 0)
    assert same.splits == parts.splits and "test part" in where


def test_the_same_command_again_trains_nothing(answered, ask, monkeypatch):
    out, found, _ = answered
    monkeypatch.setattr(study, "take_steps", lambda *_: pytest.fail("training has begun"))
    assert ask(out).text == found.text


def test_a_stopped_command_continues_in_the_time_that_is_left(answered, ask, tmp_path, few_heads, monkeypatch):
    "Finished steps are not repeated. The final training, which was killed, is done again."
    _, found, _ = answered
    with monkeypatch.context() as patch:
        patch.setattr("lrlab.recipes.studies.best.final.train_layers_until", _killed)
        with pytest.raises(KeyboardInterrupt):
            ask(tmp_path)
    stored = Manifest.read(tmp_path).other["steps"]
    assert [step["name"] for step in stored] == STEPS[:4] and not (tmp_path / "model.pkl").exists()
    monkeypatch.setattr(study, "train_one", lambda *_: pytest.fail("a finished run is trained again"))
    monkeypatch.setattr(study, "measure_speed", lambda *_: pytest.fail("the machine is timed again"))
    clock = Clock(0.2)
    again = ask(tmp_path, clock=clock)
    assert [step.name for step in again.steps] == STEPS
    assert clock.now < 60 - sum(step["seconds"] for step in stored)


def _killed(*_):
    raise KeyboardInterrupt


def test_all_layers_that_fail_leave_the_head(ask, tmp_path, few_heads, monkeypatch):
    "No memory for them: the head is the result, and the report says why."
    monkeypatch.setattr(plan, "plan_trials", lambda *_: None)
    monkeypatch.setattr(layers, "CycleByTheClock", _no_memory)
    found = ask(tmp_path, tick=0.2)
    assert "out of memory" in found.steps[-1].evidence and "the head alone" in found.steps[-1].decision
    assert found.accuracy > 0.5 and "All layers" not in [step.name for step in found.steps]


class _no_memory(CycleByTheClock):
    def before_batch(self):
        raise MemoryError("out of memory")


def test_without_time_for_an_epoch_the_head_is_trained_on_more_images(ask, tmp_path, few_heads, monkeypatch):
    monkeypatch.setattr(study, "measure_speed", lambda *_: plan.Speed(32, 0.002, 1.0))
    found = ask(tmp_path, minutes=0.5, tick=0.02)
    assert found.steps[-1].decision.startswith("the head alone") and "no time" in found.steps[-1].evidence
    parts = Manifest.read(tmp_path).other["parts"]
    assert found.steps[-1].facts["n_train"] > parts["train"] and sum(parts.values()) == 300


@pytest.mark.parametrize("ticks", [[1.0], [1.0, 1.0, 5.0], [0.2]])
def test_the_cycle_ends_when_the_time_does(ticks):
    "Also on a machine that gets slower. The LR rises to its peak and falls to zero; no step begins after the end."
    from fastai.test_utils import synth_learner

    learn, lrs = synth_learner(), []
    times = accumulate(ticks[min(i, len(ticks) - 1)] for i in count())
    cycle = CycleByTheClock(60.0, lambda: next(times), lambda share: lrs.append(learn.opt.hypers[-1]["lr"]))
    with learn.no_bar(), learn.no_logging():
        learn.fit(40, lr=0.1, cbs=[cycle, layers.NoValidation()])
    assert cycle.steps == len(lrs) > 5
    assert max(lrs) == pytest.approx(0.1, rel=0.2) and lrs[0] < 0.01 and lrs[-1] < 0.01
    elapsed = next(times)
    assert 60 < elapsed <= 60 + 3 * max(ticks)


def test_a_trial_that_is_much_slower_than_planned_is_cut_in_time(ask, tmp_path, few_heads):
    "Three times as slow as measured: the trial ends in a sentence, and the command on time."
    clock = Clock(0.2)

    class Slow(layers.EndWithoutTime):
        def before_batch(self):
            clock.now += 0.6
            super().before_batch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "EndWithoutTime", Slow)
        found = ask(tmp_path, minutes=1.0, clock=clock)
    assert clock.now <= 60 and (tmp_path / "model.pkl").exists()
    step = next(step for step in found.steps if step.name == "All layers")
    assert "not finished (this machine became slower" in step.evidence


def test_a_few_epochs_are_the_end_where_there_is_more_time():
    from fastai.test_utils import synth_learner

    learn, lrs = synth_learner(), []
    cycle = CycleByTheClock(1e9, Clock(1.0), lambda share: lrs.append(learn.opt.hypers[-1]["lr"]))
    with learn.no_bar(), learn.no_logging():
        learn.fit(2, lr=0.1, cbs=cycle)
    assert cycle.steps == 2 * len(learn.dls.train) and lrs[-1] < 0.01 < max(lrs)


def test_a_training_that_diverges_says_so(digits, resnet_file):
    learn = make_workload(str(digits), "test_resnet", 32, None, "fp32", str(resnet_file)).learner(0)
    _, reason = layers.train_layers_until(learn, 1e6, 1e3, Clock(1.0), lambda share: None)
    assert reason and "loss" in reason


def test_the_speed_of_a_model_is_measured_by_the_clock():
    "Three readings of a batch each, two of which count: one tick for a batch of eight images."
    assert measure_speed("test_resnet", "fp32", 32, Clock(0.8)) == plan.Speed(
        32, pytest.approx(0.1), pytest.approx(0.1)
    )


def test_the_plan_grows_with_the_time():
    speed, times = plan.Speed(96, 0.005, 0.02), range(10, 4000, 20)
    sizes = [plan.choose_size(speed, 1000, seconds) for seconds in times]
    assert sizes == sorted(sizes) and set(sizes) == set(plan.SIZES)
    for seconds in times:
        trials = plan.plan_trials(seconds, speed, 1000, 64)
        if trials:
            cost = len(trials.lrs) * len(trials.seeds) * trials.epochs * 1000 * speed.train
            assert cost <= plan.TRIAL_SHARE * seconds and trials.epochs >= plan.TRIAL_EPOCHS
        else:
            untried = plan.untried_layers(seconds, speed, 1000, 64)
            n_steps = plan.epochs_in(seconds, speed, 1000) * 1000 / 64
            assert (untried.lr is None) == (n_steps < plan.LEAST_STEPS) and not untried.is_shown


def test_all_layers_get_their_chance():
    arms = {"all layers, LR 1e-3": 1e-3, "all layers, LR 3e-4": 3e-4}

    def decided(*words):
        return plan.decide_layers(pd.DataFrame({"schedule": ["head", *arms], "verdict": words}), arms)

    assert decided("best", "behind", "behind")[:2] == (1e-3, False)
    first = pd.DataFrame({"schedule": ["all layers, LR 3e-4", "head"], "verdict": ["best", "behind"]})
    assert plan.decide_layers(first, arms)[:2] == (3e-4, True)


def test_what_cannot_be_is_refused_before_the_machine_is_timed(ask, digits, resnet_file, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "measure_speed", lambda *_: pytest.fail("the machine is timed"))
    file = tmp_path / "file"
    file.touch()
    for out in (file, file / "below"):
        with pytest.raises(UserError, match="file is a file"):
            ask(out)
    workload = make_workload(str(digits), "test_resnet", 32, 250, "fp32", str(resnet_file))
    with pytest.raises(UserError, match="`bs` 250: there are only 20. training images"):
        study.answer(study.Question(workload, 1.0, 0, 1), tmp_path / "out", clock=Clock(0.1))
    assert list(tmp_path.iterdir()) == [file]


def test_too_few_images_are_refused_and_nothing_is_written(resnet_file, tmp_path):
    for name, number in (("a", 2), ("b", 1)):
        write_images(tmp_path / "few" / name, number)
    workload = make_workload(str(tmp_path / "few"), "test_resnet", 32, None, "fp32", str(resnet_file))
    with pytest.raises(UserError, match=r"too few images .*2 train, 0 valid, 1 test"):
        study.answer(study.Question(workload, 1.0, 0, 1), tmp_path / "out", clock=Clock(0.1))
    assert not (tmp_path / "out").exists()


def test_no_time_left_after_the_start_is_refused_and_nothing_is_written(ask, tmp_path):
    "Else the model would be one of a single image of each class."
    with pytest.raises(UserError, match="`minutes` 0.5: no time .* the start took .* and the end takes about 6 s"):
        ask(tmp_path / "out", minutes=0.5, tick=40.0)
    assert not (tmp_path / "out").exists()


def test_the_report_is_complete_and_redrawn_without_training(answered, capsys):
    out, found, _ = answered
    fig = drawn(report.redraw, out)
    check_words(fig)
    assert f"{100 * found.accuracy:.1f} %" in fig.get_suptitle()
    page = found.report.read_text(encoding="utf-8")
    assert all(step.name in page and step.evidence.split(";")[0] in page for step in found.steps)
    worst = json.loads((out / "worst.json").read_text())
    wrong = found.test[found.test.label != found.test.predicted]
    assert len(worst) == min(12, len(wrong)) and page.count("<img") == len(worst)
    (out / "best.png").unlink()
    assert cli.main(["report", str(out)]) == 0 and (out / "best.png").exists()
    printed = capsys.readouterr().out
    assert "load_model" in printed
    assert ("too few images to calibrate" in printed) == (found.steps[-1].facts["temperature"] == 1)


def test_many_classes_have_a_list_of_errors_in_place_of_a_matrix():
    names = [f"class {i}" for i in range(21)]
    test = pd.DataFrame({"label": [*names, "class 0", "class 0"], "predicted": [*names, "class 1", "class 1"]})
    assert report._frequent_errors(test) == [(("class 0", "class 1"), 2)]
    assert report._frequent_errors(test[test.label != "class 20"]) is None


def test_too_few_images_are_refused_in_a_sentence(ask, tmp_path, digits, resnet_file):
    for name in ("0", "1"):
        (tmp_path / "few" / name).mkdir(parents=True)
        for file in sorted((digits / name).iterdir())[:2]:
            (tmp_path / "few" / name / file.name).write_bytes(file.read_bytes())
    workload = make_workload(str(tmp_path / "few"), "test_resnet", 32, None, "fp32", str(resnet_file))
    with pytest.raises(UserError, match="too few images for training, validation and a test"):
        study.answer(study.Question(workload, 1.0, 0, 1), tmp_path / "out", clock=Clock(0.1))


def test_the_budget_counts_what_a_stopped_command_used():
    clock = Clock(0.0)
    budget = Budget(600, clock, used=100, began=-5.0)
    assert budget.left() == 495 and budget.for_training() == pytest.approx(495 - 5 - 18)
    clock.now = 1000.0
    assert budget.for_training() == 0


def test_a_busy_machine_gets_more_time_for_the_report():
    "Of 100 seconds, this thread has been given 25: the report takes four times as long too."
    clock, busy = Clock(0.0), Clock(0.0)
    budget = Budget(600, clock, busy=busy)
    clock.now, busy.now = 100.0, 25.0
    assert budget.slowness() == 4 and budget.for_training() == pytest.approx(500 - 4 * 5 - 18)
    busy.now = 0.0
    assert budget.slowness() == 10
    busy.now = 200.0
    assert budget.slowness() == 1
