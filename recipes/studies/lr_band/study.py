"""From the question of `lrlab lr-band` to its answer: a grid around lr_find's LR, widened until its ends are costly."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from fastai.basics import Learner

from lrlab.callbacks import Schedule
from lrlab.recipes.kitchen.errors import UserError
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
from lrlab.recipes.kitchen.grid.time_needed import FIRST_SEEDS, seeds_in_time
from lrlab.recipes.kitchen.grid.tuning import MAX_EXTENSIONS, first_grid, lr_at
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import plural
from lrlab.recipes.kitchen.workloads import Workload
from lrlab.recipes.studies.lr_band.report import Answer, judge_stored, redraw

GROWS = ("seeds", "schedules", "points", "looks")  # what a later command may extend


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
    epochs: int
    schedules: dict[str, Schedule]
    seeds: list[int]
    lr_max: LearningRate | None = None  # the middle of the grid; None: chosen by LR range tests
    points: int = 5  # LRs in the grid, at first
    judge: Measure | None = None  # None: that of the workload
    tolerance: float | None = None  # None: the default of `decide`
    threads: int = 1
    minutes: float | None = None  # for the first seeds, and for as many of the others as there is time for
    looks: int = 1  # how often the runs are judged in all

    def to_dict(self, data: Any) -> dict:
        return {
            **judging_to_dict(self.judge, self.tolerance, self.looks),
            **self.workload.to_dict(data),
            "epochs": self.epochs,
            "schedules": {label: repr(schedule) for label, schedule in self.schedules.items()},
            "seeds": self.seeds,
            "lr_max": "find" if self.lr_max is None else str(self.lr_max),
            "points": self.points,
            "threads": self.threads,
        }


def answer(question: Question, out: Path | str, place: Place = Place(), fresh: bool = False) -> Answer:  # noqa: B008
    """Train what is not there yet, then draw everything from the stored results.

    Raises UserError before any training for what cannot be trained, and KeyboardInterrupt if it was stopped before a
    single run was finished.
    """
    started, wanted = time.monotonic(), question.seeds
    held = held_manifest("lr-band", Path(out), fresh)
    if question.minutes is not None:
        question = replace(question, seeds=wanted[:FIRST_SEEDS])
    question, covers = extend(question, held, Path(out)) if held else (question, "")
    with open_study("lr-band", question, out, place, fresh, settle, grows=GROWS) as study:
        centre = study.choose_lr(study.question.lr_max)
        if study.store.manifest.initial_loss is None:
            study.store.update(initial_loss=initial_loss(study))
        tell_extended(out, covers)
        return train_and_redraw(study, lambda: _train(study, centre, wanted, started, held), redraw)


def extend(question: Question, held: Manifest, out: Path) -> tuple[Question, str]:
    "The question with the seeds, schedules and LRs that the folder `out` holds; and these, if more than asked for."
    stored = held.question
    with reading_question_of(out):
        seeds = list(dict.fromkeys([*stored["seeds"], *question.seeds]))
        schedules = parse_calls(stored["schedules"])
        points, looks = max(stored["points"], question.points), stored.get("looks", 1)
        has_more = len(seeds) > len(stored["seeds"])
    schedules = with_asked(schedules, question.schedules, out)
    is_more = (seeds, schedules, points) != (question.seeds, question.schedules, question.points)
    counts = f"{plural(len(seeds), 'seed')}, {plural(len(schedules), 'schedule')} and a grid of at least {points} LRs"
    extended = replace(question, seeds=seeds, schedules=schedules, points=points, looks=looks + has_more)
    return extended, counts if is_more else ""


def settle(question: Question, data: Any, learn: Learner) -> Question:
    "The question with its measure. Raises UserError for a schedule that cannot run."
    steps = len(learn.dls.train)
    if steps == 0:
        raise UserError("there are fewer training images than one batch; choose a smaller `bs`")
    for label, schedule in question.schedules.items():
        try:
            schedule.multipliers(question.epochs * steps, steps)
        except ValueError as error:
            raise UserError(f"`schedules` {label}: {error}") from error
    return replace(question, judge=resolve_measure(question.judge, question.workload, data, question.tolerance))


def initial_loss(study: Study) -> float:
    "The validation loss before training, for the first seed: what a run that diverges counts with."
    learn = study.workload.learner(study.question.seeds[0], study.image_set)
    with learn.no_bar(), learn.no_logging(), torch.no_grad():
        return float(learn.validate()[0])


def _train(study: Study, centre: LearningRate, wanted: list[int], started: float, held: Manifest | None) -> None:
    "Every schedule at every LR. With `minutes`, the first seeds find the grid, and more of those `wanted` follow."
    question, store = study.question, study.store
    if question.minutes is None:
        _widen(study, centre)
        return
    schedules = plural(len(question.schedules), "schedule")
    asked = f"{plural(len(wanted), 'seed')} in {question.minutes:g} minutes, {schedules}, {question.points} LRs"
    if asked not in store.manifest.asked:
        _widen(study, centre)
        runs = len(plan(question, centre, _grid(store))) // len(question.seeds)
        left = {seed: runs for seed in wanted if seed not in question.seeds}
        more = seeds_in_time(study, left, question.minutes, started)
        looks = held.question.get("looks", 1) + 1 if held and more else 1
        study.question = replace(question, seeds=[*question.seeds, *more], looks=max(question.looks, looks))
        stage = {"minutes": question.minutes, "seeds": study.question.seeds, "left": len(left) - len(more)}
        store.update(question=study.question.to_dict(study.image_set), asked=store.manifest.asked | {asked: stage})
    _train_grid(study, centre, _grid(store))


def _widen(study: Study, centre: LearningRate) -> None:
    "Train a grid, which gets an LR more at an end where one of them is not costly."
    first, held = first_grid(study.question.points), study.store.manifest.tuned.get("positions", [0, 0])
    grid = list(range(min(first[0], held[0]), max(first[-1], held[-1]) + 1))
    while True:
        study.store.update(tuned={"grid": [str(lr_at(centre, at)) for at in grid], "positions": [grid[0], grid[-1]]})
        _train_grid(study, centre, grid)
        larger = wider(grid, first, judge_stored(study.store))
        if larger == grid:
            return
        grid = larger


def _train_grid(study: Study, centre: LearningRate, grid: list[int]) -> None:
    runs = plan(study.question, centre, grid)
    study.train(runs, f"runs ({plural(study.question.epochs, 'epoch')} each, {len(grid)} LRs)")


def _grid(store: Store) -> list[int]:
    low, high = store.manifest.tuned["positions"]
    return list(range(low, high + 1))


def plan(question: Question, centre: LearningRate, grid: list[int]) -> list[Run]:
    "Ordered by seed: a study that is stopped early is balanced."
    return [
        Run(label, schedule, lr_at(centre, position), seed, question.epochs)
        for seed in question.seeds
        for position in grid
        for label, schedule in question.schedules.items()
    ]


def wider(grid: list[int], first: list[int], table) -> list[int]:
    "The grid with one more LR at every end that does not cost too much for every schedule, within MAX_EXTENSIONS."
    at_end = {end: table[table.lr == getattr(table.lr, end)()].verdict for end in ("min", "max")}
    needs = {end: (words != "costly").any() for end, words in at_end.items()}
    low = [grid[0] - 1] if needs["min"] and grid[0] > first[0] - MAX_EXTENSIONS else []
    high = [grid[-1] + 1] if needs["max"] and grid[-1] < first[-1] + MAX_EXTENSIONS else []
    return [*low, *grid, *high]
