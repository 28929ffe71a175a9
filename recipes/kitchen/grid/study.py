"""What every recipe does: open its results folder, train what is missing, keep each run as it comes.

A recipe is a question, its runs and an answer. The question is a frozen dataclass with all that the numbers depend on:
`workload`, `seeds`, `threads` (of a run; None: every core), and `to_dict(image_set)` of JSON types. Two questions are
the same if and only if these are equal.

    with open_study("my-recipe", question, out) as study:
        study.train(runs_of(study.question))
        return redraw(study.store)
"""

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from fastai.basics import Learner

from lrlab.callbacks import LRRange
from lrlab.callbacks.hypers import n_groups
from lrlab.recipes.kitchen.data.dataloaders import train_device
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.grid.judging import parts_without_result
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.grid.progress import show_progress
from lrlab.recipes.kitchen.grid.range_tests import SEEDS, STEPS, WORKER_START, curves, range_tests, suggest
from lrlab.recipes.kitchen.grid.runner import run_tasks, was_killed
from lrlab.recipes.kitchen.learning_rates import LearningRate, format_number
from lrlab.recipes.kitchen.machine.environment import environment, fitting_jobs
from lrlab.recipes.kitchen.models.layer_groups import group_names
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.train import Task, attempt, train_run
from lrlab.recipes.kitchen.stage import stage
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.store.tables import RunRow
from lrlab.recipes.kitchen.workloads import Workload

LR_FIND = "lr_find.csv"  # the curves of the LR range tests
MEMORY_PER_RUN_GB = 2.0  # where no run has been measured


class Stopped(KeyboardInterrupt):
    "Ctrl-C: the runs in flight are finished and kept, the others are not begun."


@dataclass
class Study:
    "A results folder that is open, and what its runs need."

    store: Store
    question: Any
    workload: Any  # the Workload of the question, resolved
    image_set: Any  # the data of the workload: an ImageSet, or what is known of a Learner's
    place: Place = field(default_factory=Place)
    has_workers: bool = True  # whether its runs need worker processes, so that their start costs LR range tests nothing
    _planned: dict[str, None] = field(default_factory=dict)  # the ids of the runs of this command

    def train(
        self,
        runs: list[Run],
        what: str = "runs",
        task: Task | None = None,
        workload: Workload | None = None,
        image_set: Any = None,
        is_planned: bool = True,
    ) -> None:
        """Train those of `runs` that the folder lacks, by `task` (default: one fit under the run's schedule).

        The manifest's plan, which the tables follow, gets the runs unless `is_planned` is False. A run that fails, or
        kills its process twice, is a row as well. Raises Stopped on Ctrl-C.
        """
        workload = self.workload if workload is None else workload
        image_set = self.image_set if image_set is None else image_set
        if is_planned:
            self._planned |= dict.fromkeys(run.run_id for run in runs)
            self.store.update(plan=list(self._planned))
        done = {run_id for run_id, row in self.store.complete().items() if not was_killed(row)}
        todo = [run for run in runs if run.run_id not in done]
        if not todo:
            return
        place = self._resolved_place()
        place = place if place.jobs is None else place._replace(jobs=min(place.jobs, len(todo)))
        at_a_time = "as many as the cluster has room for" if place.jobs is None else place.jobs
        model = "" if workload.arch == image_set.name else f" with {workload.arch}"
        what = what if len(todo) > 1 else re.sub(r"^runs\b", "run", what)
        print(f"To do: {len(todo)} {what} on {image_set.name}{model}, {at_a_time} at a time", flush=True)
        measure = Measure.of_question(self.store.manifest.question)
        with show_progress(runs, todo, place.jobs or len(todo), measure) as progress:

            def keep(result):
                self.store.write_run(result)
                progress.advance(result)

            task = task or partial(train_run, workload=workload)
            trained = partial(attempt, task=task, threads=self.question.threads)
            if not run_tasks(todo, trained, image_set, keep, place):
                raise Stopped
        stage("Summarizing the runs")

    def train_one(self, run: Run, task: Task) -> RunRow:
        "The row of a run, which is trained in this process, by `task`, if the folder lacks it."
        done = self.store.complete().get(run.run_id)
        if done is None:
            result = attempt(run, self.image_set, task, self.question.threads)
            self.store.write_run(result)
            done = result.row
        return done

    def _resolved_place(self) -> Place:
        "`place`, with as many jobs as cores and memory allow if the number was left open."
        if self.place.engine == "local" and self.place.jobs is None:
            measured = self.store.manifest.memory_per_run_gb
            on_gpu = train_device().type == "cuda"
            memory = (measured or MEMORY_PER_RUN_GB) * 1e9
            # How much of a GPU's memory a run takes is unknown before one was measured.
            jobs = 1 if on_gpu and not measured else fitting_jobs(self.question.threads, memory, on_gpu)
            self.place = self.place._replace(jobs=jobs)
        self.store.update(engine=self.place.engine, jobs=self.place.jobs)
        return self.place

    def rows(self, runs: list[Run]) -> list[RunRow]:
        "The row of runs.csv of each run."
        complete = self.store.complete()
        return [complete[run.run_id] for run in runs]

    def find_lr(self, in_use: float | None = None, num_it: int = STEPS) -> float | None:
        """The suggestion of LR range tests, which are made once per folder. None if no seed suggests an LR.

        Says if the LR `in_use` is far from their range.
        """
        if not (self.store.out / LR_FIND).exists():
            self.test_lrs(SEEDS, num_it)
        found = LRSuggestion.of_config(self.store.manifest.to_dict())
        print(f"lr_find suggests {found}", flush=True)
        if in_use and (distance := found.distance(in_use)):
            print(f"Warning: the LR in use, {format_number(in_use)}, is {distance}.", flush=True)
        return found.lr

    def test_lrs(self, seeds: Sequence[int], num_it: int) -> dict[int, LRRange]:
        "Make the LR range test of every seed. Writes lr_find.csv, and what they suggest into the manifest."
        start = time.perf_counter()
        worker_start = 0.0 if self.has_workers else WORKER_START
        tests = range_tests(self.workload, self.image_set, seeds, num_it, self.place, worker_start)
        self.keep_tests(tests, time.perf_counter() - start)
        return tests

    def keep_tests(self, tests: dict[int, LRRange], seconds: float) -> None:
        "Write the LR range tests, by seed, into lr_find.csv, and what they suggest and cost into the manifest."
        table, found = curves(tests), suggest(tests)
        self.store.update(
            lr_find=found.lr,
            lr_find_range=found.range,
            lr_find_none=next((t.reasons["valley"] for t in tests.values() if "valley" in t.reasons), None),
            lr_find_by_seed={str(seed): lr for seed, lr in found.by_seed.items()},
            lr_find_cost={"tests": len(tests), "steps": len(table), "seconds": round(seconds, 2)},
        )
        write_atomically(self.store.out / LR_FIND, table.to_csv(index=False))

    def choose_lr(self, given: LearningRate | None) -> LearningRate:
        "The LR `given`, or what the LR range tests suggest. They are made either way, once per folder."
        if given is None:
            return self.workload.spread(self.require_lr("lr_max"))
        self.find_lr(in_use=given.peak)
        return given

    def require_lr(self, argument: str) -> float:
        "`find_lr`, or UserError where the tests suggest none and the user left `argument` open."
        found = self.find_lr()
        if found is None:
            why = self.store.manifest.lr_find_none or "the loss never fell"
            raise UserError(f"`{argument}` find: the LR range test suggests no LR ({why}); give `{argument}` a number")
        return found


@contextmanager
def open_study(
    recipe: str,
    question: Any,
    out: Path | str,
    place: Place | None = None,
    fresh: bool = False,
    settle: Callable[[Any, Any, Learner], Any] = lambda question, image_set, learn: question,
    grows: Sequence[str] = (),
) -> Iterator[Study]:
    """Load the data, build the model once, and open the results folder of `question`.

    What cannot be built is refused before anything is written. `settle(question, image_set, learn)` returns the
    question with what the data and the model decide, or refuses it too. `grows` names the parts of a question that a
    later command may extend. Without a `place`, the recipe trains in this process, and only LR range tests may be
    computed in others.
    """
    image_set = question.workload.load()
    stage("Building the model")
    question = replace(question, workload=question.workload.resolve(image_set))
    learn = question.workload.learner(question.seeds[0], image_set)
    question = settle(question, image_set, learn)
    refuse_folder_of_images(Path(out), image_set)
    with Store(out) as store:
        manifest = Manifest(
            recipe,
            question.to_dict(image_set),
            image_set.describe(),
            groups=group_names(n_groups(learn)),
            steps_per_epoch=len(learn.dls.train),
            **question.workload.facts(image_set),
            **environment(),
        )
        store.begin(manifest, fresh, (*grows, *parts_without_result(store)))
        for hint in question.workload.hints(image_set):
            print(f"Note: {hint}", file=sys.stderr)
        yield Study(store, question, question.workload, image_set, place or Place(jobs=None), place is not None)


def refuse_folder_of_images(out: Path, image_set: Any) -> None:
    "Raise UserError if images of the data lie in `out`: a figure would be one of them, and `fresh` would move them."
    if not isinstance(image_set, ImageSet):
        return
    root, out_at = Path(image_set.card.source), out.resolve()
    if not (out_at.is_relative_to(root) or root.is_relative_to(out_at)):
        return  # without looking at every image
    inside = next((name for name in image_set.files if (root / name).is_relative_to(out_at)), None)
    if inside is not None:
        raise UserError(f"`out` {out}: holds the images that are trained on ({inside}); choose a folder of its own")
