"""The LR of every schedule by the same rule: one grid of lr_max for all, tried on seeds that the comparison never uses.

Comparing schedules at one common LR mostly tells for which of them that LR happens to be right (Naganuma et al. 2026,
arXiv:2603.10301; Choi et al. 2019, arXiv:1910.05446). So every schedule tries the same LRs equally often, chooses by
validation accuracy, and the grid grows for all of them as long as the best LR of any lies at its edge.
"""

from dataclasses import asdict, dataclass

import pandas as pd

from lrlab.recipes.kitchen.options import LR, show_lr
from lrlab.recipes.kitchen.runs.plan import Run

FIRST_SEED = 1_000_000  # far from the seeds that people choose to compare on
SPACING = 10**0.5  # two LRs a decade
MOST_WIDER = 4  # more LRs at each end of the grid, before a best LR at its edge is accepted (and reported)


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


def first_grid(points: int) -> list[int]:
    "Positions on the LR axis, in units of SPACING around the centre: 5 -> -2, -1, 0, 1, 2."
    return list(range(-(points // 2), points - points // 2))


def lr_at(centre: LR, position: int) -> LR:
    "The LR at a position of the grid, to two digits; both ends of a slice move together."
    if isinstance(centre, slice):
        return slice(*(None if lr is None else lr_at(lr, position) for lr in (centre.start, centre.stop)))
    return float(f"{centre * SPACING**position:.1e}")


def trials(schedules: dict[int, dict], centre: LR, grid: list[int], seeds) -> list[Run]:
    "Every schedule of every budget at every LR of the grid, from every tuning seed."
    return [
        Run(label, shape, lr_at(centre, position), seed, budget, kind="tune")
        for seed in seeds
        for budget, shapes in schedules.items()
        for position in grid
        for label, shape in shapes.items()
    ]


def best_positions(table: pd.DataFrame, centre: LR, grid: list[int]) -> dict[tuple[int, str], int]:
    """The grid position of every budget's and schedule's best LR: highest accuracy, then lowest loss.

    Where no LR finished on all seeds, the lowest: what diverges everywhere needs less.
    """
    position_of = {show_lr(lr_at(centre, position)): position for position in grid}
    best = {}
    for key, own in table.groupby(["budget", "schedule"], sort=False):
        finished = own.dropna(subset="accuracy").astype({"accuracy": float, "valid_loss": float})
        ranked = finished.sort_values(["accuracy", "valid_loss"], ascending=[False, True], kind="stable")
        best[key] = position_of[ranked.lr_max.iloc[0]] if len(ranked) else min(grid)
    return best


def wider(grid: list[int], best: dict[tuple[int, str], int], first: list[int]) -> list[int]:
    "The grid with one more LR at every end where a best one lies; the same grid if there is none, or no room left."
    low = min(grid) in best.values() and min(grid) > min(first) - MOST_WIDER
    high = max(grid) in best.values() and max(grid) < max(first) + MOST_WIDER
    return [*([min(grid) - 1] if low else []), *grid, *([max(grid) + 1] if high else [])]
