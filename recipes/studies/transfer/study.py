"""From the question of `lrlab transfer` to its answer: LR range tests, then six arms of equal budget."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.grid.range_tests import STEPS
from lrlab.recipes.kitchen.grid.study import open_study
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.store.tables import RunResult
from lrlab.recipes.kitchen.workloads import ImageWorkload
from lrlab.recipes.studies.transfer.arms import ARMS
from lrlab.recipes.studies.transfer.report import Answer, redraw
from lrlab.recipes.studies.transfer.train import plan, train_arm

ALL_LAYERS = {"slice", "one_high_lr", "one_low_lr", "gradual"}  # the arms that the LR range tests are for


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: ImageWorkload
    epochs: int  # after one for the head
    lr: LearningRate  # a slice
    low: float
    seeds: list[int]
    threads: int = 1
    arms: tuple[str, ...] = tuple(ARMS)

    def to_dict(self, image_set: ImageSet) -> dict:
        workload = self.workload.to_dict(image_set)
        own = {"epochs": self.epochs, "lr": str(self.lr), "low": self.low, "seeds": self.seeds}
        return workload | own | {"threads": self.threads, "arms": list(self.arms)}


def answer(question: Question, out: Path | str, jobs: int = 1, fresh: bool = False, find_steps: int = STEPS) -> Answer:
    "Train what is not there yet; write runs, epochs, summary, movement .csv and transfer.png."
    with open_study("transfer", question, out, Place(jobs=jobs), fresh) as study:
        question = study.question
        if ALL_LAYERS & set(question.arms):
            study.find_lr(question.lr.peak, find_steps)
        runs = plan(question.arms, question.lr, question.low, question.epochs, question.seeds)
        study.train(runs, task=partial(_train, question=question))
        return redraw(study.store)


def _train(run: Run, image_set: ImageSet, question: Question) -> RunResult:
    workload = replace(question.workload, scratch=run.arm == "scratch")
    return train_arm(run, image_set, workload, question.workload.head_lr)
