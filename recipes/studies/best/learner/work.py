"""What every step of `lrlab best --learner` needs, and the best model so far."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fastai.basics import Learner

from lrlab.callbacks.resume import write
from lrlab.recipes.kitchen.grid.study import Study
from lrlab.recipes.kitchen.learner_workload import LearnerWorkload
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.studies.best.journal import Journal
from lrlab.recipes.studies.best.learner.parts import WithoutTest
from lrlab.recipes.studies.best.learner.plan import Speed


class BestModel:
    "The weights of the best model so far, in a file, by its value on the items that decide."

    def __init__(self, file: Path, measure: Measure):
        self.file, self.measure = file, measure
        self.value, self.how = math.nan, ""
        if file.exists():
            stored = self._read()
            self.value, self.how = stored["value"], stored["how"]

    @property
    def is_there(self) -> bool:
        return math.isfinite(self.value)

    def offer(self, learn: Learner, value: float, how: str) -> bool:
        "Keep the model of `learn`, and `how` it was trained, if it is the best so far. Returns whether it is."
        sign = -1 if self.measure.lower_is_better else 1
        is_better = math.isfinite(value) and not (self.is_there and sign * value <= sign * self.value)
        if is_better:
            self.value, self.how = value, how
            write(self.file, {"value": value, "how": how, "model": learn.model.state_dict()})
        return is_better

    def put_into(self, learn: Learner) -> None:
        learn.model.load_state_dict(self._read()["model"])

    def _read(self) -> dict[str, Any]:
        return torch.load(self.file, map_location="cpu", weights_only=True)


@dataclass
class Work:
    "`deciding` makes Learners that do not see the test items."

    study: Study
    journal: Journal
    speed: Speed
    parts: str
    best: BestModel

    @property
    def seed(self) -> int:
        return self.study.question.seed

    @property
    def measure(self) -> Measure:
        return self.study.question.judge

    @property
    def deciding(self) -> LearnerWorkload:
        return LearnerWorkload(WithoutTest(self.study.workload.make_learner, self.parts, self.seed))

    def left(self) -> float:
        "Seconds that are left for trainings."
        return self.journal.budget.for_training() - self.speed.after

    def offer(self, learn: Learner, value: float, how: str) -> bool:
        "As `BestModel.offer`. The live line tells the best value."
        is_better = self.best.offer(learn, value, how)
        self.journal.best = f"{self.measure.label} {self.measure.with_unit(self.best.value)}"
        return is_better
