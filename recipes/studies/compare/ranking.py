"""The schedules of one budget, the recommended one first, in words and numbers: finding, table rows, and notes."""

from dataclasses import dataclass

import pandas as pd

from lrlab.recipes.kitchen.stats.baseline import nothing_learned
from lrlab.recipes.kitchen.stats.best import FEWEST_SEEDS
from lrlab.recipes.kitchen.stats.decide import decide, guarantee, most_better
from lrlab.recipes.kitchen.stats.measures import Measure, lower_is_better
from lrlab.recipes.kitchen.stats.summary import judged, measured
from lrlab.recipes.kitchen.text import plural
from lrlab.recipes.studies.compare.results import Results

MEANINGS = {
    "best": "recommended",
    "as good": "within the tolerance both ways",
    "no better": "to skip them all misses at most the tolerance",
    "behind": "worse beyond chance",
    "open": "more seeds may decide",
}
UNFINISHED = "unfinished"  # the group of schedules without a finished run, of which nothing is decided


@dataclass(frozen=True)
class Row:
    "One schedule as every table shows it."

    schedule: str
    lr_max: str
    n: int
    value: str  # the judged measure, with the interval; shares in percent
    difference: str  # to the reference, with the interval; shares in points
    behind: str  # the difference to the recommended schedule, with the interval; shares in points
    verdict: str


@dataclass(frozen=True)
class Ranking:
    "`table` is the summary of this budget, grouped by word, the recommended schedule first. The rest is it in words."

    epochs: int
    table: pd.DataFrame
    measure: Measure
    measured_on: str
    finding: str
    rows: list[Row]
    notes: list[str]


def rankings(results: Results, summary: pd.DataFrame) -> list[Ranking]:
    "One per budget, the longest first."
    return [_ranking(results, grouped(summary[summary.budget == budget])) for budget in summary.budget.unique()]


def grouped(table: pd.DataFrame) -> pd.DataFrame:
    "The rows of one budget by their word, in the order of MEANINGS, in the column `group`; within one as they were."
    order = [*MEANINGS, UNFINISHED]
    group = table.verdict.where((table.n > 0) | (table.verdict != "open"), UNFINISHED)
    return table.assign(group=group).sort_values(
        "group", key=lambda g: g.map(order.index), kind="stable", ignore_index=True
    )


def _ranking(results: Results, table: pd.DataFrame) -> Ranking:
    reference, measure = results.reference, results.measure
    rows = [
        Row(
            arm.schedule,
            results.acting_lr(arm.lr_max),
            int(arm.n),
            measure.show(arm["mean"], arm.low, arm.high),
            "reference"
            if arm.schedule == reference
            else measure.show_difference(arm["diff"], arm.diff_low, arm.diff_high),
            _behind(arm, measure),
            judgement(arm),
        )
        for _, arm in table.iterrows()
    ]
    budget = int(table.budget.iloc[0])
    runs = results.runs[results.runs.budget == budget]
    notes = [guarantee(table, measure.judge), *_named(table), *cut_short(runs), *disagreements(runs, table, measure)]
    found = finding(table, results.majority, measure)
    return Ranking(budget, table, measure, table.measured_on.iloc[0], found, rows, notes)


def cut_short(runs: pd.DataFrame) -> list[str]:
    "A sentence where a callback of the user's own ended runs before their last epoch."
    short = runs[(runs.status == "ok") & (runs.epochs < runs.budget)]
    if short.empty:
        return []
    names, has = ", ".join(short.schedule.unique()), f"{plural(len(short), 'run')} of {len(runs)}"
    return [f"A callback of your Learner ended {has} early ({names}): their schedules did not reach their end."]


def disagreements(runs: pd.DataFrame, table: pd.DataFrame, measure: Measure) -> list[str]:
    "A sentence for every other measure by which the recommended schedule is behind another."
    if not table.n.any() or table.n.max() < FEWEST_SEEDS:
        return []
    found = []
    for name in measured(runs):
        other = Measure.parse(name) if lower_is_better(name) is not None else None
        if other is None or other.name == measure.name:
            continue
        ranked = decide(runs.assign(**{other.name: judged(runs, other.judge)}), other.judge)
        best, own = ranked.iloc[0], ranked[ranked.schedule == table.schedule.iloc[0]].iloc[0]
        if own.verdict == "behind":
            means = f"{other.with_unit(best['mean'])} against {other.with_unit(own['mean'])}"
            found.append(f"By {other.label}, {best.schedule} is better: {means} of {own.schedule}.")
    return found


def finding(table: pd.DataFrame, majority: float = 0.0, measure: Measure = Measure()) -> str:  # noqa: B008  (frozen)
    "The title, in at most twelve words where the labels are names: which schedule to use, and what is still open."
    finished = table[table.n > 0]
    if finished.empty:
        return "No run finished: every schedule diverged or failed"
    best = finished.iloc[0]
    if nothing := nothing_learned(finished["mean"], majority, "schedule"):
        return nothing
    if len(finished) == 1:
        alone = "the only schedule" + (" that finished" if len(table) > 1 else "")
        return f"{best.schedule} reaches {measure.with_unit(best['mean'])}: {alone}"
    if best.n < FEWEST_SEEDS:
        return f"{best.schedule} has the best mean, but {plural(int(best.n), 'seed')} cannot decide"
    others, lost = finished.iloc[1:], len(table) - len(finished)
    open_, behind = (int((others.verdict == word).sum()) for word in ("open", "behind"))
    if open_:
        if len(others) == 1:
            count = "the other is"
        else:
            count = f"all {len(others)} others" if open_ == len(others) else f"{open_} of {len(others)} others"
        parts = [f"{count} still open"]
        parts += [f"{behind} behind"] if behind else []
        parts += [f"{lost} unfinished"] if lost else []
        return f"{best.schedule} leads; {', '.join(parts)}"
    if behind == len(others) and not lost:
        return f"{best.schedule} is better than " + ("the other schedule" if behind == 1 else f"all {behind} others")
    most = most_better(others, measure.judge)
    by = f" by more than {measure.amount(most, best['mean'])}" if most > 0 else ""
    return f"Use {best.schedule}: no other schedule is better{by}"


def _behind(arm: pd.Series, measure: Measure) -> str:
    "The difference to the recommended schedule. Seeds that only one of the two finished do not count."
    if arm.verdict == "best":
        return "recommended"
    return "-" if arm.n == 0 else measure.show_difference(arm.behind, arm.behind_low, arm.behind_high)


def judgement(arm: pd.Series) -> str:
    "The word of one row of the summary, and how many of its runs did not finish."
    lost = [f"{arm[status]} {status}" for status in ("diverged", "failed") if arm[status]]
    is_unknown = arm.n == 0 and arm.verdict == "open"
    return ", ".join(lost if is_unknown and lost else [arm.verdict, *lost])


def _named(table: pd.DataFrame) -> list[str]:
    "The schedules of each word, in one line."
    words = ("as good", "no better", "behind", "open")
    named = {word: ", ".join(table.schedule[(table.verdict == word) & (table.n > 0)]) for word in words}
    shown = [f"{word[0].upper()}{word[1:]}: {names}." for word, names in named.items() if names]
    return [" ".join(shown)] if shown else []


def words_used(ranks: list[Ranking]) -> str:
    "What the words in the tables mean, and how often they are wrong. Empty if no run finished."
    used = {word for rank in ranks for word in rank.table.verdict[rank.table.n > 0]}
    meanings = [f"{word}: {meaning}" for word, meaning in MEANINGS.items() if word in used]
    rate = " Each of these is wrong in at most 5 % of comparisons." if used - {"best", "open"} else ""
    return f"{'; '.join(meanings)}.{rate}" if meanings else ""
