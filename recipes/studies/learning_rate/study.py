"""Five ways to choose an LR and a length, side by side: too high, too low, too short, too long, and right."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrlab.callbacks import Constant
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.grid.judging import measure_to_show
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.grid.study import Study, open_study
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.workloads import Workload
from lrlab.recipes.studies.learning_rate.guessing import measure_guessing_loss
from lrlab.recipes.studies.learning_rate.report import Answer, redraw


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
    lr: float | None  # None: chosen by LR range tests
    high: float
    low: float
    epochs: int
    long: int
    seeds: list[int]
    threads: int = 1

    def to_dict(self, data: Any) -> dict:
        rest = {name: value for name, value in vars(self).items() if name != "workload"}
        judge = measure_to_show(self.workload, data).to_dict()
        return self.workload.to_dict(data) | rest | {"lr": "find" if self.lr is None else self.lr} | judge


def answer(question: Question, out: Path | str, jobs: int = 1, fresh: bool = False) -> Answer:
    """Train what is not there yet; write runs.csv, epochs.csv, summary.csv and learning_rate.png.

    With the tutorial's model also tutorial.txt, its published rows beside ours.
    """
    with open_study("learning-rate", question, out, Place(jobs=jobs), fresh) as study:
        runs = plan(study.question, _right_lr(study))
        _measure_guessing(study)
        study.train(runs)
        return redraw(study.store)


def _right_lr(study: Study) -> float:
    "The given LR, or the suggestion of the LR range tests, made once per folder."
    question = study.question
    if question.lr is not None:
        return question.lr
    lr = study.require_lr("lr")
    check_order(question.low, lr, question.high, suggested=True)
    return lr


def _measure_guessing(study: Study) -> None:
    "The scale of the diagnosis, once per folder. The class counts of images tell it; a Learner of the user's has none."
    if not isinstance(study.image_set, ImageSet) and study.store.manifest.guessing_loss is None:
        loss = measure_guessing_loss(study.workload, study.image_set, study.question.seeds[0])
        study.store.update(guessing_loss=loss)


def check_order(low: float, lr: float | None, high: float, suggested: bool = False) -> None:
    "Raise UserError unless low < lr < high. An LR that is still to be chosen is None, and not compared."
    if low < high if lr is None else low < lr < high:
        return
    right = "" if lr is None else f", the suggested LR {lr:g}," if suggested else f" `lr` {lr:g}"
    advice = "; choose another `low` or `high`, with `fresh`" if suggested else ""
    raise UserError(
        f"`low` {low:g}{right} `high` {high:g}: expected a low, a right and a high LR, in ascending order{advice}"
    )


def plan(question: Question, lr: float) -> list[Run]:
    "Every arm with every seed, ordered by seed. The LR stays constant, as in the tutorial."
    arms = {
        "too high": (question.high, question.epochs),
        "too low": (question.low, question.epochs),
        "too short": (lr, 1),
        "too long": (lr, question.long),
        "right": (lr, question.epochs),
    }
    return [
        Run(arm, Constant(), LearningRate(peak), seed, n) for seed in question.seeds for arm, (peak, n) in arms.items()
    ]
