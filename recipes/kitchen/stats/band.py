"""Which peak LRs cost less than a tolerance? The safe band of a schedule, from runs over a grid of LRs.

The shortfall of an LR is what it misses against the schedule's best LR of the grid: the mean difference over their
common seeds, paired by seed. Student's t gives two bounds, each of which holds at 95 %. Every LR gets one word:

- `best`: the best mean.
- `safe`: the upper bound of its shortfall is below the tolerance.
- `costly`: the lower bound is above the tolerance, or the LR diverged on a seed that the best one finished.
- `open`: neither. More seeds can decide it. Fewer than three common seeds decide nothing.

Each word is wrong for at most 5 % of the LRs, were the best LR known. Its mean is too good by chance, so `safe` is
wrong less often, and `costly` a little more often. The safe band is the best LR with the safe ones next to it, without
a gap.

LR sensitivity (Wortsman et al. 2023, arXiv:2309.14322) is one number for the whole grid: the mean over its LRs of
min(loss, initial loss) - best loss, where the best loss is that of the LR with the lowest mean. A diverged run counts
with the initial loss.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.stats.best import FEWEST_SEEDS
from lrlab.recipes.kitchen.stats.decide import diverged_alone, recommend, resolution
from lrlab.recipes.kitchen.stats.intervals import LEVEL
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.stats.run_table import by_seed, check_options

COLUMNS = "schedule lr_max lr n diverged mean shortfall low high verdict".split()
INSIDE = ("best", "safe")


def judge_lrs(
    runs: pd.DataFrame,
    judge: str = "accuracy",
    tolerance: float | None = None,
    level: float = LEVEL,
    looks: int = 1,
) -> pd.DataFrame:
    """One row per schedule and LR, the lowest LR first: COLUMNS. `lr` is the peak LR of the last layer group.

    `runs` has the columns `schedule`, `lr_max`, `seed`, `status` and the judged measure; the rest is as `decide` takes
    it. A shortfall is positive where the LR is worse, also for a loss. `low` and `high` are its bounds.

    >>> runs = pd.DataFrame({
    ...     "schedule": "linear", "lr_max": ["1e-3"] * 3 + ["1e-2"] * 3 + ["1e-1"] * 3, "seed": [0, 1, 2] * 3,
    ...     "status": "ok", "accuracy": [0.90, 0.91, 0.92, 0.902, 0.913, 0.922, 0.7, 0.72, 0.71]})
    >>> judge_lrs(runs)[["lr_max", "shortfall", "verdict"]].round(3).values.tolist()
    [['1e-3', 0.002, 'safe'], ['1e-2', 0.0, 'best'], ['1e-1', 0.202, 'costly']]
    """
    check_options(tolerance, level, looks)
    tables = [_judge_schedule(own, judge, tolerance, level, looks) for _, own in runs.groupby("schedule", sort=False)]
    return pd.concat(tables, ignore_index=True)


def _judge_schedule(runs: pd.DataFrame, judge: str, tolerance: float | None, level: float, looks: int) -> pd.DataFrame:
    measure = Measure.of(judge)
    sign = -1 if measure.lower_is_better else 1
    values, diverged, planned = by_seed(runs.assign(schedule=runs.lr_max), measure.name)
    lrs, table = list(values.index), sign * values.to_numpy()  # higher is better
    count = np.isfinite(table).sum(axis=1)
    frame = pd.DataFrame(
        {
            "schedule": runs.schedule.iloc[0],
            "lr_max": lrs,
            "lr": [LearningRate.parse(lr).peak for lr in lrs],
            "n": count,
            "diverged": diverged.sum(axis=1),
            "mean": [values.loc[lr].mean() for lr in lrs],
        }
    )
    best, _ = recommend(table, diverged, planned)
    if best is None:
        frame[["shortfall", "low", "high"]] = np.nan
        return frame.assign(verdict="open").sort_values("lr", kind="stable")[COLUMNS]
    margin = measure.margin(tolerance, np.nanmean(table[best]))
    least = resolution(table) / 2
    bounds = [_shortfall(table[best] - row, least, 1 - (1 - level) / looks) for row in table]
    bounds[best] = 0.0, 0.0, 0.0
    most = (np.nanmean(table[best]) if sign > 0 else 1.0) if measure.is_share else np.inf  # all that can be missed
    frame[["shortfall", "low", "high"]] = np.clip(bounds, -1.0 if measure.is_share else -np.inf, most)
    behind = diverged_alone(table, diverged, best)
    frame["verdict"] = np.select(
        [np.arange(len(lrs)) == best, behind | (frame.low > margin), frame.high < margin],
        ["best", "costly", "safe"],
        "open",
    )
    return frame.sort_values("lr", kind="stable")[COLUMNS]


def _shortfall(differences: np.ndarray, least_deviation: float, level: float) -> tuple[float, float, float]:
    "Mean and one-sided bounds. A spread below the resolution of the measure is no evidence of precision."
    differences = differences[np.isfinite(differences)]
    n = len(differences)
    if n < FEWEST_SEEDS:
        return differences.mean() if n else np.nan, np.nan, np.nan
    deviation = max(differences.std(ddof=1), least_deviation)
    half = stats.t.ppf(level, n - 1) * deviation / n**0.5
    return differences.mean(), differences.mean() - half, differences.mean() + half


def band(table: pd.DataFrame, words: Sequence[str] = INSIDE) -> tuple[float, float] | None:
    """The lowest and the highest LR of the band of one schedule, from its rows of `judge_lrs`; None without a best LR.

    With `open` among the `words` it is what the band can be at most.
    """
    rows = table.sort_values("lr", ignore_index=True)
    best = rows.index[rows.verdict == "best"]
    if best.empty:
        return None
    is_inside = rows.verdict.isin(words).to_numpy()
    first = last = int(best[0])
    while first > 0 and is_inside[first - 1]:
        first -= 1
    while last + 1 < len(rows) and is_inside[last + 1]:
        last += 1
    return float(rows.lr[first]), float(rows.lr[last])


def sensitivity(runs: pd.DataFrame, initial_loss: float) -> pd.DataFrame:
    """LR sensitivity [seed, schedule], from the validation losses of `runs`, which are capped at `initial_loss`.

    A seed on which a run of a schedule failed says nothing about that schedule (nan).
    """
    losses = pd.to_numeric(runs.valid_loss).where(runs.status == "ok", initial_loss)
    losses = losses.fillna(initial_loss).clip(upper=initial_loss).mask(runs.status == "failed")
    table = runs.assign(loss=losses).pivot(index="seed", columns=["schedule", "lr_max"], values="loss")
    found = {}
    for schedule in runs.schedule.unique():
        own = table[schedule]
        means = own.mean()
        found[schedule] = own.mean(axis=1, skipna=False) - own[means.idxmin()] if means.notna().any() else np.nan
    return pd.DataFrame(found, index=table.index)
