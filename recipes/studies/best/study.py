"""From the question of `lrlab best` to its answer: the steps that plan.py describes, each in a function."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from lrlab.callbacks import OneCycle
from lrlab.recipes.kitchen.data.catalog import DATASETS, split_count
from lrlab.recipes.kitchen.data.dataloaders import check_batch_size
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.grid.study import Study, open_study
from lrlab.recipes.kitchen.learning_rates import LearningRate, format_number
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.stats.decide import decide
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import check_out
from lrlab.recipes.kitchen.store.tables import RunResult, RunRow, run_table
from lrlab.recipes.kitchen.text import percent, plural
from lrlab.recipes.kitchen.workloads import ImageWorkload, using_threads
from lrlab.recipes.studies.best import plan
from lrlab.recipes.studies.best.budget import Budget
from lrlab.recipes.studies.best.data import count_for_training, count_images, in_order, put_aside, take_first
from lrlab.recipes.studies.best.features import compute_features
from lrlab.recipes.studies.best.final import FINAL, train_final
from lrlab.recipes.studies.best.head import train_head
from lrlab.recipes.studies.best.journal import Journal, Step, find_step, stored_steps
from lrlab.recipes.studies.best.layers import put_head, train_layers
from lrlab.recipes.studies.best.measure import measure_speed
from lrlab.recipes.studies.best.report import Answer, redraw_images
from lrlab.recipes.studies.best.work import Work

CHOSEN = ("head_epochs", "head_lr")  # fields of a workload that this recipe chooses by itself
SIZE, HEAD, LAYERS = "Speed and image size", "Head on the frozen body", "All layers"  # the steps, by name


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on, but for the speed of the machine. The size is left open at first."

    workload: ImageWorkload
    minutes: float
    seed: int = 0
    threads: int | None = None  # None: every core

    @property
    def seeds(self) -> list[int]:
        return [self.seed]

    def to_dict(self, images: ImageSet) -> dict:
        fields = self.workload.to_dict(images) | {"minutes": self.minutes, "seed": self.seed, "threads": self.threads}
        return {name: value for name, value in fields.items() if name not in CHOSEN}


def answer(
    question: Question,
    out: Path | str,
    fresh: bool = False,
    clock: Callable[[], float] = time.monotonic,
    began: float | None = None,
) -> Answer:
    """Take the steps that the folder lacks, in the time that is left; write model.pkl, tables, best.png, report.html.

    The time of `clock` runs from `began` on, by default from now. Finished steps of a stopped command count as used.
    """
    check_out(Path(out))
    steps = [] if fresh else stored_steps(Manifest.read(Path(out)))
    busy = time.thread_time if clock is time.monotonic else None
    budget = Budget(60 * question.minutes, clock, sum(step.seconds for step in steps), began, busy)
    with using_threads(question.threads):
        first = find_step(steps, SIZE) or choose_size(question, budget)
        size = question.workload.size or first.facts["size"]
        question = replace(question, workload=replace(question.workload, size=size))
        with open_study("best", question, out, fresh=fresh, settle=check_parts) as study:
            journal = Journal(study.store, budget)
            if not journal.find(SIZE):
                journal.add(first)
            if not journal.find(FINAL):
                take_steps(study, journal)
            return redraw_images(study.store)


def choose_size(question: Question, budget: Budget) -> Step:
    "Step 1. Times a few batches, before any image is decoded, because images are decoded once and at that size."
    workload = question.workload
    n_images = count_images(workload.data)
    sizes = (workload.size,) if workload.size else plan.SIZES
    if not n_images:
        workload.load()  # which says why there are none
    check_batch_size(workload.bs or 0, count_for_training(workload.data, n_images, question.seed))
    speed = measure_speed(workload.arch, workload.precision, workload.size, budget.clock)
    seconds = budget.for_training()
    if not seconds:
        raise UserError(
            f"`minutes` {budget.seconds / 60:g}: no time is left to train; the start took "
            f"{budget.seconds - budget.left():.0f} s and the end takes about {budget.for_report():.0f} s; give it more"
        )
    is_known = split_count(str(workload.data))[0] in DATASETS  # else nobody knows which flips keep the label
    views = plan.VIEWS if mirrors(workload.aug, "horizontal" if is_known else None) else 1
    size = plan.choose_size(speed, n_images, seconds, views, sizes)
    at_size = speed.at(size)
    evidence = (
        f"training takes {1000 * at_size.train:.1f} ms an image of {size} px, prediction {1000 * at_size.predict:.1f}"
    )
    decision = f"{size} px" + (" as asked for" if workload.size else f", of {', '.join(map(str, sizes))}")
    return Step(SIZE, evidence, decision, facts={"size": size, "speed": list(at_size)})


def check_parts(question: Question, images: ImageSet, _: Any) -> Question:
    "The question itself. Raises UserError for too few images, or a batch that the training images cannot fill."
    parts = put_aside(images, question.seed)[0]
    counts = {name: len(rows) for name, rows in parts.splits.items()}
    if counts["valid"] < 2:
        shown = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise UserError(f"`data` {images.name}: too few images for training, validation and a test ({shown})")
    check_batch_size(question.workload.bs or 0, counts["train"])
    return question


def take_steps(study: Study, journal: Journal) -> None:
    "Steps 2 to 6."
    images, test_from = put_aside(study.image_set, study.question.seed)
    images = in_order(images)
    learn = replace(study.workload, aug="none").learner(study.question.seed, images)
    features, facts = compute_features(learn, mirrors(study.workload.aug, images.flips), journal)
    images = take_first(images, facts["train"], facts["valid"])
    counts = {name: len(rows) for name, rows in images.splits.items()}
    study.store.update(other=study.store.manifest.other | {"test_from": test_from, "parts": counts})
    speed = plan.Speed(*journal.steps[0].facts["speed"]).corrected(facts["seconds"])
    work = Work(study, journal, images, features, speed)
    head_lr = choose_head(work)
    train_final(work, head_lr, choose_layers(work, head_lr))


def mirrors(aug: str | None, flips: str | None) -> bool:
    """Whether a mirrored image keeps its label: where that is known, or where the user says so.

    >>> mirrors(None, "dihedral"), mirrors(None, None), mirrors("flips", None), mirrors("fastai", "none")
    (True, False, True, False)
    """
    return aug == "flips" or (aug != "none" and flips != "none" and not (aug is None and flips is None))


def choose_head(work: Work) -> float:
    "Step 3: the LR of the head. All LRs get a seed, then the next one, while their share of the time lasts."
    journal = work.journal
    if done := journal.find(HEAD):
        journal.best = done.facts["best"]
        return done.facts["lr"]
    with journal.step(HEAD) as step:
        least_left = (1 - plan.HEAD_SHARE) * journal.budget.for_training()
        rows: list[RunRow] = []
        for seed, lr in product(plan.SEEDS, plan.HEAD_LRS):
            left = journal.budget.for_training()
            if rows and (left <= 0 or (lr == plan.HEAD_LRS[0] and left < least_left)):
                break
            run = Run(head_arm(lr), OneCycle(), LearningRate(lr), seed, plan.HEAD_EPOCHS)
            rows.append(train_one(work, run, lambda run, _: train_head(run, work.features)[1]))
        table = judge(rows)
        best = table.iloc[0]
        lr = next(lr for lr in plan.HEAD_LRS if head_arm(lr) == best.schedule)
        journal.best = f"{percent(best['mean'])} %, {best.schedule}"
        step.evidence, step.decision = describe(table), f"LR {format_number(lr)}"
        step.facts = {"lr": lr, "best": journal.best}
    return lr


def choose_layers(work: Work, head_lr: float) -> plan.Layers:
    "Step 4: whether training all layers gains anything, and at which LR. Without enough time it is left open."
    if done := work.journal.find(LAYERS):
        return plan.Layers(**done.facts)
    n_train, left = len(work.images.splits["train"]), work.journal.budget.for_training()
    trials = plan.plan_trials(left, work.speed, n_train, work.features.bs)
    if trials is None:
        return plan.untried_layers(left, work.speed, n_train, work.features.bs)
    with work.journal.step(LAYERS) as step:
        lrs = [LearningRate(lr, lr / plan.DIVISOR, is_slice=True) for lr in trials.lrs]
        least_left = (1 - plan.MOST_TRIAL_SHARE) * left
        has_time = lambda: work.journal.budget.for_training() > least_left  # noqa: E731
        task = partial(train_trial, work=work, head_lr=head_lr, has_time=has_time)
        rows = [row for row in work.study.store.complete().values() if row.schedule == head_arm(head_lr)]
        rows = [row for row in rows if row.seed in trials.seeds]
        for number, (seed, lr) in enumerate(product(trials.seeds, lrs)):
            if number < len(lrs) or has_time():  # every LR has a row, also where its time is up at once
                run = Run(layers_arm(lr.peak), OneCycle(), lr, seed, trials.epochs)
                rows.append(train_one(work, run, task))
        table = judge(rows)
        found = plan.decide_layers(table, {layers_arm(lr.peak): lr.peak for lr in lrs})
        step.evidence = f"{plural(trials.epochs, 'epoch')}, {plural(len(trials.seeds), 'seed')}: {describe(table)}"
        if lost := [row.error for row in rows if row.error]:
            step.evidence += f" ({lost[0].removeprefix('TimeoutError: ')})"
        step.decision, step.facts = found.words, found._asdict()
    return found


def train_trial(run: Run, _: Any, work: Work, head_lr: float, has_time: Callable[[], bool]) -> RunResult:
    "All layers of a new model, starting from a head that is trained with the seed of the run."
    head, _result = train_head(
        Run("head", run.schedule, LearningRate(head_lr), run.seed, plan.HEAD_EPOCHS), work.features
    )
    learn = work.study.workload.learner(run.seed, work.images)
    put_head(learn, head)
    return train_layers(run, learn, has_time)


def train_one(work: Work, run: Run, task: Callable[[Run, Any], RunResult]) -> RunRow:
    "The row of a run, which is trained if the folder lacks it."
    work.journal.now(f"{run.arm}, seed {run.seed}")
    return work.study.train_one(run, task)


def judge(rows: list[RunRow]) -> pd.DataFrame:
    "The verdict of `decide` over the rows of runs."
    table = run_table(rows)
    if not (table.status == "ok").any():
        raise UserError(f"no run finished ({table.error.iloc[0]})")
    return decide(table)


def describe(table: pd.DataFrame) -> str:
    "Every arm with its mean and its word."
    means = [f"{percent(mean)} % ({verdict})" for mean, verdict in zip(table["mean"], table.verdict, strict=True)]
    shown = ["not finished" if n == 0 else mean for n, mean in zip(table.n, means, strict=True)]
    return "; ".join(f"{name} {what}" for name, what in zip(table.schedule, shown, strict=True))


def head_arm(lr: float) -> str:
    return f"head, LR {format_number(lr)}"


def layers_arm(lr: float) -> str:
    return f"all layers, LR {format_number(lr)}"
