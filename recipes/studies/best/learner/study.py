"""From the question of `lrlab best --learner` to its answer: the steps that plan.py describes."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from fastai.basics import Learner

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.grid.judging import judging_to_dict, resolve_measure
from lrlab.recipes.kitchen.grid.study import Study, open_study
from lrlab.recipes.kitchen.learner_workload import LearnerWorkload, OwnData, export_learner
from lrlab.recipes.kitchen.stage import print_note
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import check_out
from lrlab.recipes.kitchen.text import listed
from lrlab.recipes.kitchen.workloads import using_threads
from lrlab.recipes.studies.best.budget import Budget
from lrlab.recipes.studies.best.journal import Journal, Step, find_step, stored_steps
from lrlab.recipes.studies.best.learner.choose_lr import suggest_lr, try_lrs
from lrlab.recipes.studies.best.learner.final import FINAL, TEST, test_and_export, train_final
from lrlab.recipes.studies.best.learner.plan import TEST_FROM, Speed
from lrlab.recipes.studies.best.learner.report import Answer, redraw
from lrlab.recipes.studies.best.learner.speed import SPEED, measure_speed
from lrlab.recipes.studies.best.learner.work import BestModel, Work


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on, but for the speed of the machine."

    workload: LearnerWorkload
    minutes: float
    seed: int = 0
    threads: int | None = None  # None: every core
    judge: Measure | None = None  # None: the Learner's first metric
    first: Step | None = None  # the speed, once it is measured

    @property
    def seeds(self) -> list[int]:
        return [self.seed]

    def to_dict(self, data: OwnData) -> dict:
        own = {"minutes": self.minutes, "seed": self.seed, "threads": self.threads}
        return {**judging_to_dict(self.judge, None, 1), **self.workload.to_dict(data), **own}


def answer(
    question: Question,
    out: Path | str,
    fresh: bool = False,
    clock: Callable[[], float] = time.monotonic,
    began: float | None = None,
) -> Answer:
    """Take the steps that the folder lacks, in the time that is left; write model.pkl, test.csv, best.png, report.html.

    The time of `clock` runs from `began` on, by default from now. Finished steps of a stopped command count as used.
    """
    check_out(Path(out))
    steps = [] if fresh else stored_steps(Manifest.read(Path(out)))
    first = find_step(steps, SPEED)
    budget = Budget(60 * question.minutes, clock, sum(step.seconds for step in steps), began)
    settled = partial(settle, budget=budget)
    with using_threads(question.threads):
        with open_study("best", replace(question, first=first), out, fresh=fresh, settle=settled) as study:
            journal = Journal(study.store, budget)
            if not journal.find(SPEED):
                journal.add(study.question.first)
            if not journal.find(TEST):
                take_steps(study, journal)
            return redraw(study.store)


def settle(question: Question, data: OwnData, learn: Learner, budget: Budget) -> Question:
    """The question with its measure and its first step. Tells before any training if there will be no model.pkl.

    Raises UserError for what cannot be judged, or too little time.
    """
    measure, known = resolve_measure(question.judge, question.workload, data), [*data.metrics, "loss"]
    if measure.name not in known:
        raise UserError(f"`judge` {measure.name}: the Learner has no such metric; it has {listed(known)}")
    if question.first is None:
        with tempfile.TemporaryDirectory() as folder:
            why_not = export_learner(learn, Path(folder) / "model.pkl")
        if why_not:
            print_note(question.workload.name, f"fastai cannot export it, so only its weights will be kept ({why_not})")
    first = question.first or measure_speed(question.workload, learn, question.seed, budget)
    return replace(question, judge=measure, first=first)


def take_steps(study: Study, journal: Journal) -> None:
    "Steps 2 to 5."
    facts = journal.find(SPEED).facts
    study.store.update(other=study.store.manifest.other | {"test_from": TEST_FROM[facts["parts"]]})
    best = BestModel(study.store.out / "weights.pth", study.question.judge)
    work = Work(study, journal, Speed(*facts["speed"]), facts["parts"], best)
    if not journal.find(FINAL):
        train_final(work, *try_lrs(work, suggest_lr(work)))
    test_and_export(work)
