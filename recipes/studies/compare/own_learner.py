"""The comparison from Python, on a Learner of the user's own: `compare_schedules` and `learn.compare_schedules`."""

import inspect
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import cloudpickle
import pandas as pd
from fastai.basics import Learner

from lrlab.callbacks import Schedule
from lrlab.callbacks.random_state import kept_random_state
from lrlab.recipes.kitchen import options
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.learner_workload import FromFile, LearnerWorkload, csv_logs
from lrlab.recipes.kitchen.learning_rates import parse_lr
from lrlab.recipes.kitchen.schedule_names import DEFAULT_SCHEDULES, parse_schedules
from lrlab.recipes.kitchen.text import listed
from lrlab.recipes.studies.compare.result import Result
from lrlab.recipes.studies.compare.study import Question, answer


def compare_schedules(
    make_learner: Callable[[], Learner] | str,  # Makes a new Learner, or "train.py:make_learner"
    epochs: int | str | Sequence[int] = 5,  # Of every run; several budgets are compared: [3, 6]
    schedules: str | Sequence[str | Schedule] = DEFAULT_SCHEDULES,  # Names, constructor calls, or Schedules
    lr_max: float | str | slice = "find",  # Peak LR of all schedules; "find" takes it from an LR range test
    seeds: int | str | Sequence[int] | None = None,  # How many seeds, or which; default: 3, or 50 with `minutes`
    metric: str | None = None,  # What judges; default: the Learner's first. "-name": lower is better
    tolerance: float | str | None = None,  # The difference that does not matter; default: 0.01, or 2 % of a loss
    minutes: float | None = None,  # Then three seeds first, and more seeds for open schedules while the time lasts
    jobs: int | str = "auto",  # Runs at the same time
    out: Path | str | None = None,  # Results folder, which a later call extends; default: a temporary one
    threads: int = 1,  # Processor threads of a run
    fresh: bool = False,  # Start over; what is in `out` is moved to a dated folder
) -> Result:
    """Train the Learner with every schedule from the same seeds, and decide which schedule to use.

    `make_learner` is called once for every run, after the random seed is set: the same seed gives every schedule the
    same initial weights, batches and augmentation. It may be a function of a notebook.

    The result shows itself in a notebook. It has `verdict`, `best`, `summary`, `runs`, `epochs`, `plot()`, `code`,
    `report` and `export("model.pkl")`. Raises UserError for bad arguments, and UserCodeError, with file and line, for
    what the function raises.
    """
    budgets = options.parse_epochs(epochs)
    maker = FromFile.parse(make_learner, "make_learner") if isinstance(make_learner, str) else make_learner
    place = Place(jobs=options.parse_jobs(jobs))
    if place.jobs != 1 and not reaches_other_processes(maker):
        print("The function cannot be sent to other processes, so the runs are trained one after another.")
        place = Place(jobs=1)
    seeds = (3 if minutes is None else options.MOST_SEEDS) if seeds is None else seeds
    question = Question(
        workload=LearnerWorkload(maker),
        seeds=options.parse_seeds(seeds),
        schedules={budget: parse_schedules(schedules, budget) for budget in budgets},
        lr_max=parse_lr(lr_max),
        threads=options.number(1, 256)(threads, "threads"),
        judge=None if metric is None else options.parse_judge(metric, "metric"),
        tolerance=None if tolerance is None else options.parse_tolerance(tolerance),
        minutes=None if minutes is None else options.parse_minutes(minutes),
    )
    with naming_own_arguments():
        return answer(question, out or tempfile.mkdtemp(prefix="lrlab-compare-"), place, fresh)


@contextmanager
def naming_own_arguments() -> Iterator[None]:
    "A message of the recipe names the arguments of `compare_schedules`."
    try:
        yield
    except UserError as error:
        error.args = (str(error).replace("`judge", "`metric").replace("`learner`", "`make_learner`"),)
        raise


def reaches_other_processes(maker: Callable) -> bool:
    "Whether the function, with what it uses, can be pickled by value."
    try:
        cloudpickle.dumps(maker)
    except Exception:  # anything that the function refers to may refuse to be pickled, in its own way
        return False
    return True


def compare_in_place(self: Learner, epochs: int | str | Sequence[int] = 5, **arguments) -> Result:
    """`compare_schedules` on this Learner, from its present weights, in this process, one run after another.

    Takes the arguments of `compare_schedules`, but for `make_learner` and `jobs`. Seeds differ in batch order and
    augmentation alone. Afterwards weights, optimizer and records are as before.
    """
    known = [name for name in inspect.signature(compare_schedules).parameters if name not in ("make_learner", "jobs")]
    unknown = next((name for name in arguments if name not in known), None)
    if unknown is not None:
        raise UserError(f"`{unknown}`: learn.compare_schedules takes {listed(known)}")
    with kept(self):
        result = compare_schedules(LearnerAtHand(self, deepcopy(self.model.state_dict())), epochs, jobs=1, **arguments)
    train_again = result.export_again
    if train_again is None:
        return result

    def export_again(file: Path, run: pd.Series) -> Path:
        with kept(self):
            return train_again(file, run)

    return replace(result, export_again=export_again)


Learner.compare_schedules = compare_in_place  # as `fit_schedule` is added to it


@dataclass(frozen=True)
class LearnerAtHand:
    "Returns one Learner again and again, with the weights that it had at first."

    learn: Learner
    state: dict
    __name__ = "learn"

    def __call__(self) -> Learner:
        self.learn.model.load_state_dict(self.state)
        self.learn.opt = None
        return self.learn


@contextmanager
def kept(learn: Learner) -> Iterator[None]:
    "Put back the Learner's weights, optimizer, records and random state at the end of the block."
    weights, others = deepcopy(learn.model.state_dict()), {name: getattr(learn, name) for name in ("opt", "model_dir")}
    logs = [(log, log.fname) for log in csv_logs(learn)]
    state = None if learn.opt is None else deepcopy(learn.opt.state_dict())
    trainable = [p.requires_grad for p in learn.model.parameters()]
    records = copy(vars(learn.recorder))
    with kept_random_state(learn.dls):
        try:
            yield
        finally:
            learn.model.load_state_dict(weights)
            for p, is_trainable in zip(learn.model.parameters(), trainable, strict=True):
                p.requires_grad_(is_trainable)
            vars(learn).update(others)
            for log, fname in logs:
                log.fname = fname
            if state is not None:
                learn.opt.load_state_dict(state)
            vars(learn.recorder).clear()
            vars(learn.recorder).update(records)
