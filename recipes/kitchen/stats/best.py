"""Multiple comparison with the best (Hsu 1984), paired by seed, when every pair of arms has its own variance.

An arm was recommended for its highest mean. Two questions are asked of every other arm, at any margin: Can it be the
best arm and better than the recommended one by more than the margin? Can it be worse by more than the margin? Both are
answered by rotation tests.

Hsu, J. C. (1984). Constrained simultaneous confidence intervals for multiple comparisons with the best. Annals of
Statistics 12, 1136-1144.
"""

from collections.abc import Callable, Sequence

import numpy as np

from lrlab.recipes.kitchen.stats.intervals import FEWEST_SEEDS
from lrlab.recipes.kitchen.stats.rotation import ROTATIONS, Rotations

HALVINGS = 14  # the end of an interval is found to 1/16,000 of the step it was searched in
MOST_DOUBLINGS = 40


class AgainstBest:
    """The row `arm` of `values` [arms, seeds] against the recommended row `best`.

    Higher is better, nan is missing. `rivals` are the rows that could have been recommended, `best` included. `others`
    are the rows that are compared with `best`, `arm` included. Only seeds count that both arms finished. If a third arm
    misses one of them, its mean difference stands in.
    """

    def __init__(
        self,
        values: np.ndarray,
        arm: int,
        best: int,
        rivals: Sequence[int],
        others: Sequence[int],
        least_deviation: float = 0.0,
        count: int = ROTATIONS,
    ):
        on_both = values[:, np.isfinite(values[arm]) & np.isfinite(values[best])]
        self.differences = on_both[arm] - on_both[best]
        self.n = len(self.differences)
        if not self.is_known:
            return
        has_values = np.isfinite(on_both).any(1)
        rivals = [row for row in rivals if row != arm and has_values[row]]
        others = [row for row in others if row != best and has_values[row]]
        self._best, self._arm = rivals.index(best), others.index(arm)
        self._over_arm = Rotations(_filled(on_both[rivals] - on_both[arm]).T, least_deviation, count)
        self._over_best = Rotations(_filled(on_both[others] - on_both[best]).T, least_deviation, count)

    @property
    def is_known(self) -> bool:
        "Whether there are enough common seeds to say anything."
        return self.n >= FEWEST_SEEDS

    def p_better(self, margin: float) -> float:
        "P-value of: the arm is the best one, and better than the recommended one by more than `margin`."
        return self._over_arm.p_of_selected(self._best, margin)

    def p_worse(self, margin: float) -> float:
        "P-value of: the arm is worse than the recommended one by more than `margin`; for all arms together."
        return self._over_best.p_of_each(self._arm, margin)

    def high(self, near: float, alpha: float) -> float:
        "How much better than the recommended arm this arm can be, if it is the best. The search starts at `near`."
        return smallest(lambda margin: self.p_better(margin) <= alpha, near, self._step)

    def low(self, near: float, alpha: float) -> float:
        "The lowest difference to the recommended arm, for all arms together. The search starts at minus `near`."
        return -smallest(lambda margin: self.p_worse(margin) <= alpha, near, self._step)

    @property
    def _step(self) -> float:
        return max(self.differences.std(ddof=1), abs(self.differences.mean()), np.finfo(float).eps)


def smallest(is_rejected: Callable[[float], bool], near: float, step: float) -> float:
    "The smallest margin that is rejected, found from `near` on by doubling steps and halving; inf if there is none."
    sign = -1 if is_rejected(near) else 1
    inner = near
    for doubling in range(MOST_DOUBLINGS):
        outer = near + sign * step * 2**doubling
        if is_rejected(outer) != (sign < 0):
            break
        inner = outer
    else:
        return sign * np.inf
    rejected, kept = (inner, outer) if sign < 0 else (outer, inner)
    for _ in range(HALVINGS):
        middle = (rejected + kept) / 2
        rejected, kept = (middle, kept) if is_rejected(middle) else (rejected, middle)
    return rejected


def holm_rejects(p_values: np.ndarray, alpha: float, tests: int) -> np.ndarray:
    "Which of the p-values Holm's (1979) procedure rejects among `tests` of them."
    order = np.argsort(p_values, kind="stable")
    passes = p_values[order] <= alpha / (tests - np.arange(len(p_values)))
    rejects = np.zeros(len(p_values), bool)
    rejects[order] = np.logical_and.accumulate(passes)
    return rejects


def _filled(differences: np.ndarray) -> np.ndarray:
    "[arms, seeds] with the arm's mean where a seed is missing."
    if np.isfinite(differences).all():
        return differences
    return np.where(np.isfinite(differences), differences, np.nanmean(differences, axis=1, keepdims=True))
