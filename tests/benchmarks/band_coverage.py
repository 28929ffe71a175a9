"""Does the safe band of a few seeds hold for fresh ones? Resamples of many seeds, split into the band's and fresh ones.

    lrlab lr-band --seeds 12 --out results/small             # about 8 minutes of a core
    lrlab lr-band --seeds 20 --learner tests/benchmarks/digits_mlp.py:make_learner --out results/mlp
    python tests/benchmarks/band_coverage.py results/small results/mlp

The last writes results/reference/bank/band.csv.gz (all runs) and band_coverage.csv.

The rule, fixed before the runs: every resample takes 3, 5 or 8 seeds without replacement for the band. The others are
fresh. The LR with the best mean over the fresh seeds should lie in the safe band: in at least 90 % of the bands of 5
seeds (the default), all schedules together. A word is wrong if the mean over the fresh seeds contradicts it: a safe LR
misses more than the tolerance there, a costly one less. At most 5 % of the words should be wrong. Resamples share
seeds, so they are no independent experiments.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.stats.band import INSIDE, band, judge_lrs, sensitivity
from lrlab.recipes.kitchen.stats.intervals import difference_interval
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.store.manifest import Manifest

TARGET = Path("results/reference/bank")
COLUMNS = "schedule lr_max seed status accuracy valid_loss".split()
RESAMPLES = 300


def truth(runs: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    "The mean shortfall of every LR of one schedule; that of an LR that diverged on a seed is infinite."
    sign = -1 if measure.lower_is_better else 1
    by_lr = runs.groupby("lr_max")
    means = sign * by_lr[measure.column()].mean().where(by_lr.status.agg(lambda s: (s == "ok").all()))
    margin = measure.margin(None, means.max())
    return pd.DataFrame({"missed": (means.max() - means).fillna(np.inf), "margin": margin})


def replay(runs: pd.DataFrame, judge: str, n: int) -> pd.DataFrame:
    "One row for every resample and schedule."
    measure, seeds, rng, rows = Measure.of(judge), runs.seed.unique(), np.random.default_rng(0), []
    runs = runs.assign(loss=runs.valid_loss)
    for _ in range(RESAMPLES):
        is_own = runs.seed.isin(rng.choice(seeds, n, replace=False))
        for schedule, table in judge_lrs(runs[is_own], judge).groupby("schedule"):
            fresh = truth(runs[~is_own & (runs.schedule == schedule)], measure).loc[table.lr_max]
            best = table.lr[fresh.missed.to_numpy().argmin() + table.index[0]]
            (low, high), (least, most) = band(table), band(table, [*INSIDE, "open"])
            is_safe, is_costly = (table.verdict == "safe").to_numpy(), (table.verdict == "costly").to_numpy()
            rows.append(
                {
                    "judge": judge,
                    "seeds": n,
                    "schedule": schedule,
                    "covered": low <= best <= high,
                    "covered with open LRs": least <= best <= most,
                    "times": high / low,
                    "open": (table.verdict == "open").sum(),
                    "safe": is_safe.sum(),
                    "safe, wrong": (is_safe & (fresh.missed > fresh.margin).to_numpy()).sum(),
                    "costly": is_costly.sum(),
                    "costly, wrong": (is_costly & (fresh.missed < fresh.margin).to_numpy()).sum(),
                }
            )
    return pd.DataFrame(rows)


def measure_folder(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    "The runs of a folder, and the means over its resamples: for every schedule, and for all of them."
    runs = pd.read_csv(folder / "runs.csv", dtype={"lr_max": str})[COLUMNS]
    rows = pd.concat([replay(runs, judge, n) for judge in ("accuracy", "-loss") for n in (3, 5, 8)])
    each = rows.groupby(["judge", "seeds", "schedule"], sort=False).mean().reset_index()
    together = rows.groupby(["judge", "seeds"], sort=False).mean(numeric_only=True).reset_index()
    found = sensitivity(runs, Manifest.read(folder).initial_loss)
    for schedule in found:
        mean, low, high = difference_interval((found.linear - found[schedule]).dropna())
        print(
            f"{folder.name}, {runs.seed.nunique()} seeds: LR sensitivity of {schedule} {found[schedule].mean():.4f}, "
            f"linear's minus it {mean:+.4f} ({low:+.4f} to {high:+.4f})"
        )
    return runs, pd.concat([each, together.assign(schedule="all")])


def main(folders: list[Path]) -> None:
    found = {folder.name: measure_folder(folder) for folder in folders}
    runs, table = (
        pd.concat([tables[i].assign(runs=name) for name, tables in found.items()], ignore_index=True) for i in (0, 1)
    )
    runs.to_csv(TARGET / "band.csv.gz", index=False)
    table.to_csv(TARGET / "band_coverage.csv", index=False)
    print(table[table.schedule == "all"].round(3).to_string(index=False))


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]])
