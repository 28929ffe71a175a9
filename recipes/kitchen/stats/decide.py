"""Which schedule may I use without missing more than a tolerance? The decision that ends a comparison.

The recommended schedule is the one with the best mean. Every schedule gets one word:

- `best`: the recommended schedule.
- `as good`: within the tolerance of the recommended schedule, both ways. In 95 % of comparisons no such word is wrong.
- `behind`: worse than the best schedule beyond chance. In 95 % of comparisons no such word is wrong, also where all
  schedules are equal.
- `no better`: safe to skip. If the truly best schedule is one of those that are not open, it is better than the
  recommended one by at most the tolerance (95 %). A schedule that is no better may be worse.
- `open`: it may be better than the recommended schedule by more than the tolerance. More seeds can decide it.

The tests (best.py) are exact for normal noise, whatever the variances and correlations of the schedules are. They take
into account that the same numbers selected the recommended schedule. `behind` is Holm's (1979) procedure over all
schedules.

A collapse that none of the seeds shows is not covered: three seeds seldom show what happens in one run of ten. The
simulated error rates stand in results/reference/bank/README.md.
"""

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.stats.best import FEWEST_SEEDS, AgainstBest, holm_rejects
from lrlab.recipes.kitchen.stats.intervals import LEVEL, NO_SPREAD, mean_interval
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.stats.rotation import ROTATIONS
from lrlab.recipes.kitchen.stats.run_table import by_seed, check_options
from lrlab.recipes.kitchen.text import listed, plural, show_share

COLUMNS = "schedule n mean low high behind behind_low behind_high verdict".split()


def decide(
    runs: pd.DataFrame,
    judge: str = "accuracy",
    tolerance: float | None = None,
    level: float = LEVEL,
    looks: int = 1,
) -> pd.DataFrame:
    """One row per schedule, the recommended one first: `schedule, n, mean, low, high`, the difference to the
    recommended schedule `behind, behind_low, behind_high`, and the word `verdict`.

    `runs` has the columns `schedule`, `seed`, `status` (ok, diverged, failed) and the judged measure. `judge="-loss"`
    says that a lower `loss` is better. `tolerance` is in units of the measure (default 0.01). Where lower is better it
    is relative to the mean of the recommended schedule (default 0.02), except for an error rate and the like. `looks`
    says how often these runs are judged in all. It is 2 if the open schedules get more seeds after a first look; each
    look spends half of the error rate then.

    `low` and `high` are the t interval of the schedule's mean. `behind` is the mean difference to the recommended
    schedule over the seeds that both finished. The better end of its interval says how much better the schedule can be,
    if it is the best; the worse end says how much worse any schedule can be. The better end is on the worse side of
    zero only for a schedule that is worse beyond chance.

    A schedule that diverged on a seed which the recommended one finished is behind. A failed run says nothing about its
    schedule. Fewer than three common seeds decide nothing. A schedule with fewer runs than another is not recommended:
    an earlier look decided it. A run that is ok but has no finite value counts as failed; where training ended in a
    loss that is not finite, call it diverged. Raises ValueError for a table that cannot be judged: it lacks a column,
    has another status, or holds a schedule and seed twice.

    >>> runs = pd.DataFrame({
    ...     "schedule": ["cosine"] * 3 + ["constant"] * 3, "seed": [0, 1, 2] * 2, "status": "ok",
    ...     "accuracy": [0.90, 0.92, 0.91, 0.80, 0.81, 0.82]})
    >>> decide(runs)[["schedule", "n", "behind", "verdict"]].round(3).values.tolist()
    [['cosine', 3, 0.0, 'best'], ['constant', 3, -0.1, 'behind']]
    """
    measure = Measure.of(judge)
    check_options(tolerance, level, looks)
    sign = -1 if measure.lower_is_better else 1
    values, diverged, planned = by_seed(runs, measure.name)
    names, table = list(values.index), sign * values.to_numpy()  # from here on, higher is better
    best, rivals = recommend(table, diverged, planned)
    if best is None:
        return pd.DataFrame([(name, 0, *[np.nan] * 6, "open") for name in names], columns=COLUMNS)
    margin = measure.margin(tolerance, np.nanmean(table[best]))
    alpha = (1 - level) / looks
    words, is_behind, pairs = judge_arms(table, best, rivals, diverged_alone(table, diverged, best), margin, alpha)

    bottom, top = _limits(table, sign)
    means = [_mean_within(row[np.isfinite(row)], level, bottom, top) for row in table]
    mean, low, high = means[best]
    room = min(bottom - np.fmax(mean, high), -margin), max(top - np.fmin(mean, low), margin)
    gaps = [_gap(pairs.get(arm), is_behind[arm], margin, alpha, room) for arm in range(len(names))]
    gaps[best] = 0.0, 0.0, 0.0
    rows = [
        (name, int(np.isfinite(row).sum()), *_upright(mean, sign), *_upright(gap, sign), word)
        for name, row, mean, gap, word in zip(names, table, means, gaps, words, strict=True)
    ]
    order = sorted(range(len(names)), key=lambda arm: (arm != best, -np.nan_to_num(means[arm][0], nan=-np.inf)))
    return pd.DataFrame([rows[arm] for arm in order], columns=COLUMNS)


def judge_arms(
    values: np.ndarray,
    best: int,
    rivals: list[int],
    lost: np.ndarray,
    margin: float,
    alpha: float,
    count: int = ROTATIONS,
) -> tuple[list[str], np.ndarray, dict[int, AgainstBest]]:
    """The word of every row of `values` [arms, seeds], whether the row is behind, and its tests against the row `best`.

    Higher is better, nan is missing. `rivals` are the rows that could have been recommended; `lost` says which rows are
    behind without a test. A row with fewer than three seeds has no tests.
    """
    tested = [row for row in range(len(values)) if not lost[row] and np.isfinite(values[row]).any()]
    least_deviation = resolution(values) / 2
    pairs = {
        arm: AgainstBest(values, arm, best, rivals, tested, least_deviation, count) for arm in tested if arm != best
    }
    pairs = {arm: pair for arm, pair in pairs.items() if pair.is_known}
    is_behind = lost.copy()
    p_values = np.array([pair.p_better(0.0) for pair in pairs.values()])
    is_behind[list(pairs)] = holm_rejects(p_values, alpha, len(p_values) + 1)
    words = ["behind" if behind else "open" for behind in is_behind]
    for arm, pair in pairs.items():
        is_no_better = pair.p_better(margin) <= alpha
        if is_no_better and pair.p_worse(margin) <= alpha:
            words[arm] = "as good"
        elif is_no_better and not is_behind[arm]:
            words[arm] = "no better"
    words[best] = "best"
    return words, is_behind, pairs


def recommend(values: np.ndarray, diverged: np.ndarray, planned: np.ndarray) -> tuple[int | None, list[int]]:
    """The row with the best mean, and the rows it was chosen from; None if no run finished.

    Rows with the fewest diverged runs come first, and among them those with the most `planned` runs. Means are compared
    over the seeds that all of them finished, if there are such seeds.
    """
    finished = np.isfinite(values).any(axis=1)
    if not finished.any():
        return None, []
    count = diverged.sum(axis=1)
    is_sound = finished & (count == count[finished].min())
    rivals = np.flatnonzero(is_sound & (planned == planned[is_sound].max()))
    common = np.isfinite(values[rivals]).all(axis=0)
    chosen_by = values[rivals][:, common] if common.any() else values[rivals]
    return int(rivals[np.nanmean(chosen_by, axis=1).argmax()]), rivals.tolist()


def guarantee(table: pd.DataFrame, judge: str = "accuracy", level: float = LEVEL) -> str:
    """What `decide` has shown, in one sentence. `judge` and `level` are those of the decision.

    >>> runs = pd.DataFrame({
    ...     "schedule": ["cosine"] * 3 + ["constant"] * 3, "seed": [0, 1, 2] * 2, "status": "ok",
    ...     "accuracy": [0.90, 0.92, 0.91, 0.80, 0.81, 0.82]})
    >>> guarantee(decide(runs))
    'Use cosine: no other schedule is better (95 %).'
    """
    measure, best, others = Measure.of(judge), table[table.verdict == "best"], table[table.verdict != "best"]
    if best.empty:
        return "No schedule finished a run, so none can be recommended."
    best = best.iloc[0]
    if others.empty:
        return f"Only {best.schedule} was trained, so there is nothing to compare it with."
    if best.n < FEWEST_SEEDS:
        seeds = plural(int(best.n), "seed")
        return f"{best.schedule} has the best mean of {seeds}. At least {FEWEST_SEEDS} seeds are needed to decide."
    if best.n >= FEWEST_SEEDS and (others.verdict == "behind").all() and others.behind_high.isna().all():
        return f"Use {best.schedule}: every other schedule diverged where it did not."
    is_open = others.verdict == "open"
    most = most_better(others, judge)
    by = f" by more than {measure.amount(most, best['mean'])}" if most > 0 else ""
    promise = f"no other schedule is better{by} ({show_share(level, 0)})"
    if not is_open.any():
        return f"Use {best.schedule}: {promise}."
    undecided = listed(others.schedule[is_open])
    verb = "is" if is_open.sum() == 1 else "are"
    if is_open.all():
        return (
            f"{best.schedule} has the best mean, but nothing is decided: {undecided} may be better. Train more seeds."
        )
    return f"Use {best.schedule} for now: {undecided} {verb} still open, and {promise}."


def most_better(others: pd.DataFrame, judge: str = "accuracy") -> float:
    "By how much any schedule of these rows of `decide` can be better than the recommended one; open ones excluded."
    decided = others[others.verdict != "open"]
    better_end = -decided.behind_low if judge.startswith("-") else decided.behind_high
    return max(0.0, better_end.max()) if better_end.notna().any() else 0.0


def resolution(values: np.ndarray) -> float:
    """The smallest step between two values of the measure: accuracy moves in steps of one image.

    Differences whose spread is below it are no evidence of precision. If all values are equal it is unknown (inf).
    """
    gaps = np.diff(np.unique(values[np.isfinite(values)]))
    gaps = gaps[gaps > NO_SPREAD]
    return float(gaps.min()) if len(gaps) else np.inf


def _limits(values: np.ndarray, sign: int) -> tuple[float, float]:
    "What the measure can be, where higher is better: 0 to 1 if all values are, at most 0 for the negative of a loss."
    known = values[np.isfinite(values)]
    if sign < 0:
        return -np.inf, 0.0 if (known <= 0).all() else np.inf
    return (0.0, 1.0) if (known >= 0).all() and (known <= 1).all() else (-np.inf, np.inf)


def _mean_within(values: np.ndarray, level: float, bottom: float, top: float) -> tuple[float, float, float]:
    "Mean and t interval, which ends where the measure does. Fewer than three, or equal values, have none (nan)."
    mean, low, high = mean_interval(values, level)
    return mean, max(low, bottom), min(high, top)  # nan stays nan


def _gap(
    pair: AgainstBest | None, is_behind: bool, margin: float, alpha: float, room: tuple[float, float]
) -> tuple[float, float, float]:
    "The mean difference to the recommended arm and its bounds, within the `room` that the measure leaves."
    if pair is None:
        return np.nan, np.nan, np.nan
    low, high = pair.low(margin, alpha), pair.high(margin, alpha)
    high = min(high, 0.0) if is_behind else max(high, 0.0)
    if not np.isfinite([low, high]).all():
        return pair.differences.mean(), np.nan, np.nan
    return pair.differences.mean(), max(low, room[0]), min(high, room[1])


def diverged_alone(values: np.ndarray, diverged: np.ndarray, best: int) -> np.ndarray:
    "Which arms diverged on a seed that the recommended one finished, and never the other way round."
    finished = np.isfinite(values)
    return (diverged & finished[best]).any(axis=1) & ~(finished & diverged[best]).any(axis=1)


def _upright(ends: tuple[float, float, float], sign: int) -> tuple[float, float, float]:
    "A mean and its interval in the measure's own direction."
    mean, low, high = ends
    return ends if sign > 0 else (-mean + 0.0, -high + 0.0, -low + 0.0)
