"""LR x epochs grids of the same model with pretrained and with random weights: which LR and how long each needs."""

from dataclasses import dataclass, replace
from pathlib import Path

from lrlab.callbacks import OneCycle
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.grid.engines import Place
from lrlab.recipes.kitchen.grid.runner import Run
from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.workloads import Workload
from lrlab.recipes.studies.compare.study import Kitchen
from lrlab.recipes.studies.transfer_vs_scratch.report import STARTS, Answer, redraw


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
    lrs: list[float]
    budgets: list[int]
    seeds: list[int]
    threads: int = 1

    def to_dict(self, image_set: ImageSet) -> dict:
        workload = self.workload.to_dict(image_set)
        return workload | {name: value for name, value in vars(self).items() if name != "workload"}

    def workload_of(self, start: str) -> Workload:
        "All layers train from the first epoch on, so that both starts have the same budget."
        return replace(self.workload, head_epochs=0, scratch=start == "scratch")


def answer(question: Question, out: Path | str, jobs: int = 1, fresh: bool = False) -> Answer:
    "Train what is not there yet; write runs.csv, epochs.csv, cells.csv and transfer_vs_scratch.png."
    image_set = question.workload.load_images()
    question = replace(question, workload=question.workload.resolve(image_set))
    question.workload.learner(
        question.seeds[0], image_set
    )  # what cannot be built is refused before anything is written
    with Store(out) as store:
        config = {
            "recipe": "transfer-vs-scratch",
            "question": question.to_dict(image_set),
            "data": image_set.describe(),
        }
        store.begin(config | environment(), fresh)
        runs = {start: plan(question, start) for start in STARTS}
        store.write_config(store.config | {"plan": [run.run_id for start in STARTS for run in runs[start]]})
        for start in STARTS:
            kitchen = Kitchen(store, question.workload_of(start), image_set, Place(jobs=jobs), question.threads)
            kitchen.train(runs[start], f"{start} runs")
        return redraw(store)


def plan(question: Question, start: str) -> list[Run]:
    "1cycle at every LR and length; pretrained layers get fastai's slice(lr / 100, lr)."
    return [
        Run(start, OneCycle(), question.workload_of(start).spread(lr), seed, epochs)
        for seed in question.seeds
        for epochs in question.budgets
        for lr in question.lrs
    ]
