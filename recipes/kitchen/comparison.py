"""A comparison from question to answer: check it, find the LR, run the grid, keep the results, draw and tell them."""

from dataclasses import asdict, dataclass
from pathlib import Path

from lrlab.callbacks import Schedule
from lrlab.recipes.kitchen.data import Photos
from lrlab.recipes.kitchen.environment import environment
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.grid import plan_runs, run_grid
from lrlab.recipes.kitchen.layer_groups import group_names
from lrlab.recipes.kitchen.lr_range import quiet_range_test, suggested_lr
from lrlab.recipes.kitchen.options import show_lr
from lrlab.recipes.kitchen.progress import show_progress
from lrlab.recipes.kitchen.report import Result, redraw
from lrlab.recipes.kitchen.store import Store, write_atomically
from lrlab.recipes.kitchen.workloads import Workload, resolve_precision, use_threads


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
    epochs: int
    seeds: list[int]
    schedules: dict[str, Schedule]
    lr_max: float | slice | None  # None: to be found
    threads: int = 1

    def to_dict(self, photos: Photos) -> dict:
        "JSON types; two questions are the same if and only if these are equal."
        workload = asdict(self.workload) | {"precision": resolve_precision(self.workload.precision)}
        del workload["cache"]  # where pixels are kept changes nothing
        return {
            **workload,
            "size": photos.size,
            "epochs": self.epochs,
            "seeds": self.seeds,
            "schedules": {label: repr(schedule) for label, schedule in self.schedules.items()},
            "lr_max": "find" if self.lr_max is None else show_lr(self.lr_max),
            "threads": self.threads,
        }


def answer(question: Question, out: Path | str, jobs: int = 1, fresh: bool = False) -> Result:
    """Train what is not there yet, then draw everything from the stored results.

    Raises UserError before any training if a schedule cannot run in this budget or the folder cannot be used.
    """
    workload = question.workload
    photos = workload.photos()
    learn = workload.learner(question.seeds[0], photos)
    check_schedules(question, len(learn.dls.train))
    with Store(out) as store:
        config = {
            "recipe": "compare",
            "question": question.to_dict(photos),
            "data": photos.describe(),
            "groups": group_names(len(learn.splitter(learn.model))),
            **environment(),
        }
        store.begin(config, fresh)
        lr_max = _found_lr(store, question, learn)
        runs = plan_runs(question.schedules, lr_max, question.seeds, question.epochs)
        store.write_config({**store.config, "plan": [run.run_id for run in runs]})
        done = store.complete()
        todo = [run for run in runs if run.run_id not in done]
        if todo:
            print(
                f"{len(todo)} runs of {question.epochs} epochs on {photos.name} with {workload.arch}, "
                f"lr_max {show_lr(lr_max)}, {min(jobs, len(todo))} at a time"
            )
        with show_progress(todo, len(done), jobs) as progress:

            def keep(result):
                store.write_run(result)
                progress.advance(result)

            finished = run_grid(todo, workload, photos, keep, jobs, question.threads) if todo else True
        if not finished:
            print("Stopped. The same command continues.")
        return redraw(store)


def check_schedules(question: Question, steps_per_epoch: int) -> None:
    "Raise UserError for a schedule that cannot run for so many steps, before anything is trained or written."
    if steps_per_epoch == 0:
        raise UserError("there are fewer training images than one batch; choose a smaller --bs")
    for label, schedule in question.schedules.items():
        try:
            schedule.multipliers(question.epochs * steps_per_epoch, steps_per_epoch)
        except ValueError as error:
            raise UserError(f"--schedules {label}: {error}") from error


def _found_lr(store: Store, question: Question, learn) -> float | slice:
    "The LR range test, once per folder; its suggestion is used where the question leaves lr_max open."
    config = store.config
    if "lr_find" not in config:
        use_threads(question.threads)
        test = quiet_range_test(learn)
        write_atomically(store.out / "lr_find.csv", test.to_df().to_csv(index=False))
        config["lr_find"] = suggested_lr(test)
        store.write_config(config)
    found = config["lr_find"]
    print(f"lr_find suggests {'no LR' if found is None else show_lr(found)}")
    if question.lr_max is not None:
        return question.lr_max
    if found is None:
        raise UserError("--lr-max find: the LR range test suggests no LR on this data; give --lr-max a number")
    return question.workload.spread(found)
