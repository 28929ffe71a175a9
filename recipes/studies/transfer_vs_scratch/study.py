"""LR x epochs grids of the same model with pretrained and with random weights: which LR and how long each needs."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lrlab.callbacks import OneCycle
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.grid.study import open_study
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.train import train_run
from lrlab.recipes.kitchen.store.tables import RunResult
from lrlab.recipes.kitchen.workloads import ImageWorkload
from lrlab.recipes.studies.transfer_vs_scratch.report import STARTS, Answer, redraw


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: ImageWorkload
    lrs: list[float]
    budgets: list[int]
    seeds: list[int]
    threads: int = 1

    def to_dict(self, image_set: ImageSet) -> dict:
        workload = self.workload.to_dict(image_set)
        return workload | {name: value for name, value in vars(self).items() if name != "workload"}

    def workload_of(self, start: str) -> ImageWorkload:
        "All layers train from the first epoch on, so that both starts have the same budget."
        return replace(self.workload, head_epochs=0, scratch=start == "scratch")


def answer(question: Question, out: Path | str, jobs: int = 1, fresh: bool = False) -> Answer:
    "Train what is not there yet; write runs.csv, epochs.csv, cells.csv and transfer_vs_scratch.png."
    with open_study("transfer-vs-scratch", question, out, Place(jobs=jobs), fresh) as study:
        runs = [run for start in STARTS for run in plan(study.question, start)]
        study.train(runs, task=partial(_train, question=study.question))
        return redraw(study.store)


def _train(run: Run, image_set: ImageSet, question: Question) -> RunResult:
    return train_run(run, image_set, question.workload_of(run.arm))


def plan(question: Question, start: str) -> list[Run]:
    "1cycle at every LR and length; pretrained layers get fastai's slice(lr / 100, lr)."
    return [
        Run(start, OneCycle(), question.workload_of(start).spread(lr), seed, epochs)
        for seed in question.seeds
        for epochs in question.budgets
        for lr in question.lrs
    ]
