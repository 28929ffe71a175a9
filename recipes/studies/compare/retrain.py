"""Train one run of a comparison again, for what a results folder does not keep: the trained Learner."""

import math
from pathlib import Path
from typing import Any

import pandas as pd

from lrlab.recipes.kitchen.errors import UserCodeError, UserError
from lrlab.recipes.kitchen.learner_workload import export_learner
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.recording import Recording
from lrlab.recipes.kitchen.runs.train import fit_run
from lrlab.recipes.kitchen.stage import print_note
from lrlab.recipes.kitchen.text import plural
from lrlab.recipes.kitchen.workloads import using_threads

SAME = 1e-6  # relative difference of two validation losses that rounding can make


def export_again(file: Path, row: pd.Series, question: Any, data: Any) -> Path:
    """Train the run of a `row` of runs.csv again, and write its Learner with fastai's `learn.export`.

    The same seed gives the weights of the run in the table. A note says so where it did not. Raises UserError for a
    `file` that cannot be one, and UserCodeError for a Learner that fastai cannot export.
    """
    if not file.parent.is_dir():
        raise UserError(f"`file` {file}: there is no folder {file.parent}")
    if file.is_dir():
        raise UserError(f"`file` {file}: a folder; expected the name of a file")
    budget = int(row.budget)
    schedule, lr_max = question.schedules[budget][row.schedule], LearningRate.parse(row.lr_max)
    print(f"Training {row.schedule} again: seed {row.seed}, {plural(budget, 'epoch')}, lr_max {lr_max}", flush=True)
    recording = Recording()
    with using_threads(question.threads):
        learn = fit_run(Run(row.schedule, schedule, lr_max, int(row.seed), budget), data, question.workload, recording)
    loss = recording.epochs.rows[-1]["valid_loss"]
    if not math.isclose(loss, row.valid_loss, rel_tol=SAME):
        print_note(data.name, f"trained again its validation loss is {loss:.6g}, in the table {row.valid_loss:.6g}")
    if why_not := export_learner(learn, file):
        raise UserCodeError(f"fastai cannot export this Learner: {why_not}")
    return file
