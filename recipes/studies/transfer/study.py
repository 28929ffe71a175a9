"""From the question of `lrlab transfer` to its answer: lr_find, six arms of equal budget, and what they show."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.grid.lessons import LessonRun, train_missing
from lrlab.recipes.kitchen.grid.runner import Run
from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.options import show_lr
from lrlab.recipes.kitchen.runs.frozen_body import head_learner
from lrlab.recipes.kitchen.runs.out_of_memory import batch_size, said, split_batches, with_smaller_batches
from lrlab.recipes.kitchen.store.store import Store, write_atomically
from lrlab.recipes.kitchen.workloads import Workload, use_threads
from lrlab.recipes.studies.lr_find.study import quiet_range_test, suggested_lr
from lrlab.recipes.studies.transfer.arms import ARMS
from lrlab.recipes.studies.transfer.report import Answer, redraw
from lrlab.recipes.studies.transfer.train import plan, train_arm

ALL_LAYERS = {"slice", "one_high_lr", "one_low_lr", "gradual"}  # the arms that the LR range test is for


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
    epochs: int  # after one for the head
    lr: slice
    low: float
    seeds: list[int]
    threads: int = 1
    arms: tuple[str, ...] = tuple(ARMS)

    def to_dict(self, image_set: ImageSet) -> dict:
        workload = self.workload.to_dict(image_set)
        own = {"epochs": self.epochs, "lr": show_lr(self.lr), "low": self.low, "seeds": self.seeds}
        return workload | own | {"threads": self.threads, "arms": list(self.arms)}


def answer(question: Question, out: Path | str, jobs: int = 1, fresh: bool = False, find_steps: int = 100) -> Answer:
    "Train what is not there yet; write runs, epochs, summary, movement .csv and transfer.png."
    image_set = question.workload.load_images()
    question = replace(question, workload=question.workload.resolve(image_set))
    question.workload.learner(
        question.seeds[0], image_set
    )  # what cannot be built is refused before anything is written
    with Store(out) as store:
        config = {"recipe": "transfer", "question": question.to_dict(image_set), "data": image_set.describe()}
        store.begin(config | environment(), fresh)
        if "lr_find" not in store.config and ALL_LAYERS & set(question.arms):
            _find_lr(store, question, image_set, find_steps)
        runs = plan(question.arms, question.lr, question.low, question.epochs, question.seeds)
        bs = batch_size(question.workload, image_set)
        train_missing(store, runs, partial(_train, question=question), image_set, jobs, bs)
        return redraw(store)


def _train(run: Run, image_set: ImageSet, question: Question, parts: int) -> LessonRun:
    workload = replace(question.workload, scratch=run.schedule == "scratch")
    return train_arm(run, image_set, workload, question.workload.head_lr, question.threads, parts)


def _find_lr(store: Store, question: Question, image_set: ImageSet, steps: int) -> None:
    "The tutorial's LR range test, after the head stage and with all layers thawed."
    use_threads(question.threads)

    def attempt(parts: int):
        learn = split_batches(question.workload.learner(question.seeds[0], image_set), parts)
        head = head_learner(learn, question.seeds[0])
        with head.no_bar(), head.no_logging():
            head.fit_one_cycle(1, question.workload.head_lr)
        return quiet_range_test(learn, steps * parts)

    test = said(*with_smaller_batches(attempt, batch_size(question.workload, image_set)))
    write_atomically(store.out / "lr_find.csv", test.to_df().to_csv(index=False))
    store.write_config(store.config | {"lr_find": suggested_lr(test)})
