"""A comparison from question to answer: check it, find the LR, run the grid, keep the results, draw and tell them."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from lrlab.callbacks import Schedule
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.grid import tuning as tune
from lrlab.recipes.kitchen.grid.engines import Place
from lrlab.recipes.kitchen.grid.job_count import counts, fastest_jobs
from lrlab.recipes.kitchen.grid.progress import show_progress
from lrlab.recipes.kitchen.grid.runner import run_grid, was_killed
from lrlab.recipes.kitchen.machine.environment import busy, environment, fitting_jobs, peak_memory
from lrlab.recipes.kitchen.machine.measured import remembered
from lrlab.recipes.kitchen.models.layer_groups import group_names
from lrlab.recipes.kitchen.options import LR, show_lr
from lrlab.recipes.kitchen.runs.plan import Run, plan_runs
from lrlab.recipes.kitchen.stats.tuning import tuning_scores
from lrlab.recipes.kitchen.store.store import Store, write_atomically
from lrlab.recipes.kitchen.workloads import Workload, use_threads
from lrlab.recipes.studies.compare import samples
from lrlab.recipes.studies.compare.report import Result, redraw
from lrlab.recipes.studies.lr_find.study import range_test, suggested_lr

LR_FIND_SEED = 0  # whatever the seeds of the comparison: folders with other seeds can be merged


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
    seeds: list[int]
    schedules: dict[int, dict[str, Schedule]]  # by budget in epochs, then by label
    lr_max: LR | None  # None: to be found
    threads: int = 1
    tuning: tune.Tuning | None = None

    def to_dict(self, image_set: ImageSet) -> dict:
        "JSON types; two questions are the same if and only if these are equal."
        return {
            **self.workload.to_dict(image_set),
            "epochs": list(self.schedules),
            "seeds": self.seeds,
            "schedules": {str(n): {label: repr(s) for label, s in own.items()} for n, own in self.schedules.items()},
            "lr_max": "find" if self.lr_max is None else show_lr(self.lr_max),
            "threads": self.threads,
            "tuning": self.tuning.to_dict() if self.tuning else None,
        }


class Stopped(KeyboardInterrupt):
    "Ctrl-C: the runs in flight are finished and kept, the others are not begun."


@dataclass
class Kitchen:
    "Where the runs of one comparison are trained and kept."

    store: Store
    workload: Workload
    image_set: ImageSet
    place: Place
    threads: int

    def train(self, runs: list[Run], what: str) -> None:
        "Train those of `runs` that the store does not hold yet. Raises Stopped on Ctrl-C."
        rows = self.store.complete()
        done = {run_id for run_id, row in rows.items() if not was_killed(row)}
        todo = [run for run in runs if run.run_id not in done]
        if not todo:
            return
        jobs = "as many as the cluster has room for" if self.place.jobs is None else min(self.place.jobs, len(todo))
        print(
            f"To do: {len(todo)} {what} on {self.image_set.name} with {self.workload.arch}, {jobs} at a time",
            flush=True,
        )
        with show_progress(todo, len(runs) - len(todo), self.place.jobs or len(todo)) as progress:

            def keep(result):
                self.store.write_run(result)
                progress.advance(result)

            finished = run_grid(todo, self.workload, self.image_set, keep, threads=self.threads, place=self.place)
        if not finished:
            raise Stopped


def answer(question: Question, out: Path | str, place: Place = Place(), fresh: bool = False) -> Result:  # noqa: B008
    """Train what is not there yet, then draw everything from the stored results.

    Raises UserError before any training if a schedule cannot run in this budget or the folder cannot be used, and
    KeyboardInterrupt if it was stopped before a single run was finished.
    """
    image_set = question.workload.load_images()
    workload = question.workload.resolve(image_set)
    question = replace(question, workload=workload)
    learn = workload.learner(LR_FIND_SEED, image_set)
    check_schedules(question, len(learn.dls.train))
    with Store(out) as store:
        config = {
            "recipe": "compare",
            "question": question.to_dict(image_set),
            "data": image_set.describe() | {"folders": split_folders(image_set)},
            "groups": group_names(len(learn.splitter(learn.model))),
            "steps_per_epoch": len(learn.dls.train),
            **environment(),
        }
        store.begin(config, fresh)
        samples.keep(store, image_set)
        centre = _found_lr(store, question, image_set)
        place = _with_jobs(place, store, question, image_set, on_gpu=learn.dls.device.type == "cuda")
        kitchen = Kitchen(store, workload, image_set, place, question.threads)
        try:
            _train_all(kitchen, question, centre)
        except Stopped:
            if "plan" not in store.config or not store.complete():  # not even the tuning of the LRs is done
                raise KeyboardInterrupt from None
            print("Stopped. The same command continues.")
            return redraw(store, stopped=True)
        return redraw(store)


def _train_all(kitchen: Kitchen, question: Question, centre: LR) -> None:
    store = kitchen.store
    lr_of = {budget: dict.fromkeys(shapes, centre) for budget, shapes in question.schedules.items()}
    if question.tuning:
        lr_of = tuned(kitchen, question.schedules, question.tuning, centre)
    runs = [
        run
        for budget, shapes in question.schedules.items()
        for run in plan_runs(shapes, lr_of[budget], question.seeds, budget)
    ]
    store.write_config(store.config | {"plan": [run.run_id for run in runs]})
    budgets = ", ".join(map(str, question.schedules))
    lr = "each schedule's own lr_max" if question.tuning else f"lr_max {show_lr(centre)}"
    kitchen.train(runs, f"runs ({budgets} epochs each, {lr})")


def tuned(kitchen: Kitchen, schedules: dict[int, dict], tuning: tune.Tuning, centre: LR) -> dict[int, dict[str, LR]]:
    "The best lr_max of every budget and schedule; notes in config.json what was tried."
    store = kitchen.store
    first = grid = tune.first_grid(tuning.points)
    while True:
        runs = tune.trials(schedules, centre, grid, tuning.seeds)
        store.write_config(store.config | {"tuning_plan": [run.run_id for run in runs]})
        kitchen.train(runs, f"runs to tune lr_max over {len(grid)} values")
        table = tuning_scores(store.tables("tuning_plan")[0])
        best = tune.best_positions(table, centre, grid)
        wider = tune.wider(grid, best, first)
        if wider == grid:
            break
        grid = wider
    chosen = {n: {label: tune.lr_at(centre, best[n, label]) for label in shapes} for n, shapes in schedules.items()}
    note = {
        "grid": [show_lr(tune.lr_at(centre, position)) for position in grid],
        "added": len(grid) - len(first),
        "seeds": list(tuning.seeds),
        "chosen": {str(n): {label: show_lr(lr) for label, lr in own.items()} for n, own in chosen.items()},
        "at_edge": [f"{label} ({n} epochs)" for (n, label), at in best.items() if at in (min(grid), max(grid))],
    }
    store.write_config(store.config | {"tuned": note})
    return chosen


def check_schedules(question: Question, steps_per_epoch: int) -> None:
    "Raise UserError for a schedule that cannot run for so many steps, before anything is trained or written."
    if steps_per_epoch == 0:
        raise UserError("there are fewer training images than one batch; choose a smaller `bs`")
    for budget, shapes in question.schedules.items():
        for label, schedule in shapes.items():
            try:
                schedule.multipliers(budget * steps_per_epoch, steps_per_epoch)
            except ValueError as error:
                raise UserError(f"`schedules` {label}: {error}") from error


def split_folders(image_set: ImageSet) -> dict[str, str] | None:
    "The folders of a data set that comes split, such as {'train': 'train', 'valid': 'val'}; None if we split it."
    tops = {split: {image_set.files[row].split("/")[0] for row in rows} for split, rows in image_set.splits.items()}
    apart = all(len(names) == 1 for names in tops.values()) and len(set.union(*tops.values())) == len(tops)
    return {split: names.pop() for split, names in tops.items()} if apart else None


def _found_lr(store: Store, question: Question, image_set: ImageSet) -> LR:
    "The LR range test, once per folder; its suggestion is used where the question leaves lr_max open."
    config = store.config
    if "lr_find" not in config:
        use_threads(question.threads)
        start = time.perf_counter()
        test = range_test(question.workload, LR_FIND_SEED, image_set)
        curve = test.to_df()
        write_atomically(store.out / "lr_find.csv", curve.to_csv(index=False))
        config["lr_find"] = suggested_lr(test)
        config["lr_find_cost"] = {"steps": len(curve), "seconds": round(time.perf_counter() - start, 2)}
        config["memory_per_run_gb"] = round(peak_memory() / 1e9, 2)
        store.write_config(config)
    found = config["lr_find"]
    print(f"lr_find suggests {'no LR' if found is None else show_lr(found)}", flush=True)
    if question.lr_max is not None:
        return question.lr_max
    if found is None:
        raise UserError("`lr_max` find: the LR range test suggests no LR on this data; give `lr_max` a number")
    return question.workload.spread(found)


def _with_jobs(place: Place, store: Store, question: Question, image_set: ImageSet, on_gpu: bool) -> Place:
    "`place` with the number of jobs that is fastest here, if it was left open; config.json keeps what was used."
    config = store.config
    if place.engine == "local" and place.jobs is None:
        most = fitting_jobs(question.threads, config["memory_per_run_gb"] * 1e9, on_gpu)
        place = place._replace(jobs=_auto_jobs(most, question, image_set))
    store.write_config(config | {"engine": place.engine, "jobs": place.jobs})
    return place


def _auto_jobs(most: int, question: Question, image_set: ImageSet) -> int:
    """Measured once per machine and workload where the grid is long enough to earn it; the results do not depend on it.

    On a busy machine it would be measured wrongly, and remembered: as many as have room are right more often.
    """
    workload, threads = question.workload, question.threads
    runs = len(question.seeds) * sum(len(shapes) for shapes in question.schedules.values())
    if most == 1 or runs < 2 * most or busy():
        return most
    what = f"jobs for {workload.arch}, {image_set.size} px, {workload.bs}, {workload.precision}, {threads} threads"
    return remembered(
        f"{what}, at most {most}", counts(most).__contains__, lambda: fastest_jobs(most, workload, image_set, threads)
    )
