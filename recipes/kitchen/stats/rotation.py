"""Rotation tests: exact tests of several arms at once, however different and however correlated their noise is.

The differences between arms on n seeds form a matrix with one row per seed. If every column has mean zero and the
noise is normal, a random rotation of the rows has the same distribution as the matrix (Wedderburn 1975; Langsrud 2005).
So any statistic is compared with its values on rotated matrices. For one column this is Student's t test. For several
columns the test knows their correlation; a Bonferroni correction assumes the worst.

Langsrud, O. (2005). Rotation tests. Statistics and Computing 15, 53-60.
"""

from functools import cache

import numpy as np

ROTATIONS = 4000


@cache
def directions(n: int, count: int = ROTATIONS) -> np.ndarray:
    "Where rotations take the direction of the mean: random unit vectors [count, n], the same in every process."
    half = np.random.default_rng(n).standard_normal((count // 2, n))
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    return np.concatenate([half, -half])


class Rotations:
    """The rotations of `differences` [n seeds, columns].

    `least_deviation` is the smallest standard deviation that is believed: a measure that moves in steps can show less
    by chance. The observed t values use it, the rotated ones do not, so the p-values only grow.
    """

    def __init__(self, differences: np.ndarray, least_deviation: float = 0.0, count: int = ROTATIONS):
        self.n = len(differences)
        self.mean, self.variance = differences.mean(0), differences.var(0, ddof=1)
        self.least_deviation = least_deviation
        toward = directions(self.n, count)
        self._length = toward.sum(1)[:, None]  # the share of a constant column that lies in each direction
        self._rotated = toward @ differences  # [count, columns]: sqrt(n) times the rotated means

    def p_of_selected(self, column: int, margin: float = 0.0) -> float:
        """One-sided p-value of the t value of a column that was selected for its highest mean.

        `margin` is added to all differences. The null hypothesis is that no mean, with the margin, is above zero.
        """
        means, t = self._t_values(margin)
        of_highest = np.take_along_axis(t, means.argmax(1)[:, None], 1)[:, 0]
        return _share(of_highest >= self._observed(margin)[column])

    def p_of_each(self, column: int, margin: float = 0.0) -> float:
        "One-sided p-value of the t value of one column, corrected for testing all columns (single-step max t)."
        return _share(self._t_values(margin)[1].max(1) >= self._observed(margin)[column])

    def _observed(self, margin: float) -> np.ndarray:
        deviation = np.maximum(np.sqrt(self.variance), self.least_deviation)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (self.mean + margin) * np.sqrt(self.n) / deviation * (1 - 1e-9)  # equal in spite of rounding

    def _t_values(self, margin: float) -> tuple[np.ndarray, np.ndarray]:
        means = self._rotated + margin * self._length
        squares = (self.n - 1) * self.variance + self.n * (self.mean + margin) ** 2  # no rotation changes them
        rest = np.sqrt(np.maximum(squares - means**2, np.finfo(float).eps * squares))
        return means, np.divide(means * np.sqrt(self.n - 1), rest, out=np.zeros_like(means), where=rest > 0)


def _share(is_extreme: np.ndarray) -> float:
    "A Monte Carlo p-value, which counts the observed value too and is never zero (Phipson and Smyth 2010)."
    return float((1 + is_extreme.sum()) / (1 + len(is_extreme)))
