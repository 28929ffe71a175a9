"""A Learner of the user's own: the same for the same seed, and errors of the user's code shown as theirs."""

import random
from copy import deepcopy
from functools import partial
from itertools import count

import pytest
import torch
from fastai.basics import Callback, CancelEpochException, CancelValidException, DataLoaders, Learner, Metric, nn
from fastai.callback.tracker import EarlyStoppingCallback, ReduceLROnPlateau, SaveModelCallback
from fastai.data.load import DataLoader
from fastai.losses import CrossEntropyLossFlat, MSELossFlat
from fastai.metrics import accuracy, error_rate, rmse
from fastai.torch_core import set_seed
from torch.utils.data import Dataset

from lrlab.recipes.kitchen.errors import UserCodeError, UserError, with_options
from lrlab.recipes.kitchen.from_file import FromFile
from lrlab.recipes.kitchen.grid.judging import measure_to_show
from lrlab.recipes.kitchen.learner_workload import LearnerWorkload, OwnData, identity
from lrlab.recipes.kitchen.runs.plan import plan_runs
from lrlab.recipes.kitchen.runs.train import train_run
from lrlab.recipes.kitchen.schedule_names import parse_schedules
from lrlab.recipes.kitchen.text import described
from lrlab.recipes.kitchen.training_code import own_learner
from tests.kitchen import tasks
from tests.kitchen.tasks import LABELS, X, classifier, loaders

MADE_ONCE = loaders()


@pytest.mark.parametrize("make", [classifier, lambda: classifier(MADE_ONCE)], ids=["new loaders", "loaders made once"])
def test_the_same_seed_gives_the_same_run_whatever_came_before(make):
    workload = LearnerWorkload(make)
    one, two = plan_runs(parse_schedules("sgdr", 3), 1e-2, [3, 4], 3)
    first = train_run(one, None, workload)
    other = train_run(two, None, workload)
    random.random(), torch.rand(5), list(MADE_ONCE.train)
    again = train_run(one, None, workload)
    assert again.steps.equals(first.steps) and again.epochs.drop(columns="seconds").equals(
        first.epochs.drop(columns="seconds")
    )
    assert not other.steps.loss.equals(first.steps.loss)
    assert first.row.accuracy == pytest.approx(first.epochs.accuracy.iloc[-1]) and 0 < first.row.measures["brier"] < 2


def noisy(items):
    return torch.stack([x + torch.rand(4) for x, _ in items]), torch.stack([y for _, y in items])


def test_augmentation_in_worker_processes_is_the_same_for_the_same_seed():
    def make():
        items = list(zip(X, LABELS, strict=True))
        train, valid = (
            DataLoader(part, bs=8, num_workers=n, create_batch=noisy, shuffle=n > 0)
            for part, n in ((items[:64], 2), (items[64:], 0))
        )
        return classifier(DataLoaders(train, valid))

    first, second = (identity(LearnerWorkload(make).learner(5))["first batch"] for _ in range(2))
    assert first == second != identity(LearnerWorkload(make).learner(6))["first batch"]


def top_2(preds, targets):
    return accuracy(preds, targets)


def test_what_is_known_before_any_training():
    make = partial(classifier, metrics=[error_rate, top_2])
    data = LearnerWorkload(make).load()
    assert data.describe()["images"] == {"train": 64, "valid": 32} and data.metrics == ("accuracy", "top_2")
    assert data.identity["bs"] == 8 and data.identity["loss"] == "FlattenedLoss of CrossEntropyLoss()"
    assert data.identity == LearnerWorkload(make).load().identity


def named(name, value):
    def metric(preds, targets):
        return value

    metric.__name__ = name
    return metric


def test_a_metric_with_the_name_of_a_column_keeps_its_own_value_and_the_second_of_two_is_numbered():
    names = ("loss", "valid_loss", "train_gap", "valid_gap", "time", "gap", "gap")
    make = partial(classifier, metrics=[named(name, float(i)) for i, name in enumerate(names)])
    workload = LearnerWorkload(make)
    run = train_run(plan_runs(parse_schedules("cosine", 1), 1e-2, [0], 1)[0], None, workload).row
    expected = {name: i for i, name in enumerate(workload.load().metrics)}
    assert list(expected) == ["metric_loss", "metric_valid_loss", "train_gap", "valid_gap", "time", "gap", "gap_2"]
    assert {name: run.measures[name] for name in expected} == expected and 0.1 < run.valid_loss < 2


@pytest.mark.parametrize("value", [{"a": 1.0}, (1.0, 2.0), "good", None], ids=["dict", "tuple", "text", "None"])
def test_a_metric_that_returns_no_number_is_named(value):
    "fastai adds up what it returns, so no line of the user's code is at fault."
    with pytest.raises(UserCodeError, match="while training on one batch: in the metric odd: TypeError"):
        LearnerWorkload(partial(classifier, metrics=named("odd", value))).load()


def test_a_learner_that_is_not_the_same_twice_is_told(capsys):
    calls = count()

    def make():
        learn = classifier()
        with torch.no_grad():
            learn.model[0].bias += next(calls)
        return learn

    data = LearnerWorkload(make).load()
    assert "weights differ" in data.warnings[0] and "weights" not in data.identity and "first batch" in data.identity
    assert capsys.readouterr().err == f"Note on make: {data.warnings[0]}.\n", "told before any training, not at its end"


def test_a_learner_that_stops_early_is_trained_and_told_every_time(capsys):
    workload = LearnerWorkload(
        lambda: classifier(cbs=[EarlyStoppingCallback("accuracy", min_delta=2), SaveModelCallback()])
    )
    for _ in range(2):
        workload.load()
        assert "the Learner stops early" in capsys.readouterr().err
    result = train_run(plan_runs(parse_schedules("cosine", 4), 1e-2, [0], 4)[0], None, workload)
    assert (result.row.status, result.row.epochs, result.row.budget) == ("ok", 2, 4)
    LearnerWorkload(classifier).load()
    assert capsys.readouterr().err == ""


def test_a_learner_that_stops_early_is_tested_on_its_third_loader():
    "fastai's trackers would look for the values of a training in those of the test."
    items = list(zip(X, LABELS, strict=True))
    dls = DataLoaders.from_dsets(items[:64], items[64:80], items[80:], bs=8, num_workers=0)
    workload = LearnerWorkload(lambda: classifier(dls, cbs=[EarlyStoppingCallback("accuracy"), SaveModelCallback()]))
    row = train_run(plan_runs(parse_schedules("cosine", 1), 1e-2, [0], 1)[0], None, workload).row
    assert row.status == "ok" and 0 <= row.test_accuracy <= 1


ITEMS = list(zip(X, LABELS, strict=True))


def of_torch(items):
    return torch.utils.data.DataLoader(items, 8)


@pytest.mark.parametrize("loader", [of_torch, lambda items: list(of_torch(items))], ids=["torch", "list of batches"])
def test_loaders_that_are_not_of_fastai(loader):
    workload = LearnerWorkload(lambda: classifier(DataLoaders(loader(ITEMS[:64]), loader(ITEMS[64:]))))
    data = workload.load()
    is_torch = loader is of_torch
    assert data.facts["images"] == ({"train": 64, "valid": 32} if is_torch else {"train": 8, "valid": 4})
    assert data.identity["bs"] == (8 if is_torch else None) and data.identity == workload.load().identity
    assert train_run(plan_runs(parse_schedules("cosine", 1), 1e-2, [0], 1)[0], None, workload).row.status == "ok"


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter(ITEMS)


@pytest.mark.parametrize("loader", [of_torch, DataLoader], ids=["torch", "fastai"])
def test_a_loader_without_a_length_is_refused(loader):
    with pytest.raises(UserCodeError, match="has a DataLoader without a length"):
        LearnerWorkload(lambda: classifier(DataLoaders(loader(Stream()), of_torch(ITEMS)))).load()


def test_a_callback_of_fastai_that_raises_is_named():
    with pytest.raises(UserCodeError, match="in the callback EarlyStoppingCallback: "):
        LearnerWorkload(lambda: classifier(cbs=EarlyStoppingCallback("acuracy"))).load()


class Skip(Callback):
    "Skips every validation, or ends every epoch after its first batch."

    def __init__(self, event, raised):
        setattr(self, event, self.skip)
        self.raised = raised

    def skip(self):
        raise self.raised


def test_a_validation_that_a_callback_skips_is_told():
    with pytest.raises(UserCodeError, match="a callback of the Learner skips the validation"):
        LearnerWorkload(lambda: classifier(cbs=Skip("before_validate", CancelValidException))).load()
    workload = LearnerWorkload(lambda: classifier(cbs=Skip("before_step", CancelEpochException)))
    with pytest.raises(RuntimeError, match="a callback of the Learner skipped the validation of an epoch"):
        train_run(plan_runs(parse_schedules("cosine", 1), 1e-2, [0], 1)[0], None, workload)


def unlabelled(dls):
    return DataLoader(X[80:], bs=8, create_item=lambda i: (X[i],))


def broken(dls):
    return DataLoader(list(X[80:]), bs=8)


@pytest.mark.parametrize(
    ("third", "said"), [(unlabelled, "has no labels; leave it out"), (broken, "while testing on one batch: ")]
)
def test_a_third_loader_that_cannot_test_is_refused_before_any_training(third, said):
    dls = loaders()
    dls.loaders.append(third(dls))
    with pytest.raises(UserCodeError, match=said):
        LearnerWorkload(lambda: classifier(dls, cbs=SaveModelCallback())).load()


def test_a_model_that_was_made_once_is_refused_unless_its_weights_are_put_back():
    made_once = classifier()
    weights = deepcopy(made_once.model.state_dict())
    with pytest.raises(UserCodeError, match="the same model in every call, so every run would continue the one before"):
        LearnerWorkload(lambda: Learner(loaders(), made_once.model, CrossEntropyLossFlat(), metrics=accuracy)).load()

    def put_back():
        made_once.model.load_state_dict(weights)
        return made_once

    assert LearnerWorkload(put_back).load().warnings == ()


def test_a_function_that_sets_the_seed_itself_is_told():
    def make():
        set_seed(42)
        return classifier()

    (warning,) = LearnerWorkload(make).load().warnings
    assert "sets the random seed itself, so all runs start from the same weights" in warning


def test_a_learner_in_place_of_the_function_is_refused(tmp_path):
    file = tmp_path / "with_learner.py"
    file.write_text("from tests.kitchen.tasks import classifier\nlearn = classifier()\n")
    for maker in (FromFile.parse(f"{file}:learn"), classifier()):
        with pytest.raises(UserError, match="is a Learner; expected a function that makes a Learner") as raised:
            LearnerWorkload(maker).load()
        assert raised.value.exit_code == 2


class UnreadableItem(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        raise KeyError(f"no item {i}")


def test_an_error_in_a_worker_process_of_the_loader_names_the_place_and_what_it_says():
    broken = torch.utils.data.DataLoader(UnreadableItem(), batch_size=8, num_workers=1)
    workload = LearnerWorkload(lambda: classifier(DataLoaders(broken, loaders().valid)))
    with pytest.raises(UserCodeError, match=r"first batch: .*py, line \d+, in __getitem__: KeyError: 'no item 0'$"):
        workload.load()
    with pytest.raises(KeyError) as error:
        next(iter(broken))
    assert described(error.value) == "KeyError: 'no item 0'"  # as the row of a failed run has it


def test_a_callback_that_sets_the_lr_too_is_refused_before_any_run_where_a_schedule_sets_it(recwarn):
    assert LearnerWorkload(classifier).load().classes
    assert not [warning for warning in recwarn if "steps" in str(warning.message)]
    make = partial(classifier, cbs=ReduceLROnPlateau())
    with pytest.raises(UserCodeError, match="on one batch: .*ReduceLROnPlateau both set the LR"):
        LearnerWorkload(make).load()
    assert LearnerWorkload(make, is_scheduled=False).load().classes  # lr_find, fit_one_cycle and best take it


def test_words_of_other_code_are_no_options_of_the_command_line():
    assert with_options(described(ValueError("no `my_column`"))) == "ValueError: no 'my_column'"


def test_all_lines_of_an_error_are_shown():
    def make():
        (learn := classifier()).model.load_state_dict({"other": torch.zeros(1)})
        return learn

    with pytest.raises(UserCodeError, match=r"in make: RuntimeError: Error.* Missing key\(s\)"):
        LearnerWorkload(make).load()


def raises_in_metric(preds, targets):
    return preds[:, 7].mean()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: 1 / 0, "line .*ZeroDivisionError: division by zero"),
        (loaders, "returned DataLoaders; expected a fastai Learner"),
        (lambda: classifier(DataLoaders(loaders().train)), "no validation data"),
        (lambda: classifier(metrics=raises_in_metric), "in raises_in_metric: IndexError"),
        (lambda: Learner(loaders(), nn.Linear(5, 2), loss_func=CrossEntropyLossFlat()), "on one batch: .*RuntimeError"),
    ],
)
def test_errors_of_the_users_code_name_the_place(make, says):
    with pytest.raises(UserCodeError, match=says) as raised:
        LearnerWorkload(make).load()
    assert raised.value.exit_code == 1 and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("metrics", "shown"),
    [(("gap",), "loss"), (("gap", "rmse"), "rmse"), ((), "loss"), (("accuracy", "gap"), "accuracy")],
)
def test_a_recipe_that_cannot_ask_for_a_direction_shows_the_loss(metrics, shown):
    "learning-rate and one-cycle have no option `judge`."
    assert measure_to_show(LearnerWorkload(classifier), OwnData("mine", {}, {}, metrics)).name == shown


class Maker:
    def make(self):
        return classifier()

    __call__ = make


@pytest.mark.parametrize(
    ("maker", "line"),
    [
        (classifier, "learn = classifier()"),
        (Maker().make, "# learn: Maker.make"),
        (Maker(), "# learn: Maker(...)"),
        (partial(classifier, metrics=[]), "# learn: partial(...)"),
        (lambda: classifier(), "# learn: <lambda>"),
    ],
)
def test_printed_code_calls_the_function_only_where_its_name_is_enough(maker, line):
    assert own_learner({"question": {"learner": LearnerWorkload(maker).name}, "data": {}}) == ([], [line])


@pytest.mark.parametrize(
    ("make", "classes", "judge"),
    [
        (tasks.classifier, ("0", "1"), "accuracy"),
        (tasks.regression, (), "-rmse"),
        (tasks.multi_label, (), "accuracy_multi"),
        (tasks.segmentation, (), "foreground_acc"),
        (tasks.tabular, ("no", "yes"), "accuracy"),
        (tasks.text, ("disliked", "liked"), "accuracy"),
        (partial(tasks.regression, metrics=[]), (), "-loss"),
    ],
    ids=["classifier", "regression", "multi-label", "segmentation", "tabular", "text", "no metric"],
)
def test_every_task_has_its_measure_and_a_classification_its_classes(make, classes, judge):
    workload = LearnerWorkload(make)
    data = workload.load()
    assert data.classes == classes and workload.measure(data).judge == judge
    result = train_run(plan_runs(parse_schedules("cosine", 1), 1e-2, [0], 1)[0], data, workload)
    assert result.row.status == "ok" and ("brier" in result.row.measures) == bool(classes) and result.predictions


class Largest(Metric):
    "A metric with a state, as those of fastai that accumulate."

    name = "largest"

    def reset(self):
        self.found = 0.0

    def accumulate(self, learn):
        self.found = max(self.found, float(learn.pred.max()))

    @property
    def value(self):
        return self.found


def test_a_regression_has_its_own_measures_and_no_accuracy():
    def make():
        model = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))
        return Learner(loaders(X.sum(1)), model, loss_func=MSELossFlat(), metrics=[rmse, Largest()])

    (run,) = plan_runs(parse_schedules("cosine", 2), 1e-2, [0], 2)
    result = train_run(run, None, LearnerWorkload(make))
    assert (
        result.row.accuracy is None
        and result.row.status == "ok"
        and list(result.epochs.columns[-2:]) == ["rmse", "largest"]
    )
    assert result.row.measures["rmse"] == pytest.approx(result.row.valid_loss**0.5, rel=1e-4)
