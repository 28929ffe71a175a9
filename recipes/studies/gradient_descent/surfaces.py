"""Functions of two variables to go down on: a bowl, a narrow valley, and two surfaces with several minima.

A point is an array [..., 2]; `value` gives [...], `gradient` gives [..., 2], both exact.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Quadratic:
    """½ Σ curvatureᵢ xᵢ²: descent with a constant LR converges if and only if LR < 2 / the largest curvature.

    >>> valley = Quadratic((1.0, 20.0))
    >>> float(valley.value(np.array([3.0, 1.0]))), valley.gradient(np.array([3.0, 1.0])), valley.limit
    (14.5, array([ 3., 20.]), 0.1)
    """

    curvatures: tuple[float, float]

    def value(self, points: np.ndarray) -> np.ndarray:
        return (np.array(self.curvatures) * points**2).sum(-1) / 2

    def gradient(self, points: np.ndarray) -> np.ndarray:
        return np.array(self.curvatures) * points

    @property
    def limit(self) -> float:
        "The LR from which descent diverges."
        return 2 / max(self.curvatures)


@dataclass(frozen=True)
class Wells:
    "A wide bowl with Gaussian wells: slope/2 |x|² - Σ depthᵢ exp(-|x - centreᵢ|² / 2 widthᵢ²)."

    centres: tuple[tuple[float, float], ...]
    depths: tuple[float, ...]
    widths: tuple[float, ...]
    slope: float = 0.15

    def value(self, points: np.ndarray) -> np.ndarray:
        wells, _ = self._wells(points)
        return self.slope / 2 * (points**2).sum(-1) - wells.sum(-1)

    def gradient(self, points: np.ndarray) -> np.ndarray:
        wells, offsets = self._wells(points)
        pull = wells / np.square(self.widths)
        return self.slope * points + np.einsum("...w,...wd->...d", pull, offsets)

    def _wells(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        offsets = points[..., None, :] - np.array(self.centres)
        return np.array(self.depths) * np.exp(-(offsets**2).sum(-1) / (2 * np.square(self.widths))), offsets

    @cached_property
    def minima(self) -> np.ndarray:
        "The bottom of every well, [wells, 2]."
        return self.settle(np.array(self.centres, float), steps=2000)

    @cached_property
    def lowest(self) -> int:
        "Which well holds the global minimum."
        return int(np.argmin(self.value(self.minima)))

    def settle(self, points: np.ndarray, steps: int = 400, lr: float = 0.03) -> np.ndarray:
        "Where noise-free descent in small steps leads from `points`."
        for _ in range(steps):
            points = points - lr * self.gradient(points)
        return points

    def in_lowest(self, points: np.ndarray) -> np.ndarray:
        "Whether small noise-free steps from each point lead to the global minimum; a point far outside never does."
        near = np.isfinite(points).all(-1) & (np.abs(points) < 10).all(-1)
        settled = self.settle(np.where(near[..., None], points, 10.0))
        nearest = ((settled[..., None, :] - self.minima) ** 2).sum(-1).argmin(-1)
        return near & (nearest == self.lowest)


BOWL = Quadratic((1.0, 1.0))
VALLEY = Quadratic((1.0, 20.0))

_CENTRES = ((0.0, 2.2), (-2.2, 0.6), (2.2, 0.6), (-1.4, -2.0), (1.4, -2.0))  # a regular pentagon, roughly
SURFACES = {
    "wide": Wells(_CENTRES, depths=(2.0, 1.5, 1.5, 1.5, 1.5), widths=(0.9, 0.45, 0.45, 0.45, 0.45)),
    "narrow": Wells(_CENTRES, depths=(2.6, 1.5, 1.5, 1.5, 1.5), widths=(0.35, 0.7, 0.7, 0.7, 0.7)),
}
"The global minimum is the wide well among narrow ones (what the tutorial assumes), or the narrow one among wide ones."
