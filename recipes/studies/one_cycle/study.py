"""The tutorial's own way to train: LR range tests, the head first, then `fit_one_cycle` with a slice. One run."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from fastai.basics import Learner

from lrlab.callbacks.hypers import n_groups
from lrlab.recipes.kitchen.grid.judging import measure_to_show
from lrlab.recipes.kitchen.grid.study import Study, open_study
from lrlab.recipes.kitchen.learning_rates import LearningRate, acting_lr
from lrlab.recipes.kitchen.models.layer_groups import group_names
from lrlab.recipes.kitchen.runs.recording import Recording
from lrlab.recipes.kitchen.stage import stage
from lrlab.recipes.kitchen.text import plural
from lrlab.recipes.kitchen.workloads import Workload, using_threads
from lrlab.recipes.studies.one_cycle.confusion import ConfusionCounts
from lrlab.recipes.studies.one_cycle.report import OneCycleRun, redraw


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
    epochs: int
    lr_max: LearningRate | None  # None: chosen by LR range tests
    seed: int
    threads: int | None = None  # every core

    @property
    def seeds(self) -> list[int]:
        return [self.seed]

    def to_dict(self, data: Any) -> dict:
        lr_max = "find" if self.lr_max is None else str(self.lr_max)
        own = {"epochs": self.epochs, "lr_max": lr_max, "seed": self.seed, "threads": self.threads}
        return self.workload.to_dict(data) | own | measure_to_show(self.workload, data).to_dict()


def answer(question: Question, out: Path | str, fresh: bool = False) -> OneCycleRun:
    """Train (or read, if the folder has the run) and draw; writes lr_find, epochs, steps .csv and one_cycle.png.

    Also confusion.csv, where every item has one class.
    """
    with open_study("one-cycle", question, out, fresh=fresh) as study:
        if not study.store.has("epochs", "steps"):
            _train(study)
        return redraw(study.store)


def _train(study: Study) -> None:
    lr_max = study.choose_lr(study.question.lr_max)
    learn = study.workload.learner(study.question.seed, study.image_set)
    with learn.no_bar(), using_threads(study.question.threads):
        _fit(study, learn, lr_max)


def _fit(study: Study, learn: Learner, lr_max: LearningRate) -> None:
    "The head alone if the model is pretrained, then `fit_one_cycle`; writes steps.csv, confusion.csv and epochs.csv."
    question, workload = study.question, study.workload
    learn.logger = partial(_print_epoch, learn)
    if workload.pretrained:
        stage(f"Training the head alone, {plural(workload.head_epochs, 'epoch')}")
    workload.warm_up_head(learn)
    lr_max = acting_lr(lr_max, group_names(n_groups(learn)))
    print(f"learn.fit_one_cycle({question.epochs}, {lr_max})")
    recording, confusion, groups = Recording(), ConfusionCounts(), n_groups(learn)
    cbs = [recording.history, recording.epochs, confusion]
    learn.fit_one_cycle(question.epochs, lr_max.to_fastai(groups), cbs=cbs)
    steps = recording.history.to_df()
    tables = {"steps": steps}
    if confusion.counts is not None:
        classes = study.image_set.classes
        counts = pd.DataFrame(confusion.counts.numpy(), index=classes, columns=classes)
        tables["confusion"] = counts.reset_index(names="")
    study.store.update(groups=group_names(groups), lr_max=str(lr_max))
    study.store.write_tables(**tables, epochs=recording.epochs.to_df(steps))  # last: the run is complete if it is there


def _print_epoch(learn: Learner, values: list) -> None:
    """A line for an epoch that has ended, in place of fastai's list of numbers. Epochs count from 1.

    fastai smooths its train_loss; epochs.csv has the mean of the epoch.
    """
    names = ["smoothed train loss" if name == "train_loss" else name for name in learn.recorder.metric_names]
    epoch, *rest = zip(names, values, strict=True)
    shown = [
        f"{name.replace('_', ' ')} {value:.4g}" if isinstance(value, float) else str(value) for name, value in rest
    ]
    print(f"[{epoch[1] + 1}/{learn.n_epoch}] {', '.join(shown)}", flush=True)
