"""From the question of `lrlab snapshot-ensemble` to its answer: train, score, measure the plane, draw and tell."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.grid.lessons import train_missing
from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.runs.out_of_memory import batch_size, said, with_smaller_batches
from lrlab.recipes.kitchen.store.store import Store, write_atomically
from lrlab.recipes.kitchen.workloads import Workload, use_threads
from lrlab.recipes.studies.snapshot_ensemble import loss_plane
from lrlab.recipes.studies.snapshot_ensemble import runs as snapshots
from lrlab.recipes.studies.snapshot_ensemble.report import Answer, redraw


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
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
    image_set = question.workload.load_images()
    question = replace(question, workload=question.workload.resolve(image_set))
    question.workload.learner(
        question.seeds[0], image_set
    )  # what cannot be built is refused before anything is written
    with Store(out) as store:
        config = {"recipe": "snapshot-ensemble", "question": question.to_dict(image_set), "data": image_set.describe()}
        store.begin(config | environment(), fresh)
        runs = snapshots.plan(question.lr_max, question.epochs, question.cycles, question.seeds)
        task = partial(snapshots.train, workload=question.workload, threads=question.threads)
        bs = batch_size(question.workload, image_set)
        train_missing(store, runs, task, image_set, jobs, bs)
        rows = store.complete()
        there = all(rows[run.run_id]["status"] == "ok" for run in (runs[0], runs[2]))
        if there and not (store.out / "plane.csv").exists() and question.cycles >= 3:
            print("The loss plane through the last three snapshots:", flush=True)
            use_threads(question.threads)
            measure = partial(loss_plane.measure, runs[0], runs[2], image_set, question.workload)
            plane, paths = said(*with_smaller_batches(measure, bs))
            write_atomically(store.out / "paths.csv", paths.to_csv(index=False))
            write_atomically(store.out / "plane.csv", plane.to_csv(index=False))
        return redraw(store)
