"""From the question of `lrlab epochs` to its answer: tune the LR, train the budgets from short to long, report."""

import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from fastai.basics import Callback, CancelFitException, Learner

from lrlab.callbacks import CosineDecay, Extendable, OneCycle, Schedule, Trapezoid
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.grid.judging import judging_to_dict, resolve_measure
from lrlab.recipes.kitchen.grid.later_command import (
    held_manifest,
    reading_question_of,
    tell_extended,
    train_and_redraw,
)
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.grid.study import Study, open_study
from lrlab.recipes.kitchen.grid.tuning import Tuning, tune_schedules
from lrlab.recipes.kitchen.learner_workload import LearnerWorkload
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.runs.plan import Run, plan_runs
from lrlab.recipes.kitchen.runs.train import train_run
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.tables import RunResult
from lrlab.recipes.kitchen.text import list_epochs, listed, plural
from lrlab.recipes.kitchen.workloads import Workload
from lrlab.recipes.studies.epochs.branch import FEWEST_STEPS, train_branch, trapezoid
from lrlab.recipes.studies.epochs.enough import COOLDOWN
from lrlab.recipes.studies.epochs.report import Answer, redraw

BESIDE: dict[str, Schedule] = {"cosine": CosineDecay(), "one_cycle": OneCycle()}
TUNING = Tuning(points=3, n_seeds=2)
GROWS = ("seeds", "epochs", "looks")  # what a later command may extend


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
    budgets: list[int]  # in epochs, ascending
    seeds: list[int]
    lr_max: LearningRate | None  # None: chosen by an LR range test
    beside: str = "cosine"  # a schedule that is tuned for some budgets, or none
    tuning: Tuning | None = TUNING  # around lr_max; None: lr_max as it is
    judge: Measure | None = None  # None: see `resolve_measure`
    tolerance: float | None = None  # None: the default of `decide`
    threads: int = 1
    tuned_at: tuple[int, ...] = ()  # the budgets at which LRs are tuned and `beside` is trained
    schedule: Trapezoid | None = None  # of every branch; `settle` knows it
    looks: int = 1  # how often the runs are judged in all

    def to_dict(self, data: Any) -> dict:
        return {
            **judging_to_dict(self.judge, self.tolerance, self.looks),
            **self.workload.to_dict(data),
            "epochs": self.budgets,
            "seeds": self.seeds,
            "lr_max": "find" if self.lr_max is None else str(self.lr_max),
            "beside": self.beside,
            "tuned_at": list(self.tuned_at),
            "tuning": self.tuning.to_dict() if self.tuning else None,
            "schedule": repr(self.schedule),
            "threads": self.threads,
        }


def answer(question: Question, out: Path | str, place: Place = Place(), fresh: bool = False) -> Answer:  # noqa: B008
    """Train what is not there yet, then draw everything from the stored results.

    Raises UserError before any training for what cannot be trained, and KeyboardInterrupt if it was stopped before a
    single run was finished.
    """
    question = replace(question, tuned_at=some(question.budgets))
    held = held_manifest("epochs", Path(out), fresh)
    question, covers = extend(question, held, Path(out)) if held else (question, "")
    with open_study("epochs", question, out, place, fresh, settle, grows=GROWS) as study:
        tell_extended(out, covers)
        print(f"Plan: {plan_words(study.question)}", flush=True)
        return train_and_redraw(study, lambda: _train(study, _tuned_lrs(study)), redraw)


def some(budgets: list[int]) -> tuple[int, ...]:
    """The last budget but one, and a quarter of it where budgets double: where a tuned schedule stands beside them.

    >>> some([1, 2, 4, 8, 16]), some([1, 2]), some([5])
    ((2, 8), (1,), (5,))
    """
    return tuple(budgets[-4::2][:2]) if len(budgets) > 3 else (budgets[max(0, len(budgets) - 2)],)


def extend(question: Question, held: Manifest, out: Path) -> tuple[Question, str]:
    "The question with the seeds and budgets that the folder `out` holds; and these, if they are more than asked for."
    stored = held.question
    with reading_question_of(out):
        seeds = list(dict.fromkeys([*stored["seeds"], *question.seeds]))
        budgets = sorted({*stored["epochs"], *question.budgets})
        has_more = len(seeds) > len(stored["seeds"]) or len(budgets) > len(stored["epochs"])
        looks, tuned_at = stored.get("looks", 1) + has_more, tuple(stored["tuned_at"])
    is_more = (seeds, budgets) != (question.seeds, question.budgets)
    covers = f"{plural(len(seeds), 'seed')} and {list_epochs(budgets)}" if is_more else ""
    return replace(question, seeds=seeds, budgets=budgets, looks=looks, tuned_at=tuned_at), covers


def settle(question: Question, data: Any, learn: Learner) -> Question:
    "The question with its measure and its schedule. Raises UserError for a Learner or budgets that cannot branch."
    measure = resolve_measure(question.judge, question.workload, data, question.tolerance)
    steps = len(learn.dls.train)
    shortest = question.budgets[0]
    if shortest * steps < FEWEST_STEPS:
        is_least = getattr(learn.dls.train, "bs", None) == 2  # batch norm needs two images
        smaller = "" if is_least else ", or choose a smaller batch size"
        raise UserError(
            f"`epochs` {listed(question.budgets)}: a run needs at least {FEWEST_STEPS} steps for a cooldown, and "
            f"{plural(shortest, 'epoch has', 'epochs have')} {shortest * steps}; list longer ones{smaller}"
        )
    schedule = trapezoid(steps)
    if isinstance(question.workload, LearnerWorkload):
        _check_callbacks(learn, shortest, schedule)
    return replace(question, judge=measure, schedule=schedule)


def _check_callbacks(learn: Learner, epochs: int, schedule: Trapezoid) -> None:
    "Raise UserError for a Learner with callbacks that cannot be continued."
    try:
        with tempfile.TemporaryDirectory() as folder, learn.no_bar(), learn.no_logging():
            learn.fit_schedule(epochs, schedule, cbs=[Extendable(Path(folder) / "try.pth"), Nothing()])
    except ValueError as error:
        raise UserError(f"this Learner has no trunk to branch from: {' '.join(str(error).split())}") from error


class Nothing(Callback):
    "End the fit before its first epoch, when its callbacks have been checked."

    def before_epoch(self):
        raise CancelFitException


def plan_words(question: Question) -> str:
    "How many runs there will be, and how many epochs the trunk saves."
    beside = f", and {question.beside} at {listed(question.tuned_at)}" * (question.beside in BESIDE)
    shared, separate = epochs_needed(question.budgets), sum(question.budgets)
    return (
        f"{plural(len(question.seeds), 'trunk')}, cooldowns at {list_epochs(question.budgets)}{beside}. The "
        f"cooldowns need {shared:.4g} epochs a seed, separate runs {separate}."
    )


def epochs_needed(budgets: list[int]) -> float:
    """Epochs of one trunk with a cooldown for each budget.

    >>> epochs_needed([1, 2, 4, 8, 16]), epochs_needed([2, 4, 6, 8, 10, 12, 14, 16])
    (19.0, 27.2)
    """
    return round(0.8 * max(budgets) + 0.2 * sum(budgets), 6)


def _tuned_lrs(study: Study) -> dict[int, dict[str, LearningRate]]:
    "The peak LR of the cooldowns, which is one for all budgets, and that of the schedule beside them at its budgets."
    question = study.question
    at, beside = question.tuned_at, {name: BESIDE[name] for name in BESIDE if name == question.beside}
    centre = study.choose_lr(question.lr_max)
    schedules = {budget: dict(beside) for budget in at}
    schedules[at[-1]][COOLDOWN] = question.schedule
    schedules = {budget: own for budget, own in schedules.items() if own}
    if question.tuning is None:
        return {budget: dict.fromkeys(own, centre) for budget, own in schedules.items()}
    return tune_schedules(study, schedules, question.tuning, centre, measure=question.judge)


def _train(study: Study, lrs: dict[int, dict[str, LearningRate]]) -> None:
    "Every budget with all seeds, the shortest first: stopped early, the answer covers the budgets that are done."
    question = study.question
    task = partial(_train_one, workload=study.workload, trunks=(study.store.out / "trunks").resolve())
    lr = lrs[question.tuned_at[-1]][COOLDOWN]
    for budget in question.budgets:
        beside = {name: BESIDE[name] for name in lrs.get(budget, {}) if name in BESIDE}
        lr_of = {**lrs.get(budget, {}), COOLDOWN: lr}
        runs = plan_runs({COOLDOWN: question.schedule, **beside}, lr_of, question.seeds, budget)
        study.train(runs, f"runs of {plural(budget, 'epoch')}", task)


def _train_one(run: Run, data: Any, workload: Workload, trunks: Path) -> RunResult:
    return train_branch(run, data, workload, trunks) if run.arm == COOLDOWN else train_run(run, data, workload)
