"""Predictions that are kept with a run: every measure of the run can be computed from them again."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fastai.test_utils import synth_learner

from lrlab.recipes.kitchen.runs import predictions
from lrlab.recipes.kitchen.runs.plan import plan_runs
from lrlab.recipes.kitchen.runs.predictions import PredictionLog
from lrlab.recipes.kitchen.runs.train import train_run
from lrlab.recipes.kitchen.schedule_names import parse_schedules
from lrlab.recipes.kitchen.stats.predictions import classification_measures
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.workloads import ImageWorkload


@pytest.fixture(scope="module")
def trained():
    workload = ImageWorkload("digits:200", precision="fp32")
    image_set = workload.load()
    (run,) = plan_runs(parse_schedules("sgdr", 2), 3e-3, [0], 2)
    return train_run(run, image_set, workload.resolve(image_set)), image_set.split_by(0)


def test_the_measures_of_a_run_can_be_computed_from_its_folder(trained, tmp_path):
    result, image_set = trained
    with Store(tmp_path) as store:
        store.write_run(result)
    kept, (row,) = Store(tmp_path).predictions(result.row.run_id), Store(tmp_path).complete().values()
    assert kept["targets"].dtype == np.uint8 and (kept["targets"] == image_set.labels[image_set.splits["valid"]]).all()
    again = classification_measures(kept["log_probabilities"].astype(float), kept["targets"].astype(int))
    assert again["accuracy"] == pytest.approx(row.accuracy) and again["loss"] == pytest.approx(row.valid_loss)
    assert again["brier"] == pytest.approx(row.measures["brier"]) and 0 < again["brier"] < 2
    assert Store(tmp_path).predictions("another") == {}


def kept_of(learn):
    log = PredictionLog()
    with learn.no_bar(), learn.no_logging():
        learn.fit(2, cbs=log)
    return log.arrays()


def test_other_tasks_keep_the_outputs_and_what_is_too_large_is_not_kept(monkeypatch):
    learn = synth_learner()
    kept = kept_of(learn)
    assert set(kept) == {"outputs", "targets"} and kept["outputs"].shape == kept["targets"].shape
    assert np.square(kept["outputs"] - kept["targets"]).mean() == pytest.approx(learn.validate()[0])
    assert predictions.measures_of(kept) == {}
    monkeypatch.setattr(predictions, "MOST_VALUES", kept["outputs"].size)
    assert kept_of(synth_learner()) == {}


@pytest.mark.parametrize(
    "second", [(torch.zeros(4, 2, 9), torch.zeros(4, 2)), (torch.zeros(()), torch.zeros(4, 8)), (torch.zeros(4), 1.0)]
)
def test_batches_that_make_no_table_are_not_kept_and_do_no_harm(second):
    "The last batch of a language model is shorter, and some models return their loss."
    log = PredictionLog()
    log.learn = SimpleNamespace(loss_func=None, epoch=0, n_epoch=1)
    log.before_fit()
    log.before_validate()
    for pred, target in ((torch.zeros(4, 8, 9), torch.zeros(4, 8)), second):
        log.learn.pred, log.learn.yb = pred, (target,)
        log.after_batch()
    assert log.arrays() == {}
