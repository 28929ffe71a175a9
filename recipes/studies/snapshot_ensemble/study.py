"""From the question of `lrlab snapshot-ensemble` to its answer: train, score, and measure the loss plane."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fastai.basics import Learner

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.grid.study import Study, open_study
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.workloads import Workload, using_threads
from lrlab.recipes.studies.snapshot_ensemble import loss_plane
from lrlab.recipes.studies.snapshot_ensemble import runs as snapshots
from lrlab.recipes.studies.snapshot_ensemble.report import PLANE, Answer, redraw


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
    epochs: int
    cycles: int
    lr_max: float | None  # None: chosen by LR range tests
    seeds: list[int]
    threads: int = 1

    def to_dict(self, data: Any) -> dict:
        own = {name: value for name, value in vars(self).items() if name != "workload"}
        return self.workload.to_dict(data) | own | {"lr_max": "find" if self.lr_max is None else self.lr_max}


def answer(question: Question, out: Path | str, jobs: int = 1, fresh: bool = False) -> Answer:
    "Train what is not there yet; write runs, epochs, models, summary, plane, paths .csv and snapshot_ensemble.png."
    with open_study("snapshot-ensemble", question, out, Place(jobs=jobs), fresh, refuse_other_tasks) as study:
        question = study.question
        lr_max = study.require_lr("lr_max") if question.lr_max is None else question.lr_max
        runs = snapshots.plan(lr_max, question.epochs, question.cycles, question.seeds)
        study.train(runs, task=partial(snapshots.train, workload=study.workload))
        _measure_plane(study, cyclic=runs[0], constant=runs[2])
        return redraw(study.store)


def refuse_other_tasks(question: Question, data: Any, learn: Learner) -> Question:
    "The question. Raises UserError for a Learner without class probabilities to average."
    if data.classes:
        return question
    raise UserError(
        f"`learner` {data.name}: snapshot-ensemble averages class probabilities; expected a classification of one "
        f"class per item with a cross-entropy loss, got the loss {data.identity['loss']}"
    )


def _measure_plane(study: Study, cyclic: Run, constant: Run) -> None:
    "The loss plane through the last three snapshots, once per folder, where both runs finished."
    finished = all(row.status == "ok" for row in study.rows([cyclic, constant]))
    if not finished or study.store.has(*PLANE) or study.question.cycles < 3:
        return
    print("Measuring the loss on the plane through the last three snapshots", flush=True)
    with using_threads(study.question.threads):
        plane, paths = loss_plane.measure(cyclic, constant, study.image_set, study.workload)
    study.store.write_tables(paths=paths, plane=plane)
