"""Five ways to choose an LR and a length, side by side: too high, too low, too short, too long, and right."""

from dataclasses import dataclass, replace
from pathlib import Path

from lrlab.callbacks import Constant
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.grid.engines import Place
from lrlab.recipes.kitchen.grid.runner import Run
from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.store.store import Store, write_atomically
from lrlab.recipes.kitchen.workloads import Workload, use_threads
from lrlab.recipes.studies.compare.study import Kitchen
from lrlab.recipes.studies.learning_rate.report import Answer, redraw
from lrlab.recipes.studies.lr_find.study import range_test, suggested_lr


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
    lr: float | None  # None: to be found
    high: float
    low: float
    epochs: int
    long: int
    seeds: list[int]
    threads: int = 1

    def to_dict(self, image_set: ImageSet) -> dict:
        workload = self.workload.to_dict(image_set)
        rest = {name: value for name, value in vars(self).items() if name != "workload"}
        return workload | rest | {"lr": "find" if self.lr is None else self.lr}


def answer(question: Question, out: Path | str, jobs: int = 1, fresh: bool = False) -> Answer:
    """Train what is not there yet; write runs.csv, epochs.csv, summary.csv and learning_rate.png.

    With the tutorial's model also tutorial.txt, its published rows beside ours.
    """
    image_set = question.workload.load_images()
    question = replace(question, workload=question.workload.resolve(image_set))
    question.workload.learner(
        question.seeds[0], image_set
    )  # what cannot be built is refused before anything is written
    with Store(out) as store:
        config = {"recipe": "learning-rate", "question": question.to_dict(image_set), "data": image_set.describe()}
        store.begin(config | environment(), fresh)
        lr = _right_lr(store, question, image_set)
        runs = plan(question, lr)
        store.write_config(store.config | {"plan": [run.run_id for run in runs]})
        Kitchen(store, question.workload, image_set, Place(jobs=jobs), question.threads).train(runs, "runs")
        return redraw(store)


def _right_lr(store: Store, question: Question, image_set) -> float:
    "The given LR, or the suggestion of one LR range test, made once per folder."
    if question.lr is not None:
        return question.lr
    if "lr_find" not in store.config:
        use_threads(question.threads)
        test = range_test(question.workload, question.seeds[0], image_set)
        write_atomically(store.out / "lr_find.csv", test.to_df().to_csv(index=False))
        store.write_config(store.config | {"lr_find": suggested_lr(test)})
    if store.config["lr_find"] is None:
        raise UserError("`lr` find: the LR range test suggests no LR on this data; give `lr` a number")
    check_order(question.low, store.config["lr_find"], question.high, found=True)
    return store.config["lr_find"]


def check_order(low: float, lr: float | None, high: float, found: bool = False) -> None:
    "Raises UserError unless low < lr < high; None, an LR that is still to be found, is left out."
    if low < high if lr is None else low < lr < high:
        return
    right = "" if lr is None else f", the found LR {lr:g}," if found else f" `lr` {lr:g}"
    advice = "; choose another `low` or `high`, with `fresh`" if found else ""
    raise UserError(
        f"`low` {low:g}{right} `high` {high:g}: expected a low, a right and a high LR, in ascending order{advice}"
    )


def plan(question: Question, lr: float) -> list[Run]:
    "Every arm with every seed, seed by seed; the LR stays constant, as in the tutorial."
    arms = {
        "too high": (question.high, question.epochs),
        "too low": (question.low, question.epochs),
        "too short": (lr, 1),
        "too long": (lr, question.long),
        "right": (lr, question.epochs),
    }
    return [Run(name, Constant(), own, s, n) for s in question.seeds for name, (own, n) in arms.items()]
