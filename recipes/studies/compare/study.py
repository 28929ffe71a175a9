"""A comparison from question to answer: find the LR, tune it if asked, train every schedule from every seed, report."""

import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fastai.basics import Learner

from lrlab.callbacks import Schedule
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.figures import samples
from lrlab.recipes.kitchen.grid.judging import judging_to_dict, resolve_measure
from lrlab.recipes.kitchen.grid.later_command import (
    held_manifest,
    parse_calls,
    reading_question_of,
    tell_extended,
    train_and_redraw,
    with_asked,
)
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.grid.study import Study, open_study
from lrlab.recipes.kitchen.grid.time_needed import FIRST_SEEDS
from lrlab.recipes.kitchen.grid.tuning import Tuning, tune_schedules
from lrlab.recipes.kitchen.learning_rates import LearningRate, acting_lr, parse_lr
from lrlab.recipes.kitchen.machine.environment import peak_memory
from lrlab.recipes.kitchen.runs.plan import plan_runs
from lrlab.recipes.kitchen.stats.forecast import describe_forecast
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.text import list_epochs, plural
from lrlab.recipes.kitchen.workloads import Workload
from lrlab.recipes.studies.compare import stages
from lrlab.recipes.studies.compare.report import redraw
from lrlab.recipes.studies.compare.result import Result
from lrlab.recipes.studies.compare.retrain import export_again

HINT = (
    "The model small learns from scratch. On colour photos a pretrained one is usually more accurate and takes longer: "
    "--arch efficientnet_lite0."
)
GROWS = ("seeds", "schedules", "epochs", "lrs", "looks")  # what a later command may extend


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
    seeds: list[int]
    schedules: dict[int, dict[str, Schedule]]  # by budget in epochs, then by label
    lr_max: LearningRate | None  # None: chosen by an LR range test
    threads: int = 1
    tuning: Tuning | None = None
    judge: Measure | None = None  # None: that of the workload
    tolerance: float | None = None  # None: the default of `decide`
    minutes: float | None = None  # for more seeds of the schedules that are open after the first ones
    until_decided: bool = False  # the same, without a limit of time
    looks: int = 1  # how often the runs are judged in all
    lrs: dict[str, LearningRate] = field(default_factory=dict)  # of the labels at another peak LR than lr_max

    @property
    def has_stages(self) -> bool:
        "Whether schedules that are decided after the first seeds get no more."
        return (self.until_decided or self.minutes is not None) and len(self.seeds) > FIRST_SEEDS

    def to_dict(self, image_set: Any) -> dict:
        lrs = {"lrs": {label: str(lr) for label, lr in self.lrs.items()}} if self.lrs else {}
        return {
            **judging_to_dict(self.judge, self.tolerance, self.looks),
            **lrs,
            **self.workload.to_dict(image_set),
            "epochs": list(self.schedules),
            "seeds": self.seeds,
            "schedules": {str(n): {label: repr(s) for label, s in own.items()} for n, own in self.schedules.items()},
            "lr_max": "find" if self.lr_max is None else str(self.lr_max),
            "threads": self.threads,
            "tuning": self.tuning.to_dict() if self.tuning else None,
        }

    @property
    def asked(self) -> str:
        "The seeds that every schedule gets, or how many more seeds open schedules get: what leads to a look."
        seeds = plural(len(self.seeds), "seed")
        if not self.has_stages:
            return seeds
        limit = "until decided" if self.minutes is None else f"in {self.minutes:g} minutes"
        return f"{seeds} {limit}, {plural(sum(map(len, self.schedules.values())), 'schedule')}"


def answer(question: Question, out: Path | str, place: Place = Place(), fresh: bool = False) -> Result:  # noqa: B008
    """Train what is not there yet, then draw everything from the stored results.

    Raises UserError before any training if a schedule cannot run in this budget or the folder cannot be used, and
    KeyboardInterrupt if it was stopped before a single run was finished.
    """
    started = time.monotonic()
    held = held_manifest("compare", Path(out), fresh)
    question, covers = extend(question, held, Path(out)) if held else (question, "")
    agree = partial(settle, held=held)
    with open_study("compare", question, out, place, fresh, agree, grows=GROWS) as study:
        if isinstance(study.image_set, ImageSet):
            samples.keep(study.store, study.image_set)
        asked = study.store.manifest.asked
        study.store.update(lint=lint(study), asked=asked | {study.question.asked: asked.get(study.question.asked, {})})
        centre = study.choose_lr(study.question.lr_max)
        if study.store.manifest.memory_per_run_gb is None:
            study.store.update(memory_per_run_gb=round(peak_memory() / 1e9, 2))
        tell_extended(out, covers)
        tell_plan(study)
        result = train_and_redraw(study, lambda: _train(study, centre, started), redraw)
        return replace(result, export_again=partial(export_again, question=study.question, data=study.image_set))


def extend(question: Question, manifest: Manifest, out: Path) -> tuple[Question, str]:
    """The question with the seeds, schedules, budgets and peak LRs that the folder `out` of this `manifest` holds.

    A later command extends a comparison: what is there is used. Also returns what the answer covers, if that is more
    than was asked for.
    """
    with reading_question_of(out):
        question = name_lr(question, manifest)
        seeds = list(dict.fromkeys([*manifest.question["seeds"], *question.seeds]))
        held = {int(n): parse_calls(calls) for n, calls in manifest.question["schedules"].items()}
    asked = question.schedules
    schedules = {n: with_asked(held.get(n, {}), asked.get(n, {}), out) for n in sorted({*held, *asked})}
    extended = replace(question, seeds=seeds, schedules=schedules)
    if (extended.seeds, extended.schedules) == (question.seeds, question.schedules):
        return extended, ""
    names = len({label for own in schedules.values() for label in own})
    return extended, f"{plural(len(seeds), 'seed')}, {plural(names, 'schedule')}, {list_epochs([*schedules])}"


def name_lr(question: Question, held: Manifest) -> Question:
    """The question with the peak LR of the folder. At another one, its schedules are other arms: `cosine at 1e-3`.

    Unchanged where LRs are tuned, or where a folder without range tests leaves open whether the LRs are equal.
    """
    stored, asked = parse_lr(held.question["lr_max"]), question.lr_max
    lrs = {label: LearningRate.parse(lr) for label, lr in held.question.get("lrs", {}).items()}
    found = question.workload.spread(held.lr_find) if held.lr_find and None in (asked, stored) else None
    ours, theirs = (acting_lr(lr, held.groups) if lr else None for lr in (asked or found, stored or found))
    if question.tuning or held.question["tuning"] or (asked != stored and None in (ours, theirs)):
        return question
    question = replace(question, lr_max=stored, lrs=lrs)
    if ours is None or ours == theirs:
        return question
    own = {n: {f"{label} at {ours}": s for label, s in labels.items()} for n, labels in question.schedules.items()}
    return replace(question, schedules=own, lrs=lrs | {label: ours for labels in own.values() for label in labels})


def count_looks(question: Question, held: Manifest | None) -> int:
    """How often the runs of a folder are judged in all, if `question` is asked after what it has `held` so far.

    Runs that are there have been judged before, so every command that may add runs of the same schedules adds a look.
    A command that was asked before adds none.
    """
    if held is None:
        return 1 + question.has_stages
    looks, n_seeds = held.question.get("looks", 1), len(held.question["seeds"])
    if question.asked in (held.asked or [plural(n_seeds, "seed")]):
        return looks
    return looks + 1 + (question.has_stages and n_seeds < FIRST_SEEDS)


def tell_plan(study: Study) -> None:
    "Print how many runs are asked for, and which gap they can show, where the measure is an accuracy."
    question, n_images = study.question, study.store.manifest.data.get("images", {}).get("valid", 0)
    n_seeds = len(question.seeds)
    count = n_seeds * sum(map(len, question.schedules.values()))
    plan = f"Plan: {'at most ' * question.has_stages}{plural(count, 'run')}."
    if question.judge.name == "accuracy" and n_seeds > 1 and n_images:
        item = "image" if isinstance(study.image_set, ImageSet) else "item"
        plan += f" {describe_forecast(n_images, n_seeds, item)}"
    if is_for_a_pretrained_model(study.image_set, study.workload):
        plan += f" {HINT}"
    print(plan, flush=True)


def is_for_a_pretrained_model(image_set: Any, workload: Workload) -> bool:
    "Whether the images are somebody's own in colour, and `small` learns them from scratch."
    is_own = isinstance(image_set, ImageSet) and image_set.flips is None
    return is_own and image_set.channels == 3 and workload.arch == "small"


def _train(study: Study, centre: LearningRate, started: float) -> None:
    question = study.question
    lr_of = {n: {label: question.lrs.get(label, centre) for label in own} for n, own in question.schedules.items()}
    if question.tuning:
        lr_of = tune_schedules(study, question.schedules, question.tuning, centre, measure=question.judge)
    common = f"lr_max {acting_lr(centre, study.store.manifest.groups)}"
    lr = "each schedule's own lr_max" if question.tuning or question.lrs else common
    what = f"runs ({list_epochs([*question.schedules])} each, {lr})"

    plans = [plan_runs(own, lr_of[budget], question.seeds, budget) for budget, own in question.schedules.items()]
    runs = [run for plan in plans for run in plan]
    if not question.has_stages:
        study.train(runs, what)
        return
    first, done = question.seeds[:FIRST_SEEDS], study.store.complete()
    study.train([run for run in runs if run.seed in first or run.run_id in done], what)
    stage = study.store.manifest.asked[question.asked]
    if not stage:
        stage = stages.plan_stage(study, runs, started)
        study.store.update(asked=study.store.manifest.asked | {question.asked: stage})
    print(stage["text"])
    chosen = [run for run in runs if run.arm in stage["schedules"].get(str(run.epochs), ())]
    study.train([run for run in chosen if run.seed in stage["seeds"]], what)


def settle(question: Question, data: Any, learn: Learner, held: Manifest | None = None) -> Question:
    """The question with its measure, every curve once, and how often the runs are judged.

    `held` is the manifest of the folder so far. Raises UserError for a schedule that cannot run.
    """
    steps_per_epoch = len(learn.dls.train)
    if steps_per_epoch == 0:
        raise UserError("there are fewer training images than one batch; choose a smaller `bs`")
    measure = resolve_measure(question.judge, question.workload, data, question.tolerance)
    schedules = {n: distinct(own, n, steps_per_epoch, question.lrs) for n, own in question.schedules.items()}
    question = replace(question, judge=measure, schedules=schedules)
    return replace(question, looks=count_looks(question, held))


def distinct(
    schedules: dict[str, Schedule], budget: int, steps_per_epoch: int, lrs: dict[str, LearningRate]
) -> dict[str, Schedule]:
    "The schedules without those whose curve is that of an earlier one: in 2 epochs, sgdr is one cosine."
    curves: dict[str, np.ndarray] = {}
    for label, schedule in schedules.items():
        try:
            curve = schedule.multipliers(budget * steps_per_epoch, steps_per_epoch)
        except ValueError as error:
            raise UserError(f"`schedules` {label}: {error}") from error
        rivals = {name: other for name, other in curves.items() if lrs.get(name) == lrs.get(label)}
        twin = next((name for name, other in rivals.items() if np.allclose(curve, other, atol=1e-9)), None)
        if twin is None:
            curves[label] = curve
        else:
            print(f"In {plural(budget, 'epoch')}, {label} has the same curve as {twin}: it is excluded.")
    return {label: schedules[label] for label in curves}


def lint(study: Study) -> list[str]:
    "What is probably not meant about a schedule in a run of this length."
    per_epoch = study.store.manifest.steps_per_epoch
    return [
        f"{label}, {plural(budget, 'epoch')}: {warning}"
        for budget, schedules in study.question.schedules.items()
        for label, schedule in schedules.items()
        for warning in schedule.lint(budget * per_epoch, per_epoch)
    ]
