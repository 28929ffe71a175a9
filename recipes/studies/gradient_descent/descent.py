"""Gradient descent under our schedules, from thousands of random starts at once: where does it end?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.stats.intervals import large_sample_interval, wilson_interval
from lrlab.recipes.kitchen.text import show_share
from lrlab.recipes.studies.gradient_descent.surfaces import SURFACES

if TYPE_CHECKING:
    from lrlab.callbacks import Schedule

STEPS_PER_EPOCH = 20  # of the imagined training set; schedules count in epochs
LRS = tuple(float(f"{10**e:.2g}") for e in np.arange(-1.5, 1.01, 0.25))  # the common grid on which every LR is tuned
TUNING_STARTS = 250
SPREAD = 4.0  # starts are uniform in a square of this half-width


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    schedules: dict[str, Schedule]
    epochs: int
    starts: int
    noise: float  # standard deviation of each component of the gradient's noise
    seed: int

    def to_dict(self) -> dict:
        return {**vars(self), "schedules": {label: repr(schedule) for label, schedule in self.schedules.items()}}


def descend(surface, starts: np.ndarray, lrs: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
    """Every point on the way: [steps + 1, ..., 2] from `starts` [..., 2] with the LRs `lrs` [steps] or [steps, n, 1].

    `noise` [steps, ..., 2] is added to the gradient. A path that diverges ends in infinities, without warnings.
    """
    path = np.empty((len(lrs) + 1, *starts.shape))
    path[0] = starts
    with np.errstate(over="ignore", invalid="ignore"):
        for step, lr in enumerate(lrs):
            gradient = surface.gradient(path[step])
            path[step + 1] = path[step] - lr * (gradient if noise is None else gradient + noise[step])
    return path


def draws(question: Question, stage: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    "The same `n` starts [n, 2] and gradient noise [steps, n, 2] for every schedule; `stage` 0 tunes, 1 reports."
    rng = np.random.default_rng([question.seed, stage])
    steps = question.epochs * STEPS_PER_EPOCH
    return rng.uniform(-SPREAD, SPREAD, (n, 2)), question.noise * rng.standard_normal((steps, n, 2))


def lr_curve(question: Question, label: str, lr_max: float) -> np.ndarray:
    "The LR of every step."
    return lr_max * question.schedules[label].multipliers(question.epochs * STEPS_PER_EPOCH, STEPS_PER_EPOCH)


def tune(question: Question) -> pd.DataFrame:
    "The share of starts that end in the global minimum for every surface x schedule x LR, on starts of their own."
    starts, noise = draws(question, 0, min(TUNING_STARTS, question.starts))
    rows = []
    for name, surface in SURFACES.items():
        for label in question.schedules:
            for lr_max in LRS:
                ended = descend(surface, starts, lr_curve(question, label, lr_max), noise)[-1]
                rows.append((name, label, lr_max, len(starts), surface.in_lowest(ended).mean()))
    return pd.DataFrame(rows, columns=["surface", "schedule", "lr_max", "n", "share"])


def measure(question: Question, tuning: pd.DataFrame) -> pd.DataFrame:
    "Every schedule at its best LR of the grid, from fresh starts; differences to the first schedule paired by start."
    starts, noise = draws(question, 1, question.starts)
    rows: list[tuple] = []
    for name, surface in SURFACES.items():
        reference = None
        for label in question.schedules:
            lr_max = best_lr(tuning, name, label)
            ended = descend(surface, starts, lr_curve(question, label, lr_max), noise)[-1]
            hit = surface.in_lowest(ended).astype(float)
            reference = hit if reference is None else reference
            differences = large_sample_interval(hit - reference)
            rows.append((name, label, lr_max, len(hit), *_share(hit), *differences))
        rows.append((name, "start", np.nan, len(starts), *_share(surface.in_lowest(starts)), *[np.nan] * 3))
    columns = "surface schedule lr_max n share low high diff diff_low diff_high".split()
    return pd.DataFrame(rows, columns=columns)


def _share(hit: np.ndarray) -> tuple[float, float, float]:
    "The share of hits and its interval."
    return hit.mean(), *wilson_interval(hit.sum(), len(hit))


def best_lr(tuning: pd.DataFrame, surface: str, label: str) -> float:
    "The LR with the highest share; the lowest such LR if several have it."
    own = tuning[(tuning.surface == surface) & (tuning.schedule == label)]
    return float(own.lr_max[own.share.idxmax()])


def finding(shares: pd.DataFrame) -> str:
    "The schedule that finds the wide global minimum most often, in at most twelve words."
    wide = shares[(shares.surface == "wide") & (shares.schedule != "start")]
    best = wide.loc[wide.share.idxmax()]
    return f"{best.schedule} finds a wide global minimum from {show_share(best.share, 0)} of the starts"


def details(shares: pd.DataFrame) -> str:
    "The best schedule beside the first, or beside the next best if it is the first; and the narrow minimum."
    wide, narrow = (shares[(shares.surface == s) & (shares.schedule != "start")] for s in SURFACES)
    best, first, others = wide.loc[wide.share.idxmax()], wide.iloc[0], wide.iloc[1:]
    text = f"Wide global minimum: {best.schedule} finds it from {show_share(best.share, 0)} of the starts"
    if best.schedule != first.schedule:
        text += f", {first.schedule} from {show_share(first.share, 0)}"
    elif len(others):
        second = others.loc[others.share.idxmax()]
        text += f", the next best, {second.schedule}, from {show_share(second.share, 0)}"
    top = narrow.loc[narrow.share.idxmax()]
    base = shares[(shares.surface == "narrow") & (shares.schedule == "start")].iloc[0]
    start = f"{show_share(base.share, 0)} of the starts lie in it already"
    return f"{text}. Narrow global minimum: the best share is {show_share(top.share, 0)} ({start})."
