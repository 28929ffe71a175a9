"""What a grid consists of: its runs, named and in order. Imports nothing that trains."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from lrlab.callbacks import Schedule
from lrlab.recipes.kitchen.options import show_lr


@dataclass(frozen=True)
class Run:
    "One schedule x lr_max x seed."

    schedule: str  # the label under which it is compared
    shape: Schedule
    lr_max: float | slice
    seed: int
    epochs: int
    kind: str = ""  # "tune" for the trials that choose lr_max, or what else makes it another run

    @property
    def run_id(self) -> str:
        "The name of its folder: readable, and different for different runs whatever the labels hold."
        label = f"{self.schedule}-{show_lr(self.lr_max)}"
        name = re.sub(r"[^A-Za-z0-9.]+", "_", label).strip("_")
        if len(name) > 60 or not re.fullmatch(r"[a-z0-9_]+", self.schedule):
            name = f"{name[:60]}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"
        return f"{self.kind}{'-' * bool(self.kind)}{name}-{self.epochs}ep-s{self.seed}"


def plan_runs(
    schedules: dict[str, Schedule], lr_max: float | slice | dict, seeds: Iterable[int], epochs: int
) -> list[Run]:
    """Seed by seed, so that a comparison that is stopped early has every schedule with the seeds it has.

    `lr_max` is one for all, or one for every label.
    """
    lr_of = lr_max if isinstance(lr_max, dict) else dict.fromkeys(schedules, lr_max)
    return [Run(label, shape, lr_of[label], seed, epochs) for seed in seeds for label, shape in schedules.items()]
