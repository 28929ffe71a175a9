"""From readings to verdicts: paired differences, their intervals, and a stated rule. Pure functions of tables."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.stats.intervals import LEVEL, difference_interval, holm_levels, paired_p
from lrlab.recipes.studies.learning_rate.diagnosis import majority

HOLDS, FAILS, UNDECIDED = "holds", "does not hold here", "undecided"
READING_COLUMNS = ["reading", "seed", "accuracy", "status", "lr_max", "note"]

RULE = (
    "A claim says that A is better than B. Differences A - B are paired by seed, with Student's t interval at 95 %.",
    "It **holds** if the interval is wholly above 0, **does not hold here** if wholly below, else it is **undecided**.",
    'A claim of equality ("as good as") has a margin: the same rule with -margin in the place of 0 (non-inferiority).',
    "If A diverged on a seed that B finished and never the other way round, the claim does not hold; if only B did, it "
    "holds. Failed runs are counted and named, and decide nothing.",
)


@dataclass(frozen=True)
class Measured:
    "`diff` is better - than over the `n` seeds that both finished; a side's mean is over its own finished seeds."

    n: int
    better: float
    than: float
    diff: float
    low: float
    high: float
    p_value: float  # of the difference against -margin
    lost: int = 0  # seeds on which `better` diverged and `than` did not
    won: int = 0  # the other way round
    missing: int = 0  # readings without an accuracy, diverged or failed
    lrs: tuple[str, str] = ("", "")
    notes: tuple[str, str] = ("", "")


def compare(readings: pd.DataFrame, better: str, than: str, margin: float = 0.0) -> Measured | None:
    "`readings` has READING_COLUMNS; None if one of the two was not taken at all."
    a, b = (readings[readings.reading == name].set_index("seed").sort_index() for name in (better, than))
    if a.empty or b.empty:
        return None
    differences = (a.accuracy - b.accuracy).dropna().astype(float).round(6)  # the metric's float32 is no spread
    diverged = {name: set(own.index[own.status == "diverged"]) for name, own in (("a", a), ("b", b))}
    finished = {name: set(own.accuracy.dropna().index) for name, own in (("a", a), ("b", b))}
    diff, low, high = difference_interval(differences)
    return Measured(
        n=len(differences),
        better=float(pd.to_numeric(a.accuracy).mean()),
        than=float(pd.to_numeric(b.accuracy).mean()),
        diff=diff,
        low=low,
        high=high,
        p_value=paired_p(differences + margin),
        lost=len(diverged["a"] & finished["b"]),
        won=len(diverged["b"] & finished["a"]),
        missing=int(a.accuracy.isna().sum() + b.accuracy.isna().sum()),
        lrs=(_lrs(a), _lrs(b)),
        notes=(_note(a), _note(b)),
    )


def _lrs(readings: pd.DataFrame) -> str:
    return " or ".join(dict.fromkeys(readings.lr_max))


def _note(readings: pd.DataFrame) -> str:
    return majority(readings.note) if readings.note.any() else ""


def verdict(found: Measured, margin: float = 0.0) -> str:
    "RULE, applied to one claim on one workload."
    if bool(found.lost) != bool(found.won):
        return FAILS if found.lost else HOLDS
    if found.low > -margin:
        return HOLDS
    return FAILS if found.high < -margin else UNDECIDED


def survives_holm(p_values: list[float], verdicts: list[str]) -> list[bool]:
    "Which decided rows would still be decided if the rule were corrected for the number of rows (Holm 1979)."
    levels = holm_levels(p_values, LEVEL)
    rejected = [bool(np.isfinite(p) and p <= 1 - level) for p, level in zip(p_values, levels, strict=True)]
    return [word != UNDECIDED and yes for word, yes in zip(verdicts, rejected, strict=True)]


def overall(verdicts: dict[str, str]) -> str:
    "One verdict of several workloads': `holds on both`, or which on which."
    words = list(dict.fromkeys(verdicts.values()))
    if len(verdicts) == 1:
        return f"{words[0]} ({next(iter(verdicts))})" if words else UNDECIDED
    if len(words) == 1:
        everywhere = "both" if len(verdicts) == 2 else f"all {len(verdicts)}"
        return {HOLDS: f"holds on {everywhere}", FAILS: f"holds on none of {everywhere}"}.get(
            words[0], f"undecided on {everywhere}"
        )
    by_word = [(word, [name for name, own in verdicts.items() if own == word]) for word in (HOLDS, FAILS, UNDECIDED)]
    return "; ".join(f"{word.removesuffix(' here')} on {', '.join(names)}" for word, names in by_word if names)
