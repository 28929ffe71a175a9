"""`compare_schedules`: a comparison on a Learner of the user's own, from Python and from the command line."""

import json
import shutil
from itertools import count

import pytest
import torch
from fastai.basics import Callback, CancelFitException, Metric
from fastai.callback.progress import CSVLogger
from fastai.learner import load_learner
from fastai.metrics import accuracy

from lrlab.callbacks import CosineDecay
from lrlab.recipes import cli, compare, compare_schedules, report
from lrlab.recipes.kitchen.errors import Refused, UserCodeError, UserError
from lrlab.recipes.kitchen.grid.time_needed import FIRST_SEEDS
from lrlab.recipes.studies.compare import own_learner
from tests.conftest import draw_nothing
from tests.kitchen import tasks
from tests.kitchen.tasks import classifier, regression

ASKED = {"epochs": 2, "schedules": "constant,cosine", "lr_max": 1e-2, "seeds": 3}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return compare_schedules(classifier, **ASKED, jobs=1, out=tmp_path_factory.mktemp("own") / "out")


def test_the_result_has_everything_and_shows_itself(first):
    assert (
        first.summary.schedule.isin(["constant", "cosine"]).all() and len(first.runs) == 6 and len(first.epochs) == 12
    )
    assert first.best.schedule == first.summary.schedule[0] and first.verdict in repr(first)
    assert first.report.exists() and "fit_schedule(2," in first.code and "learn = classifier()" in first.code
    page = first._repr_html_()
    assert page.count("<tr") == 3 and first.verdict in page and "data:image/png;base64," in page
    config = json.loads((first.out / "config.json").read_text())
    assert config["question"]["learner"] == "classifier" and config["groups"] == ["all"]


@pytest.mark.usefixtures("undrawn")
def test_another_learner_in_the_folder_is_refused_and_more_seeds_extend_it(first, tmp_path, capsys):
    with pytest.raises(Refused, match="learner = 'classifier'"):
        compare_schedules(lambda: classifier(metrics=[]), **ASKED, jobs=1, out=first.out)
    over = ASKED | {"epochs": 1, "seeds": 1, "schedules": "constant"}
    copy = shutil.copytree(first.out, tmp_path / "out")
    assert len(compare_schedules(lambda: classifier(metrics=[]), **over, jobs=1, out=copy, fresh=True).runs) == 1
    assert len(list(tmp_path.iterdir())) == 2, "the old folder is kept"
    capsys.readouterr()
    more = compare_schedules(classifier, **ASKED | {"seeds": 4}, jobs=1, out=first.out)
    told = capsys.readouterr().out
    assert "To do: 2 runs" in told and "on 32 validation items can show" in told and set(more.summary.n) == {4}
    assert json.loads((first.out / "config.json").read_text())["question"]["looks"] == 2


@pytest.mark.usefixtures("undrawn")
def test_what_judges_is_the_first_metric_or_what_is_asked_for(tmp_path):
    by_loss = compare_schedules(classifier, **ASKED, metric="loss", tolerance="5%", jobs=1, out=tmp_path / "loss")
    assert set(by_loss.summary.judge) == {"-loss"} and "validation loss" in by_loss.text
    assert by_loss.summary["mean"].tolist() == sorted(by_loss.summary["mean"])
    with pytest.raises(UserError, match="no run has it; the runs have accuracy, loss, brier"):
        compare_schedules(classifier, **ASKED, metric="dice", jobs=1, out=tmp_path / "dice")
    with pytest.raises(UserError, match="accuracy: no run has it; the runs have loss, rmse"):
        compare_schedules(regression, **ASKED, metric="accuracy", jobs=1, out=tmp_path / "dice")
    assert not (tmp_path / "dice").exists()


def gap(preds, targets):
    return (preds[:, 0] - targets).abs().mean()


@pytest.mark.parametrize(
    ("make", "metric", "says"),
    [
        (lambda: classifier(metrics=gap), None, 'better\\? Write `metric="\\+gap"` or `metric="-gap"`'),
        (lambda: classifier(metrics=gap), "gap", "`metric` gap: is higher or lower better"),
        (classifier, gap, "`metric` .*gap.*: expected accuracy, loss, brier or the name of a metric"),
        (classifier, "dice", "`metric` dice: no run has it"),
        (classifier, "nope", "`metric` nope: no run has it; the runs have accuracy, loss, brier"),
        (classifier(), None, "`make_learner`: this is a Learner"),
        (None, None, "`make_learner`: this is a NoneType; expected a function"),
    ],
)
def test_a_message_names_the_argument_of_this_function(make, metric, says, tmp_path):
    with pytest.raises(UserError, match=says):
        compare_schedules(make, **ASKED, metric=metric, jobs=1, out=tmp_path / "out")


@pytest.mark.usefixtures("undrawn")
def test_on_the_learner_at_hand_everything_is_put_back(tmp_path):
    learn = classifier(cbs=CSVLogger())
    learn.path = tmp_path
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-2)
    before = {name: value.clone() for name, value in learn.model.state_dict().items()}
    written = (tmp_path / "history.csv").read_text()
    values, steps = list(learn.recorder.values), learn.opt.state_dict()["state"]
    random_numbers = torch.get_rng_state()
    result = learn.compare_schedules(2, schedules=[CosineDecay(), "constant"], lr_max=1e-2, seeds=2)
    assert set(result.runs.schedule) == {"CosineDecay()", "constant"} and len(result.runs) == 4
    assert all(torch.equal(value, before[name]) for name, value in learn.model.state_dict().items())
    assert list(learn.recorder.values) == values and torch.equal(torch.get_rng_state(), random_numbers)
    assert str(learn.opt.state_dict()["state"]) == str(steps)
    assert written.count("\n") == 2 and (tmp_path / learn.csv_logger.fname).read_text() == written


@pytest.mark.usefixtures("undrawn")
def test_the_learner_at_hand_is_exported_trained_and_kept(tmp_path):
    learn = tasks.tabular().add_cb(CSVLogger("log.csv"))
    learn.path = tmp_path
    before = {name: value.clone() for name, value in learn.model.state_dict().items()}
    with pytest.raises(UserError, match="`jobs`: learn.compare_schedules takes epochs, schedules, .* and fresh"):
        learn.compare_schedules(1, jobs=2)
    result = learn.compare_schedules(1, schedules=["constant", "cosine"], lr_max=1e-2, seeds=1)
    exported = load_learner(result.export(tmp_path / "model.pkl"))
    written = exported.model.state_dict()
    assert str(exported.csv_logger.fname) == str(learn.csv_logger.fname) == "log.csv" and exported.path == tmp_path
    assert all(torch.equal(value, before[name]) for name, value in learn.model.state_dict().items())
    assert any(not torch.equal(value, before[name]) for name, value in written.items()) and len(learn.dls.train) == 8


@pytest.mark.usefixtures("undrawn")
def test_more_seeds_go_to_the_open_schedules_only(tmp_path, capsys):
    "A later command with more seeds, or more time, looks once more, at what is there by then."
    asked = ASKED | {"schedules": "constant,cosine,exponential,one_cycle", "tolerance": 0.001, "jobs": 1}

    def compare_in(minutes, seeds):
        answer = compare_schedules(classifier, **asked | {"seeds": seeds}, minutes=minutes, out=tmp_path)
        config = json.loads((tmp_path / "config.json").read_text())
        *_, stage = config["asked"].values()
        return stage, config["question"]["looks"], answer.runs.groupby("schedule").seed.nunique()

    stage, looks, counts = compare_in(10, 5)
    kept = stage["schedules"].get("2", [])
    assert looks == 2 and kept, "nothing was open: choose a smaller tolerance"
    assert (counts[kept] == 5).all() and (counts.drop(kept) == FIRST_SEEDS).all()
    assert "After 3 seeds, 2 seeds more for" in (tmp_path / "report.html").read_text()
    capsys.readouterr()
    assert compare_in(10, 5)[:2] == (stage, 2) and "To do" not in capsys.readouterr().out

    again, looks, more = compare_in(20, 7)
    assert looks == 3 and (more >= counts).all() and again["text"].startswith("After 5 seeds")
    assert (more[again["schedules"].get("2", [])] == 7).all() and again["schedules"], "nothing was open"
    _, looks, every = compare_in(None, 7)
    assert looks == 4 and (every == 7).all(), "without stages every schedule gets all seeds"


def test_a_limit_of_time_alone_leaves_room_for_more_seeds(monkeypatch):
    asked = []
    monkeypatch.setattr(own_learner, "answer", lambda question, *_: asked.append(question))
    own_learner.compare_schedules(classifier, minutes=10, jobs=1)
    own_learner.compare_schedules(classifier, jobs=1)
    assert [question.has_stages for question in asked] == [True, False] and len(asked[1].seeds) == 3


class Stop(Callback):
    "A callback of the user's own that ends every fit at one event."

    order = 70  # after the epoch was recorded

    def __init__(self, event):
        setattr(self, event, self.stop)

    def stop(self):
        raise CancelFitException


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("event", "status", "says"),
    [
        ("after_epoch", "ok", "A callback of your Learner ended 6 runs of 6 early (constant, cosine)"),
        ("after_batch", "failed", "a callback of the Learner ended the fit before its first epoch was over"),
    ],
)
def test_a_learner_that_ends_its_fits_early_is_told(event, status, says, tmp_path, capsys):
    answer = compare_schedules(lambda: classifier(cbs=Stop(event)), **ASKED, jobs=1, out=tmp_path)
    assert set(answer.runs.status) == {status}
    assert says in " ".join((answer.text + capsys.readouterr().out).split())
    with pytest.raises(UserError, match=r"a callback of the Learner ended it after \d+ of \d+ steps"):
        lr = {"lr_max": "find", "out": tmp_path / "find"}
        compare_schedules(lambda: classifier(cbs=Stop(event)), **ASKED | lr, jobs=1)


@pytest.fixture(scope="module")
def of_a_table(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch.setattr)
        return compare_schedules(tasks.tabular, **ASKED, jobs=1, out=tmp_path_factory.mktemp("table") / "out")


def test_a_tabular_classification_is_compared_to_the_end(of_a_table):
    assert of_a_table.runs.status.tolist() == ["ok"] * 6 and of_a_table.runs.brier.between(0, 2).all()
    assert set(of_a_table.summary.judge) == {"accuracy"} and of_a_table.best.schedule in of_a_table.text
    page = of_a_table.report.read_text()
    assert "tabular, 64 training and 32 validation items" in page and of_a_table.best.schedule in page


def test_the_recommended_schedule_is_exported_as_it_was_trained(of_a_table, tmp_path, capsys):
    files = [of_a_table.export(tmp_path / f"{n}.pkl", seed) for n, seed in enumerate((2, "2", None))]
    assert "Note" not in capsys.readouterr().err, "the same validation losses as in the table"
    states = [load_learner(file).model.state_dict() for file in files]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    learn, fresh = load_learner(files[2]), tasks.tabular()
    fresh.model.load_state_dict(learn.model.state_dict())
    best = of_a_table.runs.query("schedule == @of_a_table.best.schedule and seed == 0").iloc[0]
    assert fresh.validate()[1] == pytest.approx(best.accuracy) and learn.dls.vocab == ["no", "yes"]
    assert learn.predict(tasks.table().iloc[0])[2].sum().item() == pytest.approx(1)


def test_what_cannot_be_exported_is_one_sentence(first, of_a_table, tmp_path):
    with pytest.raises(UserError, match="`seed` 7: expected a seed of .* that finished: 0, 1, 2"):
        of_a_table.export(tmp_path / "model.pkl", seed=7)
    with pytest.raises(UserError, match="a folder; expected the name of a file"):
        of_a_table.export(tmp_path)
    with pytest.raises(UserError, match="there is no folder"):
        of_a_table.export(tmp_path / "none" / "model.pkl")
    with pytest.raises(UserCodeError, match="fastai cannot export this Learner: AttributeError"):
        first.export(tmp_path / "model.pkl")  # its data set is a list, which fastai cannot empty
    with pytest.raises(UserError, match="export needs the answer"):
        report.main(str(first.out)).export(tmp_path / "model.pkl")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("undrawn")
def test_a_learner_that_is_not_the_same_again_is_told(tmp_path, capsys):
    shift = count()

    def make():
        learn = tasks.tabular()
        with torch.no_grad():
            learn.model.layers[-1][0].bias[0] += next(shift)
        return learn

    result = compare_schedules(make, **ASKED | {"seeds": 1}, jobs=1, out=tmp_path / "out")
    result.export(tmp_path / "model.pkl")
    assert "Note on make: trained again its validation loss is" in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn")
def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(
        "from tests.kitchen.tasks import classifier\n\n\ndef make():\n    return classifier()\n"
    )
    line = "--epochs 1 --seeds 1 --schedules constant,cosine --lr-max 1e-2 --jobs 1".split()
    assert cli.main(["compare", "--learner", "train.py:make", *line]) == 0
    printed = capsys.readouterr().out
    assert "from train import make" in printed and (tmp_path / "results" / "compare-train.py_make").exists()
    (tmp_path / "train.py").write_text("def make():\n    return nothing\n")
    from lrlab.recipes.kitchen import from_file

    from_file._module.cache_clear()
    assert cli.main(["compare", "--learner", "train.py:make", *line, "--out", "new"]) == 1
    assert capsys.readouterr().err.startswith(f"lrlab: {tmp_path / 'train.py'}, line 2, in make: NameError")
    assert not (tmp_path / "new").exists()
    assert cli.main(["compare", "--learner", "train.py:make", "--data", "digits"]) == 2
    assert "leave out --data" in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn")
def test_equal_curves_are_trained_once(capsys, tmp_path):
    result = compare.main(
        data="digits:60", epochs=2, seeds=1, schedules="cosine,sgdr", jobs=1, size=8, lr_max=1e-3, out=tmp_path
    )
    assert list(result.runs.schedule) == ["cosine"]
    assert "In 2 epochs, sgdr has the same curve as cosine: it is excluded." in capsys.readouterr().out


class Unknown(Metric):
    "A metric of the user's that is never a number."

    name, value = "unknown_score", float("nan")

    def reset(self): ...

    def accumulate(self, learn): ...


@pytest.mark.usefixtures("undrawn")
def test_runs_whose_metric_is_never_a_number_can_be_judged_by_another(tmp_path, capsys):
    "The first line of progress tells it. The runs are not trained again."
    asked = ASKED | {"epochs": 1, "seeds": 1, "jobs": 1, "out": tmp_path / "out"}

    def make():
        return classifier(metrics=[Unknown(), accuracy])

    with pytest.raises(UserError, match="unknown_score: not a number in any run; the runs have accuracy, loss"):
        compare_schedules(make, **asked)
    assert capsys.readouterr().out.count("unknown score is not a number") == 2
    assert compare_schedules(make, **asked, metric="accuracy").runs.accuracy.notna().all()
    assert "To do" not in capsys.readouterr().out
    with pytest.raises(Refused, match="judge"):
        compare_schedules(make, **asked, metric="loss")
