"""Choose lr_max for every schedule by the same rule: one grid for all, on seeds that the comparison never uses.

A comparison at one common LR mostly shows which schedule that LR happens to suit (Naganuma et al. 2026,
arXiv:2603.10301; Choi et al. 2019, arXiv:1910.05446). So every schedule tries the same LRs equally often and keeps the
one with the best validation accuracy, or by another measure that judges. The grid grows for all while the best LR of
any lies at its edge.
"""

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.grid.study import Study
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.stats.summary import tuning_scores
from lrlab.recipes.kitchen.workloads import Workload

FIRST_SEED = 1_000_000  # far from the seeds that people choose to compare on
SPACING = 10**0.5  # two LRs a decade
MAX_EXTENSIONS = 4  # LRs added at each end of the grid, before a best LR at its edge is accepted (and reported)


@dataclass(frozen=True)
class Tuning:
    "How lr_max is chosen: `points` LRs at first, each trained from `n_seeds` seeds."

    points: int = 5
    n_seeds: int = 2

    @property
    def seeds(self) -> range:
        return range(FIRST_SEED, FIRST_SEED + self.n_seeds)

    def to_dict(self) -> dict:
        return asdict(self)


def tune_schedules(
    study: Study,
    schedules: dict[int, dict],
    tuning: Tuning,
    centre: LearningRate,
    image_set: ImageSet | None = None,
    measure: Measure = Measure(),  # noqa: B008  (frozen)
    workload: Workload | None = None,
) -> dict[int, dict[str, LearningRate]]:
    "The best lr_max of every budget and schedule. The manifest gets what was tried and chosen."
    first = grid = first_grid(tuning.points)
    options: dict[str, Any] = {"workload": workload, "image_set": image_set, "is_planned": False}
    while True:
        runs = trials(schedules, centre, grid, tuning.seeds)
        study.store.update(tuning_plan=[run.run_id for run in runs])
        study.train(runs, f"runs to tune lr_max over {len(grid)} values", **options)
        scores = tuning_scores(study.store.tables("tuning_plan")[0], measure)
        best = best_positions(scores, centre, grid, measure)
        larger = wider(grid, best, first)
        if larger == grid:
            break
        grid = larger
    chosen = {n: {label: lr_at(centre, best[n, label]) for label in own} for n, own in schedules.items()}
    study.store.update(
        tuned={
            "grid": [str(lr_at(centre, position)) for position in grid],
            "added": len(grid) - len(first),
            "seeds": list(tuning.seeds),
            "chosen": {str(n): {label: str(lr) for label, lr in own.items()} for n, own in chosen.items()},
            "at_edge": [f"{label} ({n} epochs)" for (n, label), at in best.items() if at in (min(grid), max(grid))],
        }
    )
    return chosen


def first_grid(points: int) -> list[int]:
    "Positions on the LR axis, in units of SPACING around the centre: 5 -> -2, -1, 0, 1, 2."
    return list(range(-(points // 2), points - points // 2))


def lr_at(centre: LearningRate, position: int) -> LearningRate:
    "The LR at a position of the grid, to two digits. Both ends of a slice move together."
    return centre.scaled(SPACING**position)


def trials(schedules: dict[int, dict], centre: LearningRate, grid: list[int], seeds) -> list[Run]:
    "Every schedule of every budget at every LR of the grid, from every tuning seed."
    return [
        Run(label, schedule, lr_at(centre, position), seed, budget, kind="tune")
        for seed in seeds
        for budget, own in schedules.items()
        for position in grid
        for label, schedule in own.items()
    ]


def best_positions(
    table: pd.DataFrame,
    centre: LearningRate,
    grid: list[int],
    measure: Measure = Measure(),  # noqa: B008  (frozen)
) -> dict[tuple[int, str], int]:
    """The grid position of the best LR of every budget and schedule: best score, then lowest loss.

    It is the lowest position where no LR finished on all seeds: a schedule that diverges everywhere needs less.
    """
    position_of = {lr_at(centre, position): position for position in grid}
    best = {}
    for key, own in table.groupby(["budget", "schedule"], sort=False):
        finished = own.dropna(subset="score").astype({"score": float, "valid_loss": float})
        ascending = [measure.lower_is_better, True]
        ranked = finished.sort_values(["score", "valid_loss"], ascending=ascending, kind="stable")
        best[key] = position_of[LearningRate.parse(ranked.lr_max.iloc[0])] if len(ranked) else min(grid)
    return best


def wider(grid: list[int], best: dict[tuple[int, str], int], first: list[int]) -> list[int]:
    "The grid with one more LR at every end where a best one lies, up to MAX_EXTENSIONS at each end."
    low = min(grid) in best.values() and min(grid) > min(first) - MAX_EXTENSIONS
    high = max(grid) in best.values() and max(grid) < max(first) + MAX_EXTENSIONS
    return [*([min(grid) - 1] if low else []), *grid, *([max(grid) + 1] if high else [])]
