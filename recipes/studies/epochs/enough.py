"""How many epochs are enough? `decide` over budgets, paired by seed, and its answer in words. Pure functions."""

import pandas as pd

from lrlab.recipes.kitchen.stats.best import FEWEST_SEEDS
from lrlab.recipes.kitchen.stats.decide import decide
from lrlab.recipes.kitchen.stats.intervals import difference_interval
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.stats.summary import judged
from lrlab.recipes.kitchen.text import plural

COOLDOWN = "cooldown"  # the arm whose budgets are compared


def judge_budgets(runs: pd.DataFrame, measure: Measure, tolerance: float | None, looks: int = 1) -> pd.DataFrame:
    """`decide` with a budget in place of a schedule: one row for each, the shortest first, with a column `budget`.

    `runs` has the columns of runs.csv; the rows of the arm `cooldown` count.
    """
    own = runs[runs.schedule == COOLDOWN]
    own = own.assign(schedule=own.budget, **{measure.name: judged(own, measure.judge)})
    table = decide(own, measure.judge, tolerance, looks=looks).rename(columns={"schedule": "budget"})
    return table.sort_values("budget", ignore_index=True)


def enough(table: pd.DataFrame) -> int | None:
    """The shortest budget that is as good as the best one, or is it, if no longer one is open.

    None if the budgets are undecided, or the longest is better than all others by more than the tolerance.
    """
    best = _best(table)
    if best.n < FEWEST_SEEDS:
        return None
    longer = table[table.budget > best.budget]
    is_enough = table.verdict.isin(["best", "as good"]) & (table.budget <= best.budget)
    found = int(table.budget[is_enough].min())
    is_longest = found == table.budget.max()
    return None if is_longest or (longer.verdict == "open").any() else found


def finding(table: pd.DataFrame, measure: Measure, tolerance: float | None) -> str:
    "The answer in at most twelve words. At least one run must have finished."
    best = _best(table)
    epochs, longest = int(best.budget), int(table.budget.max())
    if len(table) == 1:
        return f"Only {plural(epochs, 'epoch')} tried: nothing to compare with"
    if best.n < FEWEST_SEEDS:
        return f"{plural(epochs, 'epoch')} did best, but {plural(int(best.n), 'seed')} cannot decide"
    less = measure.tolerance_words(tolerance).partition(" of the ")[0]
    shortest = enough(table)
    if shortest is not None:
        longer = table.budget[table.budget > shortest]
        named = str(epochs) if epochs > shortest else str(longest) if len(longer) == 1 else "more"
        if table.n[table.budget > shortest].eq(0).all():
            return f"{plural(shortest, 'epoch')} did best: every longer run diverged or failed"
        return f"{plural(shortest, 'epoch')} {_are(shortest)} enough: {named} gain less than {less} (95 %)"
    is_open = table.verdict == "open"
    if epochs < longest:
        more = int(table.budget[is_open & (table.budget > epochs)].max())
        return f"Undecided: {more} epochs may gain more than {less} over {epochs}"
    shorter = table[table.budget < longest]
    if shorter.verdict.iloc[-1] == "behind":
        return f"Still rising at {epochs} epochs: train longer"
    beaten, nearest = shorter.budget[shorter.verdict == "behind"], int(shorter.budget.iloc[-1])
    found = f"beat {int(beaten.max())}" if len(beaten) else "did best"
    return f"{epochs} epochs {found}; whether {nearest} {_are(nearest)} enough is open"


def beside(runs: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """The schedule beside the cooldowns: budget, schedule, n, mean, and the mean difference of the cooldown to it.

    Differences are paired by seed, with their 95 % t interval: diff, diff_low, diff_high.
    """
    runs = runs.assign(value=judged(runs, measure.judge))
    rows = []
    for (budget, schedule), own in runs[runs.schedule != COOLDOWN].groupby(["budget", "schedule"], sort=False):
        branch = runs[(runs.schedule == COOLDOWN) & (runs.budget == budget)].set_index("seed").value
        values = own.set_index("seed").value
        difference = difference_interval((branch - values).dropna())
        rows.append((int(budget), schedule, own.lr_max.iloc[0], int(values.count()), values.mean(), *difference))
    return pd.DataFrame(rows, columns="budget schedule lr_max n mean diff diff_low diff_high".split())


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _best(table: pd.DataFrame) -> pd.Series:
    return table[table.verdict == "best"].iloc[0]
