"""Intervals over the folds of a cross-validation and over random splits: how often do they miss the truth?

    python tests/benchmarks/folds_simulation.py      # writes results/reference/bank/folds.csv

Two ridge classifiers look at different halves of the features of the same items. By symmetry none is better on new
items. An interval of the paired difference over the seeds should exclude zero in 5 % of the data sets. The classifiers
have no noise of their own; that of real training comes on top, is independent, and makes both kinds more honest.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.data.image_set import fold_split, stratified_split
from lrlab.recipes.kitchen.stats.intervals import difference_interval

TARGET = Path("results/reference/bank")
DATA_SETS, FEATURES, SHIFT = 1000, 10, 0.8


def accuracy(x: np.ndarray, y: np.ndarray, split: dict[str, np.ndarray]) -> float:
    "Of a ridge classifier on the validation items. `y` is 0 or 1."
    x = np.c_[x, np.ones(len(x))]
    train, valid = split["train"], split["valid"]
    weights = np.linalg.solve(x[train].T @ x[train] + np.eye(x.shape[1]), x[train].T @ (2 * y[train] - 1))
    return float(((x[valid] @ weights > 0) == y[valid]).mean())


def misses(rng: np.random.Generator, items: int, folds: int) -> tuple[bool, bool]:
    "Whether the interval over `folds` seeds excludes zero: of a cross-validation, and of random splits."
    y = rng.integers(0, 2, items)
    halves = rng.standard_normal((2, items, FEATURES))
    halves[:, :, 0] += SHIFT * (2 * y - 1)
    found = []
    for split_of in (lambda seed: fold_split(y, folds, seed), lambda seed: stratified_split(y, 1 / folds, seed)):
        splits = map(split_of, range(folds))
        differences = [accuracy(halves[0], y, split) - accuracy(halves[1], y, split) for split in splits]
        _, low, high = difference_interval(differences)
        found.append(bool(low > 0 or high < 0))
    return found[0], found[1]


def main() -> None:
    rng, rows = np.random.default_rng(0), []
    for items in (60, 120, 300):
        for folds in (3, 5, 10):
            shares = np.mean([misses(rng, items, folds) for _ in range(DATA_SETS)], axis=0)
            rows.append({"items": items, "folds": folds, "cross-validation": shares[0], "random splits": shares[1]})
            print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(TARGET / "folds.csv", index=False)


if __name__ == "__main__":
    main()
