"""From the question of `lrlab snapshot-ensemble` to its answer: train, score, and measure the loss plane."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.grid.study import Study, open_study
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.workloads import ImageWorkload, using_threads
from lrlab.recipes.studies.snapshot_ensemble import loss_plane
from lrlab.recipes.studies.snapshot_ensemble import runs as snapshots
from lrlab.recipes.studies.snapshot_ensemble.report import Answer, redraw


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: ImageWorkload
    epochs: int
    cycles: int
    lr_max: float
    seeds: list[int]
    threads: int = 1

    def to_dict(self, image_set: ImageSet) -> dict:
        workload = self.workload.to_dict(image_set)
        return workload | {name: value for name, value in vars(self).items() if name != "workload"}


def answer(question: Question, out: Path | str, jobs: int = 1, fresh: bool = False) -> Answer:
    "Train what is not there yet; write runs, epochs, models, summary, plane, paths .csv and snapshot_ensemble.png."
    with open_study("snapshot-ensemble", question, out, Place(jobs=jobs), fresh) as study:
        runs = snapshots.plan(question.lr_max, question.epochs, question.cycles, question.seeds)
        study.train(runs, task=partial(snapshots.train, workload=study.workload))
        _measure_plane(study, cyclic=runs[0], constant=runs[2])
        return redraw(study.store)


def _measure_plane(study: Study, cyclic: Run, constant: Run) -> None:
    "The loss plane through the last three snapshots, once per folder, where both runs finished."
    finished = all(row.status == "ok" for row in study.rows([cyclic, constant]))
    if not finished or (study.store.out / "plane.csv").exists() or study.question.cycles < 3:
        return
    print("The loss plane through the last three snapshots:", flush=True)
    with using_threads(study.question.threads):
        plane, paths = loss_plane.measure(cyclic, constant, study.image_set, study.workload)
    study.store.write_tables(paths=paths)  # plane.csv last: the measurement is complete if it is there
    study.store.write_tables(plane=plane)
