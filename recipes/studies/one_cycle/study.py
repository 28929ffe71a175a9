"""The tutorial's own way to train: LR range tests, the head first, then `fit_one_cycle` with a slice. One run."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from fastai.basics import Learner
from fastai.interpret import ClassificationInterpretation

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.grid.study import Study, open_study
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.models.layer_groups import group_names
from lrlab.recipes.kitchen.runs.recording import Recording
from lrlab.recipes.kitchen.stage import stage
from lrlab.recipes.kitchen.text import plural
from lrlab.recipes.kitchen.workloads import ImageWorkload, using_threads
from lrlab.recipes.studies.one_cycle.report import OneCycleRun, redraw


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: ImageWorkload
    epochs: int
    lr_max: LearningRate | None  # None: chosen by LR range tests
    seed: int
    threads: None = None  # every core

    @property
    def seeds(self) -> list[int]:
        return [self.seed]

    def to_dict(self, image_set: ImageSet) -> dict:
        lr_max = "find" if self.lr_max is None else str(self.lr_max)
        return {**self.workload.to_dict(image_set), "epochs": self.epochs, "lr_max": lr_max, "seed": self.seed}


def answer(question: Question, out: Path | str, fresh: bool = False) -> OneCycleRun:
    "Train (or read, if the folder has the run) and draw; writes lr_find, epochs, steps, confusion .csv and a figure."
    with open_study("one-cycle", question, out, fresh=fresh) as study:
        if not (study.store.out / "confusion.csv").exists():
            _train(study)
        return redraw(study.store)


def _train(study: Study) -> None:
    used = _lr_max(study)
    learn = study.workload.learner(study.question.seed, study.image_set)
    with learn.no_bar(), using_threads(study.question.threads):
        _fit(study, learn, used)
        matrix = ClassificationInterpretation.from_learner(learn).confusion_matrix()
    classes = study.image_set.classes
    confusion = pd.DataFrame(matrix, index=classes, columns=classes)
    study.store.write_tables(confusion=confusion.reset_index(names=""))  # last: the run is complete if it is there


def _lr_max(study: Study) -> LearningRate:
    "The LR range tests, and the LR to use: the given one, or what they suggest."
    given = study.question.lr_max
    if given is None:
        return study.workload.spread(study.require_lr("lr_max"))
    study.find_lr(in_use=given.peak)
    return given


def _fit(study: Study, learn: Learner, lr_max: LearningRate) -> None:
    "The head alone if the model is pretrained, then `fit_one_cycle`; writes epochs.csv and steps.csv."
    question, workload = study.question, study.workload
    if workload.pretrained:
        stage(f"Training the head alone, {plural(workload.head_epochs, 'epoch')}")
    workload.warm_up_head(learn)
    print(f"learn.fit_one_cycle({question.epochs}, {lr_max})")
    recording, groups = Recording(), len(learn.splitter(learn.model))
    learn.fit_one_cycle(question.epochs, lr_max.to_fastai(groups), cbs=[recording.history, recording.epochs])
    steps = recording.history.to_df()
    study.store.write_tables(epochs=recording.epochs.to_df(steps), steps=steps)
    study.store.update(groups=group_names(groups), lr_max=str(lr_max))
