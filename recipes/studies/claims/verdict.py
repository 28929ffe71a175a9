"""From readings to verdicts: paired differences, their intervals, and a stated rule. Pure functions of tables."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from lrlab.recipes.kitchen.stats.best import FEWEST_SEEDS
from lrlab.recipes.kitchen.stats.intervals import LEVEL, difference_interval, has_no_spread, holm_levels
from lrlab.recipes.kitchen.stats.measures import RELATIVE_TOLERANCE, TOLERANCE, Measure
from lrlab.recipes.studies.learning_rate.diagnosis import majority

HOLDS, FAILS, UNDECIDED = "holds", "does not hold here", "undecided"
OPPOSITE = "the opposite is true"
READING_COLUMNS = ["reading", "seed", "accuracy", "loss", "status", "lr_max", "note"]
FIRST_SEEDS = 5  # at the first look
ROOM = 2  # tolerances that B must leave to gain
MOST_SEEDS = 10_000  # of a forecast


@dataclass(frozen=True)
class Rule:
    """What is decided from the interval of A - B, fixed before the runs.

    `looks` are the numbers of seeds after which a claim is judged. A claim that is decided is not judged again.
    """

    tolerance: float = TOLERANCE
    looks: tuple[int, ...] = (FIRST_SEEDS,)

    @property
    def level(self) -> float:
        "Of each interval: all looks together err in at most 5 % (Bonferroni)."
        return 1 - (1 - LEVEL) / len(self.looks)

    @property
    def tolerated(self) -> str:
        "The tolerance in words."
        return Measure().tolerance_words(self.tolerance)


def looks_of(n_seeds: int, until_decided: bool) -> tuple[int, ...]:
    """After how many seeds the claims are judged: once, or after five and whenever they have doubled.

    >>> looks_of(5, False), looks_of(20, True), looks_of(12, True), looks_of(4, True)
    ((5,), (5, 10, 20), (5, 10, 12), (4,))
    """
    looks = [FIRST_SEEDS]
    while until_decided and looks[-1] * 2 < n_seeds:
        looks.append(looks[-1] * 2)
    return tuple([n for n in looks if until_decided and n < n_seeds] + [n_seeds])


@dataclass(frozen=True)
class Gain:
    "What A gains on B: the mean of the paired differences, its interval, and what the rule says of it."

    mean: float = np.nan
    low: float = np.nan
    high: float = np.nan
    verdict: str = UNDECIDED
    p_value: float = np.nan  # Holm's: a value below 5 % is a decision


@dataclass(frozen=True)
class Measured:
    "One claim on one workload: `gain` over the `n` seeds that both have. A side's mean is over its own seeds."

    n: int
    better: float
    than: float
    gain: Gain
    loss: Gain = field(default_factory=Gain)  # the fall of the loss, as a share of B's
    spread: float = np.nan  # the standard deviation of the differences
    has_room: bool = True
    diverged: int = 0
    failed: int = 0
    lrs: tuple[str, str] = ("", "")
    notes: tuple[str, str] = ("", "")


def compare(
    readings: pd.DataFrame,
    better: str,
    than: str,
    as_good: bool = False,
    rule: Rule = Rule(),  # noqa: B008  (frozen)
) -> Measured:
    "What `readings` (READING_COLUMNS) say about a claim."
    a, b = (readings[readings.reading == name].set_index("seed").sort_index() for name in (better, than))
    differences = (a.accuracy - b.accuracy).dropna().astype(float).round(6)  # the metric's float32 is no spread
    other = float(b.accuracy.mean())
    has_room = bool(1 - other >= ROOM * rule.tolerance)
    both = pd.concat([a, b])
    return Measured(
        n=len(differences),
        better=float(a.accuracy.mean()),
        than=other,
        gain=judge(differences, *bounds(as_good, rule.tolerance, has_room), rule),
        loss=judge(_fall(a.loss, b.loss), *bounds(as_good, RELATIVE_TOLERANCE), rule),
        spread=float(differences.std()),
        has_room=has_room,
        diverged=int((both.status == "diverged").sum()),
        failed=int(both.accuracy.isna().sum()),
        lrs=(_lrs(a), _lrs(b)),
        notes=(_note(a), _note(b)),
    )


def bounds(as_good: bool, tolerance: float, has_room: bool = True) -> tuple[float, float]:
    "A claim holds wholly above the first, and does not hold wholly below the second."
    if as_good:
        return -tolerance, 0.0
    return 0.0, tolerance if has_room else 0.0


def judge(differences: pd.Series, holds_above: float, fails_below: float, rule: Rule) -> Gain:
    "The rule, applied to paired differences."
    n = len(differences)
    mean, low, high = difference_interval(differences, rule.level)
    if n < FEWEST_SEEDS:
        return Gain(mean)
    p_value = np.nan
    if not has_no_spread(differences):
        farther = max(mean - holds_above, fails_below - mean)  # of the two bounds, each with a one-sided test
        p_value = float(stats.t.sf(farther / stats.sem(differences), n - 1))
    return Gain(mean, low, high, word(low, high, holds_above, fails_below), min(1.0, 2 * len(rule.looks) * p_value))


def word(low: float, high: float, holds_above: float, fails_below: float) -> str:
    "The verdict of an interval."
    if low > holds_above:
        return HOLDS
    return FAILS if high < fails_below else UNDECIDED


def _fall(ours: pd.Series, theirs: pd.Series) -> pd.Series:
    "How much lower our loss is, as a share of the mean of theirs."
    return ((theirs - ours) / theirs.mean()).dropna().astype(float)


def addition(gain: Gain, as_good: bool, has_room: bool, rule: Rule) -> str:
    "What the page adds to a verdict."
    if gain.verdict == HOLDS:
        if as_good:
            return f"worse by less than {rule.tolerated}" if gain.high < 0 else ""
        return f"by less than {rule.tolerated}" if gain.high < rule.tolerance else ""
    if gain.verdict == FAILS:
        if as_good:
            return f"worse by more than {rule.tolerated}" if gain.high < -rule.tolerance else "worse"
        return OPPOSITE if gain.high < 0 else f"gains less than {rule.tolerated}"
    return "no room to gain" if not as_good and not has_room and gain.high < rule.tolerance else ""


def seeds_needed(found: Measured, as_good: bool, rule: Rule) -> int | None:
    "With how many seeds an undecided claim would be decided, if mean and spread stay. None if nothing can be said."
    holds_above, fails_below = bounds(as_good, rule.tolerance, found.has_room)
    distance = max(found.gain.mean - holds_above, fails_below - found.gain.mean)
    if found.n < FEWEST_SEEDS or not found.spread > 0 or not distance > 0:
        return None
    n = np.arange(found.n, MOST_SEEDS + 1)
    width = stats.t.ppf((1 + rule.level) / 2, n - 1) * found.spread / np.sqrt(n)
    return int(n[np.argmax(width < distance)]) if width[-1] < distance else None


def _lrs(readings: pd.DataFrame) -> str:
    return " or ".join(dict.fromkeys(readings.lr_max))


def _note(readings: pd.DataFrame) -> str:
    return majority(readings.note) if readings.note.any() else ""


def survives_holm(p_values: list[float], verdicts: list[str]) -> list[bool]:
    "Which decided rows would still be decided if the rule were corrected for the number of rows (Holm 1979)."
    levels = holm_levels(p_values, LEVEL)
    rejected = [bool(np.isfinite(p) and p <= 1 - level) for p, level in zip(p_values, levels, strict=True)]
    return [word != UNDECIDED and yes for word, yes in zip(verdicts, rejected, strict=True)]
