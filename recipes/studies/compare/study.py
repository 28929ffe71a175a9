"""A comparison from question to answer: find the LR, tune it if asked, train every schedule from every seed, report."""

from dataclasses import dataclass, replace
from pathlib import Path

from fastai.basics import Learner

from lrlab.callbacks import Schedule
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import Refused, UserError
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.grid.study import Stopped, Study, open_study
from lrlab.recipes.kitchen.grid.tuning import Tuning, tune_schedules
from lrlab.recipes.kitchen.learning_rates import LearningRate, format_number
from lrlab.recipes.kitchen.machine.environment import peak_memory
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision
from lrlab.recipes.kitchen.models.create import library_of
from lrlab.recipes.kitchen.runs.plan import plan_runs
from lrlab.recipes.kitchen.schedule_names import parse_schedule
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.store.manifest import FILE, Manifest
from lrlab.recipes.kitchen.text import plural
from lrlab.recipes.kitchen.workloads import Workload
from lrlab.recipes.studies.compare import samples
from lrlab.recipes.studies.compare.report import Result, redraw

GROWS = ("seeds", "schedules", "epochs")  # what a later command may extend
LR_FIND_SEED = 0  # whatever the seeds of the comparison, so that folders with other seeds can be merged


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
    seeds: list[int]
    schedules: dict[int, dict[str, Schedule]]  # by budget in epochs, then by label
    lr_max: LearningRate | None  # None: chosen by an LR range test
    threads: int = 1
    tuning: Tuning | None = None
    judge: Measure = Measure()  # noqa: RUF009  (frozen)
    tolerance: float | None = None  # None: the default of `decide`

    def to_dict(self, image_set: ImageSet) -> dict:
        judged = {} if self.judge == Measure() else {"judge": self.judge.judge}
        tolerated = {} if self.tolerance is None else {"tolerance": self.tolerance}
        return {
            **judged,
            **tolerated,
            **self.workload.to_dict(image_set),
            "epochs": list(self.schedules),
            "seeds": self.seeds,
            "schedules": {str(n): {label: repr(s) for label, s in own.items()} for n, own in self.schedules.items()},
            "lr_max": "find" if self.lr_max is None else str(self.lr_max),
            "threads": self.threads,
            "tuning": self.tuning.to_dict() if self.tuning else None,
        }


def answer(question: Question, out: Path | str, place: Place = Place(), fresh: bool = False) -> Result:  # noqa: B008
    """Train what is not there yet, then draw everything from the stored results.

    Raises UserError before any training if a schedule cannot run in this budget or the folder cannot be used, and
    KeyboardInterrupt if it was stopped before a single run was finished.
    """
    question = question if fresh else extend(question, Path(out))
    with open_study("compare", question, out, place, fresh, check_schedules, split_folders, GROWS) as study:
        samples.keep(study.store, study.image_set)
        library = library_of(study.workload.arch)
        study.store.update(lint=lint(study), arch_library=library, torchvision_compat=prepare_torchvision())
        centre = _lr_max(study)
        try:
            _train(study, centre)
        except Stopped:
            if study.store.manifest.plan is None or not study.store.complete():  # not even the tuning is done
                raise KeyboardInterrupt from None
            print("Stopped. The same command continues.")
            return redraw(study.store, stopped=True)
        return redraw(study.store)


def extend(question: Question, out: Path) -> Question:
    """The question with the seeds, schedules and budgets that the folder `out` already holds.

    A later command extends a comparison: what is there is used, and the answer covers all of it.
    """
    manifest = Manifest.read(out)
    if manifest is None or manifest.recipe != "compare":
        return question
    try:
        seeds = list(dict.fromkeys([*manifest.question["seeds"], *question.seeds]))
        stored = {int(n): calls.items() for n, calls in manifest.question["schedules"].items()}
        schedules = {n: {label: parse_schedule(call) for label, call in calls} for n, calls in stored.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{out / FILE} is damaged ({error}); `fresh` starts over and keeps the old folder") from error
    for budget, asked in question.schedules.items():
        held = schedules.setdefault(budget, {})
        changed = [label for label, schedule in asked.items() if held.get(label, schedule) != schedule]
        if changed:
            raise Refused(f"`out` {out}: there {changed[0]} is {held[changed[0]]!r}; choose another `out`")
        held |= asked
    extended = replace(question, seeds=seeds, schedules={n: schedules[n] for n in sorted(schedules)})
    if extended != question:
        budgets = ", ".join(map(str, extended.schedules))
        names = len({label for held in schedules.values() for label in held})
        print(
            f"{out} is extended: the answer covers {plural(len(seeds), 'seed')}, {plural(names, 'schedule')}, "
            f"{budgets} epochs."
        )
    return extended


def _train(study: Study, centre: LearningRate) -> None:
    question = study.question
    lr_of = {budget: dict.fromkeys(own, centre) for budget, own in question.schedules.items()}
    if question.tuning:
        lr_of = tune_schedules(study, question.schedules, question.tuning, centre, measure=question.judge)
    runs = [
        run
        for budget, own in question.schedules.items()
        for run in plan_runs(own, lr_of[budget], question.seeds, budget)
    ]
    budgets = ", ".join(map(str, question.schedules))
    lr = "each schedule's own lr_max" if question.tuning else f"lr_max {centre}"
    study.train(runs, f"runs ({budgets} epochs each, {lr})")


def check_schedules(question: Question, learn: Learner) -> None:
    "Raise UserError for a schedule that cannot run for so many steps."
    steps_per_epoch = len(learn.dls.train)
    if steps_per_epoch == 0:
        raise UserError("there are fewer training images than one batch; choose a smaller `bs`")
    for budget, schedules in question.schedules.items():
        for label, schedule in schedules.items():
            try:
                schedule.multipliers(budget * steps_per_epoch, steps_per_epoch)
            except ValueError as error:
                raise UserError(f"`schedules` {label}: {error}") from error


def lint(study: Study) -> list[str]:
    "What is probably not meant about a schedule in a run of this length."
    per_epoch = study.store.manifest.steps_per_epoch
    return [
        f"{label}, {budget} epochs: {warning}"
        for budget, schedules in study.question.schedules.items()
        for label, schedule in schedules.items()
        for warning in schedule.lint(budget * per_epoch, per_epoch)
    ]


def split_folders(image_set: ImageSet) -> dict:
    "The folders of a data set that comes split, such as {'train': 'train', 'valid': 'val'}; None if lrlab splits it."
    tops = {split: {image_set.files[row].split("/")[0] for row in rows} for split, rows in image_set.splits.items()}
    apart = all(len(names) == 1 for names in tops.values()) and len(set.union(*tops.values())) == len(tops)
    return {"folders": {split: names.pop() for split, names in tops.items()} if apart else None}


def _lr_max(study: Study) -> LearningRate:
    "The LR range test, once per folder. Its suggestion is used where the question leaves lr_max open."
    found = study.find_lr(LR_FIND_SEED)
    if study.store.manifest.memory_per_run_gb is None:
        study.store.update(memory_per_run_gb=round(peak_memory() / 1e9, 2))
    print(f"lr_find suggests {'no LR' if found is None else format_number(found)}", flush=True)
    if study.question.lr_max is not None:
        return study.question.lr_max
    return study.workload.spread(study.require_lr(LR_FIND_SEED, "lr_max"))
