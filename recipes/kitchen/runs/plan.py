"""What a grid consists of: its runs, named and in order. Imports nothing that trains."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.store.tables import RunKey

if TYPE_CHECKING:
    from lrlab.callbacks import Schedule


@dataclass(frozen=True)
class Run:
    "One arm, at one peak LR, from one seed."

    arm: str  # what is compared: a schedule, or another setting
    schedule: Schedule
    lr_max: LearningRate
    seed: int
    epochs: int
    kind: str = ""  # "tune" for the trials that choose lr_max, or another word that makes it another run

    def __post_init__(self):
        object.__setattr__(self, "lr_max", LearningRate.parse(self.lr_max))

    @property
    def run_id(self) -> str:
        "The name of its folder: readable, and different for different runs."
        label = f"{self.arm}-{self.lr_max}"
        name = re.sub(r"[^A-Za-z0-9.]+", "_", label).strip("_")
        if len(name) > 60 or not re.fullmatch(r"[a-z0-9_]+", self.arm):
            name = f"{name[:60]}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"
        return f"{self.kind}{'-' * bool(self.kind)}{name}-{self.epochs}ep-s{self.seed}"

    @property
    def key(self) -> RunKey:
        return RunKey(self.run_id, self.arm, str(self.lr_max), self.seed)


def plan_runs(
    schedules: Mapping[str, Schedule], lr_max: LearningRate | float | Mapping, seeds: Iterable[int], epochs: int
) -> list[Run]:
    """Every schedule with every seed, ordered by seed: a comparison that is stopped early is balanced.

    `lr_max` is one for all schedules, or maps every label to its own.
    """
    lr_of = dict(lr_max) if isinstance(lr_max, Mapping) else dict.fromkeys(schedules, lr_max)
    lrs = {label: LearningRate.parse(lr_of[label]) for label in schedules}
    return [Run(label, schedule, lrs[label], seed, epochs) for seed in seeds for label, schedule in schedules.items()]
