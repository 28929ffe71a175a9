"""The bands of all schedules as one table, and what it says. Pure functions."""

import pandas as pd

from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.stats.band import INSIDE, band, sensitivity
from lrlab.recipes.kitchen.stats.best import FEWEST_SEEDS
from lrlab.recipes.kitchen.stats.decide import decide
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.text import listed, plural

SENSITIVITY = Measure("sensitivity", lower_is_better=True)
OWN = [f"sensitivity{part}" for part in ("", "_low", "_high")]
GAP = [f"sensitivity_behind{part}" for part in ("", "_low", "_high")]
COLUMNS = [*"schedule n best mean low high at_most_low at_most_high".split(), *OWN, *GAP, "sensitivity_verdict"]


def summarize(table: pd.DataFrame, runs: pd.DataFrame, initial_loss: float, looks: int = 1) -> pd.DataFrame:
    """One row per schedule with a finished run: COLUMNS. `table` is that of `judge_lrs`.

    `low` to `high` is the safe band, `at_most_low` to `at_most_high` the same with the open LRs next to it. The columns
    of the sensitivity are those of `decide` over schedules: its mean, and the difference to the least sensitive one.
    """
    sensitive = sensitivity(runs, initial_loss)
    long = sensitive.melt(ignore_index=False, var_name="schedule", value_name=SENSITIVITY.name).reset_index()
    compared = decide(long.assign(status="ok"), SENSITIVITY.judge, looks=looks).set_index("schedule")
    rows = []
    for schedule, own in table.groupby("schedule", sort=False):
        if (safe := band(own)) is None:
            continue
        best, found = own[own.verdict == "best"].iloc[0], compared.loc[schedule]
        at_most = band(own, [*INSIDE, "open"]) or safe
        between = found[["mean", "low", "high", "behind", "behind_low", "behind_high", "verdict"]]
        rows.append((schedule, best.n, best.lr_max, best["mean"], *safe, *at_most, *between))
    return pd.DataFrame(rows, columns=COLUMNS)


def finding(bands: pd.DataFrame) -> str:
    "The answer in at most twelve words. At least one run must have finished."
    if bands.n.max() < FEWEST_SEEDS:
        return f"{plural(int(bands.n.max()), 'seed')} cannot decide which LRs are safe"
    times = bands.high / bands.low
    if times.max() == 1:
        return "Only the best LR is shown to be safe: train more seeds"
    widest = bands.loc[times.idxmax()]
    if len(bands) == 1:
        return f"With {widest.schedule}, LRs {span(widest.low, widest.high)} are safe"
    others = bands.drop(times.idxmax())
    if (others.at_most_high / others.at_most_low).max() < times.max():
        return f"{widest.schedule} has the widest safe band: {span(widest.low, widest.high)}"
    if times.min() == times.max():
        return f"With every schedule the safe band is {times_words(times.max())} wide"
    narrowest = bands.loc[times.idxmin()]
    return (
        f"Shown to be safe: {times_words(times.max())} the LR with {widest.schedule}, "
        f"{times_words(times.min())} with {narrowest.schedule}"
    )


def span(low: float, high: float) -> str:
    """
    >>> span(0.001, 0.01)
    'from 1e-3 to 1e-2'
    """
    return f"from {format_number(low)} to {format_number(high)}"


def times_words(times: float) -> str:
    """How wide a band is.

    >>> times_words(1.0), times_words(3.16), times_words(31.4)
    ('one LR', '3 times', '30 times')
    """
    if times == 1:
        return "one LR"
    return f"{float(f'{times:.1g}'):g} times"


def sentence(row: pd.Series, table: pd.DataFrame, found: LRSuggestion, tolerated: str) -> str:
    "What the band of one schedule says, and where lr_find's suggestion lies. `row` is of `summarize`."
    name = f"With {row.schedule}"
    if row.n < FEWEST_SEEDS:
        return f"{name}, {row.best} has the best mean of {plural(int(row.n), 'seed')}."
    if row.low == row.high:
        safe = f"{name}, only {row.best} is shown to be within {tolerated} of the best"
    else:
        safe = f"{name}, any LR {span(row.low, row.high)} is within {tolerated} of the best"
    own = table[table.schedule == row.schedule]
    ends = [word for word, end in (("lower", own.lr.min()), ("higher", own.lr.max())) if end in (row.low, row.high)]
    more = f"; {' and '.join(ends)} LRs were not tried" if ends else ""
    beside = [lr for lr in own.lr if row.at_most_low <= lr <= row.at_most_high and not row.low <= lr <= row.high]
    still = f"; {listed(map(format_number, beside))} {'is' if len(beside) == 1 else 'are'} open" if beside else ""
    return f"{safe}{still}{more}; {suggestion_words(row, found)}."


def suggestion_words(row: pd.Series, found: LRSuggestion) -> str:
    "Where lr_find's suggestion lies in a band."
    if found.lr is None:
        return "lr_find suggests no LR"
    said = f"lr_find's {format_number(found.lr)} is"
    if row.low <= found.lr <= row.high:
        return f"{said} inside"
    if row.at_most_low <= found.lr <= row.at_most_high:
        return f"{said} beside it, where it is open"
    return f"{said} too low" if found.lr < row.low else f"{said} too high"


def sensitivity_words(bands: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    "The LR sensitivity of every schedule, and which is less sensitive beyond chance."
    known = bands[bands.sensitivity.notna()].sort_values("sensitivity", kind="stable")
    if known.empty:
        return []
    numbers = [f"{r.schedule} {SENSITIVITY.show(*(getattr(r, name) for name in OWN))}" for r in known.itertuples()]
    lines = [
        f"LR sensitivity, the mean loss above the best LR's {span(table.lr.min(), table.lr.max())}: {listed(numbers)}."
    ]
    least, behind = known[known.sensitivity_verdict == "best"], known[known.sensitivity_verdict == "behind"]
    if len(least) and len(behind):
        gaps = [
            f"{SENSITIVITY.show_difference(*(getattr(r, name) for name in GAP))} than {r.schedule}".replace("+", "")
            for r in behind.itertuples()
        ]
        lines.append(f"{least.schedule.iloc[0]} forgives a wrong LR more: it loses less by {listed(gaps)}.")
    return lines
