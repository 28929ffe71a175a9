"""`lrlab best --learner`: on time by an injected clock, no look at the test items, and a model in every case."""

import numpy as np
import pytest
import torch
from fastai.basics import Callback, DataLoaders, Learner, find_bs, nn
from fastai.callback.tracker import EarlyStoppingCallback, SaveModelCallback
from PIL import Image

from lrlab.recipes import cli
from lrlab.recipes.kitchen.errors import NothingFinished, UserCodeError, UserError
from lrlab.recipes.kitchen.from_file import FromFile
from lrlab.recipes.kitchen.learner.saved_model import load_model
from lrlab.recipes.kitchen.learner_workload import LearnerWorkload
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision
from lrlab.recipes.kitchen.runs.train import measures_on
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.studies.best.learner import choose_lr, final, plan, report, study
from lrlab.recipes.studies.best.learner.parts import (
    HALVES,
    SAME,
    THIRD,
    WithoutTest,
    find_parts,
    halve,
    loader_for_test,
)
from tests.kitchen import tasks
from tests.kitchen.tasks import LABELS, SCRIPT, X, classifier
from tests.studies.best.clock import Clock
from tests.studies.drawing import check_words, drawn

STEPS = ["Speed and test part", "LR range tests", "Trials around that LR", "Final training", "Test and export"]


class Items(list):
    "A dataset that fastai can export."

    def new_empty(self):
        return Items()


def exportable(*splits, **kwargs):
    items = list(zip(X, LABELS, strict=True))
    parts = [Items(items[split]) for split in splits or (slice(64), slice(64, None))]
    return classifier(DataLoaders.from_dsets(*parts, bs=8, num_workers=0), **kwargs)


def third_loader(**kwargs):
    return exportable(slice(64), slice(64, 80), slice(80, None), **kwargs)


def ask(make, out, minutes=1.0, tick=0.15, clock=None, **options):
    question = study.Question(LearnerWorkload(make), minutes, threads=1, **options)
    return study.answer(question, out, clock=clock or Clock(tick))


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    out, clock = tmp_path_factory.mktemp("best"), Clock(0.15)
    return out, ask(exportable, out, clock=clock), clock


def items_of(loader):
    return torch.cat([x for x, _ in loader]).tolist()


def test_it_takes_its_steps_in_order_and_ends_on_time(answered):
    out, found, clock = answered
    assert [step.name for step in found.steps] == STEPS
    assert all(step.evidence and step.decision for step in found.steps)
    assert 40 < clock.now < 60, "most of the minute is used, and some is left for the report"
    assert sum(step.seconds for step in found.steps) == pytest.approx(clock.now, abs=5)
    assert not (out / "weights.pth").exists(), "model.pkl holds them"


def test_the_exported_model_is_the_one_that_was_tested(answered):
    _, found, _ = answered
    learn = exportable()
    learn.model = load_model(found.model).model
    measured = measures_on(learn, loader_for_test(learn, HALVES, 0))
    assert dict(zip(found.measures.measure, found.measures.value, strict=True)) == pytest.approx(measured)
    assert found.value == measured["accuracy"] > 0.6
    assert learn.dls.valid.n == 32, "the exported Learner keeps loaders of its own"


def test_the_report_is_complete_and_redrawn_without_training(answered, capsys):
    out, found, _ = answered
    fig = drawn(report.redraw, out)
    check_words(fig)
    assert f"{100 * found.value:.1f} %" in fig.get_suptitle()
    page = found.report.read_text(encoding="utf-8")
    assert all(step.name in page and step.decision.split("'")[0] in page for step in found.steps)
    assert "Confusion matrix" not in page and "Worst errors" not in page
    (out / "best.png").unlink()
    assert cli.main(["report", str(out)]) == 0 and (out / "best.png").exists()
    printed = capsys.readouterr().out
    assert "load_model" in printed and "a random half of the validation set; the other half decided" in printed
    table = (out / "test.csv").read_text()
    (out / "test.csv").write_text(table.replace(",", ";"))
    assert cli.main(["report", str(out)]) == 2 and "test.csv: damaged" in capsys.readouterr().err
    (out / "test.csv").write_text(table)


def test_the_same_command_again_trains_nothing(answered, monkeypatch):
    out, found, _ = answered
    monkeypatch.setattr(study, "take_steps", lambda *_: pytest.fail("training has begun"))
    assert ask(exportable, out).text == found.text


def images(folder):
    from fastai.vision.all import ImageDataLoaders, Resize, aug_transforms, error_rate

    for row in range(20):
        (folder / f"{row % 2}").mkdir(exist_ok=True)
        pixels = np.random.default_rng(row).integers(0, 255, (20, 20, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{row % 2}" / f"{row}.png")
    tfms = {"item_tfms": Resize(16), "batch_tfms": aug_transforms(size=16)}
    dls = ImageDataLoaders.from_folder(folder, valid_pct=0.5, seed=0, bs=4, num_workers=0, **tfms)
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    return Learner(dls, model, metrics=error_rate)


def language_model():
    from fastai.text.all import TextDataLoaders, pd

    rows = pd.DataFrame({"text": ["a b c d e f g good bad ugly"] * 60})
    dls = TextDataLoaders.from_df(rows, text_col="text", is_lm=True, bs=4, seq_len=6, valid_pct=0.5)
    return Learner(dls, nn.Identity(), loss_func=nn.MSELoss())


def torch_loaders():
    items = list(zip(X, LABELS, strict=True))
    return classifier(DataLoaders(*(torch.utils.data.DataLoader(part, 8) for part in (items[:64], items[64:]))))


@pytest.mark.parametrize(
    "make", [classifier, tasks.tabular, tasks.text, tasks.segmentation, images], ids=lambda make: make.__name__
)
def test_the_halves_of_a_validation_set_are_disjoint_and_together_all_of_it(make, tmp_path):
    prepare_torchvision()
    learn = make(tmp_path) if make is images else make()
    assert find_parts(learn, 0) == HALVES
    first, second = halve(learn.dls.valid, 0)
    assert sorted([*first.get_idxs(), *second.get_idxs()]) == list(range(learn.dls.valid.n))
    assert [sum(find_bs(batch) for batch in half) for half in (first, second)] == [first.n, second.n]
    assert abs(first.n - second.n) <= 1
    losses = [measures_on(learn, loader)["loss"] * loader.n for loader in (learn.dls.valid, first, second)]
    assert losses[0] == pytest.approx(losses[1] + losses[2], rel=1e-4)
    assert set(halve(learn.dls.valid, 1)[0].get_idxs()) != set(first.get_idxs())


def test_what_cannot_be_divided_decides_and_is_reported():
    assert find_parts(third_loader(), 0) == THIRD
    assert find_parts(language_model(), 0) == SAME and find_parts(torch_loaders(), 0) == SAME


def test_the_training_does_not_see_the_test_items_and_the_loaders_of_the_user_stay():
    dls = tasks.loaders()
    learns = [WithoutTest(lambda: classifier(dls), HALVES, 0)() for _ in range(2)]
    deciding = [items_of(learn.dls.valid) for learn in learns]
    assert deciding[0] == deciding[1] and len(deciding[0]) == 16 and dls.valid.n == 32
    tested = items_of(loader_for_test(classifier(dls), HALVES, 0))
    assert not any(item in tested for item in deciding[0]) and len(tested) == 16
    assert len(WithoutTest(third_loader, THIRD, 0)().dls.loaders) == 2


def test_a_third_loader_is_the_test(tmp_path):
    found = ask(third_loader, tmp_path, tick=0.4)
    learn = third_loader()
    learn.model = load_model(found.model).model
    assert found.value == measures_on(learn, learn.dls[2])["accuracy"]
    assert "third loader" in found.text and "16 test items" in found.text


def test_of_a_regression_the_lowest_error_wins(tmp_path):
    found = ask(tasks.regression, tmp_path, tick=0.15)
    trials, training = found.steps[2:4]
    assert "1 seed: rmse: LR" in trials.evidence and "one training has no interval" in found.text
    values = [part.split() for part in trials.evidence.partition("rmse: ")[2].split("; ")]
    shown = {words[1]: float(words[2]) for words in values}
    assert len(shown) == 3 and min(shown, key=shown.get) == trials.facts["lr"]
    assert training.facts["value"] <= min(shown.values()) * 1.001


def test_a_metric_that_the_learner_lacks_is_refused(tmp_path):
    with pytest.raises(UserError, match="`judge` brier: the Learner has no such metric; it has accuracy and loss"):
        ask(exportable, tmp_path / "out", judge=Measure("brier", True))
    assert not (tmp_path / "out").exists()


def test_a_learner_with_callbacks_that_save_and_stop_is_trained(tmp_path):
    def make():
        return third_loader(cbs=[SaveModelCallback("accuracy"), EarlyStoppingCallback("accuracy", patience=50)])

    assert ask(make, tmp_path, tick=0.4).steps[-1].name == STEPS[-1]


def bad():
    return 1 / 0


class BreaksLate(Callback):
    "Raise in the third epoch, which no check reaches."

    def before_epoch(self):
        if self.epoch == 2:
            raise RuntimeError("too late")


def test_errors_of_the_users_code_are_told_as_such(tmp_path):
    with pytest.raises(UserCodeError, match="test_best_learner.py, line .*, in bad: ZeroDivisionError"):
        ask(bad, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserCodeError, match="no trial finished: in a trial: .*in before_epoch: .*too late"):
        ask(lambda: classifier(cbs=BreaksLate()), tmp_path / "late")


def test_too_little_time_for_an_epoch_is_refused_with_the_time_that_is_enough(tmp_path):
    with pytest.raises(UserError, match="`minutes` 0.5: no epoch fits.*give it at least") as raised:
        ask(exportable, tmp_path / "out", minutes=0.5, tick=4.0)
    assert not (tmp_path / "out").exists()
    enough = float(str(raised.value).rpartition(" ")[2])
    assert ask(exportable, tmp_path / "out", minutes=enough, tick=4.0).model.exists()


def test_a_stopped_command_continues_in_the_time_that_is_left(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(final, "train_once", _killed)
        with pytest.raises(KeyboardInterrupt):
            ask(exportable, tmp_path)
    stored = Manifest.read(tmp_path).other["steps"]
    assert [step["name"] for step in stored] == STEPS[:3] and (tmp_path / "weights.pth").exists()
    monkeypatch.setattr(choose_lr, "train_trials", lambda *_: pytest.fail("a finished trial is trained again"))
    monkeypatch.setattr(study, "measure_speed", lambda *_: pytest.fail("the machine is timed again"))
    clock = Clock(0.15)
    again = ask(exportable, tmp_path, clock=clock)
    assert [step.name for step in again.steps] == STEPS and again.model.exists()
    assert clock.now < 60 - sum(step["seconds"] for step in stored)


def _killed(*_):
    raise KeyboardInterrupt


def test_a_training_that_diverges_is_done_again_with_a_smaller_lr(tmp_path, monkeypatch):
    real, lrs = final.fit_until, []

    def first_diverges(learn, lr, *rest):
        lrs.append(lr)
        return (0.5, "diverged at step 3") if len(lrs) == 1 else real(learn, lr, *rest)

    monkeypatch.setattr(final, "fit_until", first_diverges)
    found = ask(exportable, tmp_path, tick=0.3)
    assert "diverged at step 3; " in found.steps[3].evidence and lrs[1] == pytest.approx(lrs[0] / 5, rel=0.05)


def test_a_final_training_that_is_worse_leaves_the_model_of_the_best_trial(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(final, "measures_on", lambda *_: {"accuracy": 0.1})
        patch.setattr(final, "test_and_export", _killed)
        patch.setattr(study, "test_and_export", _killed)
        with pytest.raises(KeyboardInterrupt):
            ask(exportable, tmp_path)
    found = ask(exportable, tmp_path)
    assert "accuracy 10.0 %" in found.steps[3].evidence and found.steps[3].decision.startswith("the trial of 4 epochs")
    assert found.value > 0.5


def test_diverged_trainings_leave_the_best_trial_or_say_that_there_is_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(final, "fit_until", lambda *_: (0.5, "diverged at step 3"))
    found = ask(exportable, tmp_path / "trials")
    assert found.steps[3].evidence.count("diverged") == plan.MOST_FAILURES and "the trial of" in found.steps[3].decision
    monkeypatch.setattr(choose_lr.plan, "plan_trials", lambda *_: None)
    with pytest.raises(NothingFinished, match="no training finished: .*diverged at step 3"):
        ask(exportable, tmp_path / "none")


def test_what_cannot_be_pickled_is_told_before_the_training_and_its_weights_are_kept(tmp_path, monkeypatch, capsys):
    take_steps = study.take_steps
    monkeypatch.setattr(study, "take_steps", lambda *args: [told.append(capsys.readouterr().err), take_steps(*args)])
    told: list[str] = []
    found = ask(classifier, tmp_path, tick=0.4)
    assert "fastai cannot export it, so only its weights will be kept (AttributeError: 'list' object" in told[0]
    assert found.model is None and not (tmp_path / "model.pkl").exists()
    assert "fastai cannot export this Learner: AttributeError: 'list' object has no attribute 'new_empty'" in found.text
    names = {"classifier": classifier}
    exec("\n".join(line.strip() for line in found.text.split("weights.pth.\n")[1].splitlines()[:-1]), names)  # noqa: S102
    learn = names["learn"]
    assert measures_on(learn, loader_for_test(learn, HALVES, 0))["accuracy"] == pytest.approx(found.value)


@pytest.mark.parametrize(("values", "shown", "best"), [((0.95, 0.9, 0.96), 3, 0.96), ((0.2, 0.1, 0.96), 2, None)])
def test_longer_trainings_follow_each_other_until_two_gain_nothing(values, shown, best, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "TRIAL_EPOCHS", 1)
    measured = iter(values)
    monkeypatch.setattr(final, "measures_on", lambda *_: {"accuracy": next(measured)})
    monkeypatch.setattr(study, "test_and_export", _killed)
    with pytest.raises(KeyboardInterrupt):
        ask(exportable, tmp_path, minutes=10.0, tick=0.65)
    training = Manifest.read(tmp_path).other["steps"][-1]
    assert training["evidence"].count("epochs of 1cycle") == shown
    assert training["facts"]["value"] == best if best else training["decision"].startswith("the trial of 1 epoch ")


def test_with_time_for_them_range_tests_and_three_seeds_choose_the_lr(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "test_and_export", _killed)
    monkeypatch.setattr(study, "train_final", lambda *_: None)
    monkeypatch.setattr(plan, "TRIAL_EPOCHS", 3)
    with pytest.raises(KeyboardInterrupt):
        ask(exportable, tmp_path, minutes=60.0, tick=0.15)
    _, tests, trials = Manifest.read(tmp_path).other["steps"]
    assert tests["evidence"].startswith("they suggest ") and "over 3 seeds" in tests["evidence"]
    assert trials["evidence"].startswith("3 epochs, 3 seeds: accuracy: LR") and trials["evidence"].count("LR") == 3


def test_range_tests_that_take_longer_than_planned_end_after_a_seed(tmp_path, monkeypatch):
    clock, real = Clock(0.01), choose_lr.one_test

    def slow(*arguments):
        clock.now, clock.tick = clock.now + 20.0, 0.15
        return real(*arguments)

    monkeypatch.setattr(choose_lr, "one_test", slow)
    monkeypatch.setattr(choose_lr.plan, "plan_trials", lambda *_: None)
    found = ask(exportable, tmp_path, clock=clock)
    assert "(1 seed)" in found.steps[1].evidence and clock.now < 60


def test_trials_that_take_longer_than_planned_end_after_a_seed_and_leave_time(tmp_path, monkeypatch):
    clock, real = Clock(0.15), choose_lr.train_trial

    def slow(run, data, work):
        clock.now += 200.0
        return real(run, data, work)

    monkeypatch.setattr(choose_lr, "train_trial", slow)
    monkeypatch.setattr(study, "train_final", lambda *_: None)
    monkeypatch.setattr(study, "test_and_export", _killed)
    monkeypatch.setattr(plan, "TRIAL_EPOCHS", 2)
    with pytest.raises(KeyboardInterrupt):
        ask(exportable, tmp_path, minutes=40.0, clock=clock)
    assert "2 epochs, 1 seed: " in Manifest.read(tmp_path).other["steps"][-1]["evidence"] and clock.now < 1500


@pytest.mark.parametrize("option", [["--arch", "resnet18"], ["--data", "digits"], ["--size", "32"], ["--bs", "8"]])
def test_options_of_images_are_refused_with_a_learner(option, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(SCRIPT)
    assert cli.main(["best", "--learner", "train.py:make", *option]) == 2
    assert f"--learner brings its own data and model; leave out {option[0]}" in capsys.readouterr().err
    assert cli.main(["best", "--data", "digits", "--judge", "loss"]) == 2
    assert "--judge is for --learner" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["train.py"]


def test_a_function_of_a_file_is_loaded_again(tmp_path):
    script = SCRIPT.replace("items = list(", "from tests.studies.best.test_best_learner import Items\nitems = Items(")
    script = script.replace("items[:64], items[64:]", "Items(items[:64]), Items(items[64:])")
    (tmp_path / "own_training.py").write_text(script)
    found = ask(FromFile.parse(f"{tmp_path}/own_training.py:make"), tmp_path / "out", tick=0.4)
    assert isinstance(load_model(found.model), Learner) and "make of own_training.py" in found.report.read_text()
