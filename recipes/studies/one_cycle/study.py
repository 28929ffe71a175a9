"""The tutorial's own way to train: the head first, an LR range test, then `fit_one_cycle` with a slice. One run."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from fastai.interpret import ClassificationInterpretation

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.grid.study import Study, open_study
from lrlab.recipes.kitchen.learning_rates import LearningRate, found_words
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
    lr_max: LearningRate | None  # None: chosen by an LR range test
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
            with using_threads(question.threads):
                _train(study)
        return redraw(study.store)


def _train(study: Study) -> None:
    question, workload = study.question, study.workload
    found = study.find_lr()
    print(f"lr_find suggests {found_words(found, study.store.manifest.lr_find_range)}")
    used = question.lr_max or workload.spread(study.require_lr("lr_max"))
    learn = workload.learner(question.seed, study.image_set)
    with learn.no_bar():
        if workload.pretrained:
            stage(f"Training the head alone, {plural(workload.head_epochs, 'epoch')}")
        workload.warm_up_head(learn)
        print(f"learn.fit_one_cycle({question.epochs}, {used})")
        recording = Recording()
        groups = len(learn.splitter(learn.model))
        cbs = [recording.history, recording.epochs]
        learn.fit_one_cycle(question.epochs, used.to_fastai(groups), cbs=cbs)
        matrix = ClassificationInterpretation.from_learner(learn).confusion_matrix()
    steps = recording.history.to_df()
    study.store.write_tables(epochs=recording.epochs.to_df(steps), steps=steps)
    study.store.update(groups=group_names(groups), lr_max=str(used))
    classes = study.image_set.classes
    confusion = pd.DataFrame(matrix, index=classes, columns=classes)
    study.store.write_tables(confusion=confusion.reset_index(names=""))  # last: the run is complete if it is there
