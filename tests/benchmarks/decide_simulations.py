"""How often is a word of `decide` wrong? 2,000 simulated comparisons of eight schedules in every world.

    python tests/benchmarks/decide_simulations.py       # continues results/reference/bank/simulations.csv

The worlds are the least favourable ones that we know: all schedules equal, half of them worse by just more than the
tolerance, one better by just more than the tolerance, and each of them with equal and with very different noise.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.stats.decide import judge_arms, recommend

TARGET = Path("results/reference/bank/simulations.csv")
COMPARISONS, ROTATIONS, ARMS = 2000, 1000, 8
ALPHA, TOLERANCE, JUST = 0.05, 0.01, 0.01001
World = tuple[np.ndarray, Callable]  # the true means [arms], and a function (rng, n) -> values [arms, n]


def normal(means, deviations, of_seed: float = 0.02) -> World:
    "Independent normal noise of every arm, and one value for every seed that all arms share."
    means, deviations = np.broadcast_to(means, ARMS).astype(float), np.broadcast_to(deviations, ARMS)
    return (
        means,
        lambda rng, n: means[:, None] + rng.normal(0, of_seed, n) + rng.normal(size=(ARMS, n)) * deviations[:, None],
    )


def families(means, deviation: float, own: float) -> World:
    "Two families of four arms that share most of their noise: a hot ending and a cold one."
    means = np.broadcast_to(means, ARMS).astype(float)

    def draw(rng, n):
        shared = np.repeat(rng.normal(0, 1, (2, n)) * [[deviation], [3 * deviation]], 4, axis=0)
        return means[:, None] + shared + rng.normal(0, own, (ARMS, n))

    return means, draw


def accuracies(means, images: int) -> World:
    "Accuracies on so few images that they take a handful of values."
    means = np.broadcast_to(means, ARMS).astype(float)
    return means, lambda rng, n: rng.binomial(images, means[:, None], (ARMS, n)) / images


def unstable(means, deviation: float) -> World:
    "Half of the arms lose ten points in one run of ten."
    means = np.broadcast_to(means, ARMS).astype(float)

    def draw(rng, n):
        collapses = (rng.random((ARMS, n)) < 0.1) * np.repeat([0.0, 0.1], 4)[:, None]
        return means[:, None] - collapses + rng.normal(0, deviation, (ARMS, n))

    return means - np.repeat([0.0, 0.01], 4), draw


HALF, ONE, NONE = np.repeat([0.0, -JUST], 4), np.r_[0, np.full(7, -JUST)], np.zeros(ARMS)
LADDER = np.array([0, 0, -0.003, -0.008, -0.012, -0.02, -0.05, -0.2])
UNEQUAL = np.array([0.1, 0.2, 0.5, 1, 1, 2, 5, 10])
WORLDS: dict[str, World] = {
    "all equal": normal(0.0, 0.01),
    "all equal, unequal noise": normal(0.0, 0.01 * UNEQUAL),
    "all equal, two families": families(0.0, 0.01, 0.002),
    "half worse": normal(HALF, 0.01),
    "half worse, quiet best": normal(HALF, np.repeat([0.002, 0.02], 4)),
    "half worse, loud best": normal(HALF, np.repeat([0.02, 0.002], 4)),
    "one better": normal(ONE, 0.015),
    "one better, and quiet": normal(ONE, np.r_[0.0001, np.full(7, 0.015)]),
    "one better, and loud": normal(ONE, np.r_[0.03, np.full(7, 0.003)]),
    "one better, little noise": normal(ONE, 0.001),
    "ladder": normal(LADDER, 0.01),
    "ladder, unequal noise": normal(LADDER, 0.004 * UNEQUAL[::-1]),
    "ladder, two families": families(LADDER, 0.01, 0.002),
    "30 images": accuracies(0.9, 30),
    "30 images, half worse": accuracies(0.9 + 4 * HALF, 30),
    "450 images, few errors": accuracies(0.99, 450),
    "450 images, half worse": accuracies(0.99 + HALF, 450),
    "half unstable": unstable(NONE, 0.003),
}


def judge_comparison(values: np.ndarray, means: np.ndarray, alpha: float, tolerance: float = TOLERANCE) -> dict:
    "What `decide` says of one comparison, and whether it is wrong."
    planned = np.isfinite(values).sum(axis=1)
    none = np.zeros(values.shape, bool)
    best, rivals = recommend(values, none, planned)
    words, is_behind, pairs = judge_arms(values, best, rivals, none.any(1), tolerance, alpha, ROTATIONS)
    words, gaps, missed = np.array(words), means - means[best], means.max() - means[best]
    is_open, truly_best = words == "open", int(means.argmax())
    decided = [pair for arm, pair in pairs.items() if not is_open[arm]]
    is_kept = truly_best == best or is_open[truly_best]
    return {
        "decided": 7 - is_open.sum(),
        "behind": (words == "behind").sum(),
        "as good": (words == "as good").sum(),
        "false behind": (is_behind & (gaps >= 0)).any(),
        "best called behind": (is_behind & (means == means.max())).any(),
        "false as good": ((words == "as good") & (abs(gaps) > tolerance)).any(),
        "missed more than the tolerance": not is_kept and missed > tolerance,
        "guarantee broken": not is_kept and missed > 0 and all(pair.p_better(missed) <= alpha for pair in decided),
        "any false no better": (~is_open & (gaps > tolerance)).any(),
        "open": is_open,
        "is behind": is_behind,
        "best": best,
    }


def two_stages(values: np.ndarray, means: np.ndarray, first: int, tolerance: float = TOLERANCE) -> dict:
    "All arms get the `first` seeds; the open arms and the recommended one get all."
    early = judge_comparison(values[:, :first], means, ALPHA / 2, tolerance)
    if not early["open"].any():
        return early | {"runs": ARMS * first}
    stays = early["open"].copy()
    stays[early["best"]] = True
    values = values.copy()
    values[~stays, first:] = np.nan
    return judge_comparison(values, means, ALPHA / 2, tolerance) | {"runs": int(np.isfinite(values).sum())}


def simulate(world: World, n: int, first: int | None, comparisons: int, seed: int = 0) -> dict:
    "Means over the comparisons: how much is decided, and the share of comparisons with an error of each kind."
    means, draw = world
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(comparisons):
        values = draw(rng, n)
        rows.append(two_stages(values, means, first) if first else judge_comparison(values, means, ALPHA))
    return pd.DataFrame(rows).drop(columns=["open", "is behind", "best"]).astype(float).mean().to_dict()


def main() -> None:
    "Simulate the worlds that the table does not hold yet."
    table = pd.read_csv(TARGET) if TARGET.exists() else pd.DataFrame({"world": []})
    for name in [name for name in WORLDS if name not in set(table.world)]:
        rows = []
        for n, first in ((3, None), (5, None), (8, None), (8, 3)):
            design = f"{first}, then {n}" if first else str(n)
            rows.append({"world": name, "seeds": design, **simulate(WORLDS[name], n, first, COMPARISONS)})
        print(pd.DataFrame(rows).to_string(index=False, float_format="%.3f"), flush=True)
        table = pd.concat([table, pd.DataFrame(rows).round(4)], ignore_index=True)
        table.to_csv(TARGET, index=False)


if __name__ == "__main__":
    main()
