"""The schedules of one budget, best first, in words and numbers: the finding, the rows of the table, and the notes."""

from dataclasses import dataclass

import pandas as pd

from lrlab.recipes.kitchen.stats.power import POWER, seeds_to_separate
from lrlab.recipes.kitchen.stats.summary import top_two
from lrlab.recipes.kitchen.text import percent, plural
from lrlab.recipes.studies.compare.results import Results

MOST_USEFUL_SEEDS = 100  # nobody trains more of them to separate two schedules


@dataclass(frozen=True)
class Row:
    "One schedule as every table shows it."

    schedule: str
    lr_max: str
    n: int
    accuracy: str  # percent, with the interval
    difference: str  # to the reference, in points, with the interval
    behind: str  # how far behind the best, in points, with the interval
    verdict: str


@dataclass(frozen=True)
class Ranking:
    "`table` is the summary of this budget, best first. The rest is the same in words."

    epochs: int
    table: pd.DataFrame
    measured_on: str
    finding: str
    rows: list[Row]
    notes: list[str]


def rankings(results: Results, summary: pd.DataFrame) -> list[Ranking]:
    "One per budget, the longest first."
    return [_ranking(results, ranked(summary[summary.budget == budget])) for budget in summary.budget.unique()]


def ranked(summary: pd.DataFrame) -> pd.DataFrame:
    "Best mean first. Below them those that diverged on a seed, whatever their other seeds did, and those without runs."
    keys = pd.DataFrame({"none": summary.n == 0, "lost": summary.diverged > 0, "mean": -summary.accuracy_mean})
    return summary.loc[keys.sort_values(list(keys), kind="stable").index].reset_index(drop=True)


def _ranking(results: Results, table: pd.DataFrame) -> Ranking:
    reference, majority = results.reference, results.config["data"].get("majority", 0.0)
    rows = [
        Row(
            arm.schedule,
            results.acting_lr(arm.lr_max),
            int(arm.n),
            percent(arm.accuracy_mean, arm.accuracy_low, arm.accuracy_high),
            "reference" if arm.schedule == reference else percent(arm["diff"], arm.diff_low, arm.diff_high, "+"),
            behind(arm),
            judgement(arm, reference),
        )
        for _, arm in table.iterrows()
    ]
    notes = [*ties(table, reference), seeds_needed(results.runs, table)]
    budget = int(table.budget.iloc[0])
    return Ranking(budget, table, table.measured_on.iloc[0], finding(table, majority), rows, notes)


def finding(table: pd.DataFrame, majority: float = 0.0) -> str:
    "The title, in at most twelve words where the labels are names: the best schedule, and who may be as good."
    finished = table[table.n > 0]
    if finished.empty:
        return "No run finished: every schedule diverged or failed"
    best = finished.iloc[0]
    if finished.accuracy_mean.max() <= majority:
        return "Nothing was learned: no schedule beats the most frequent class"
    if len(finished) == 1:
        alone = "the only schedule" + (" that finished" if len(table) > 1 else "")
        return f"{best.schedule} reaches {best.accuracy_mean:.1%}: {alone}"
    if best.n == 1:
        return f"{best.schedule} has the highest accuracy, but one seed cannot prove it"
    rivals = int(finished.leads.sum()) - 1
    beaten, lost = len(finished) - 1 - rivals, len(table) - len(finished)
    if not rivals and not lost:
        return f"{best.schedule} is better than {_the_others(beaten)}"
    parts = [f"{_all_of(rivals, len(table) - 1)} may be as good"] if rivals else []
    parts += [f"{beaten} behind"] if beaten else []
    parts += [f"{lost} unfinished"] if lost else []
    return f"{best.schedule} leads; {', '.join(parts)}"


def _the_others(n: int) -> str:
    return "the other schedule" if n == 1 else f"all {n} other schedules"


def _all_of(n: int, others: int) -> str:
    if n < others:
        return str(n)
    return "the other" if n == 1 else f"all {n} others"


def behind(arm: pd.Series) -> str:
    "How far a schedule is behind the best one. Seeds that only one of the two finished do not count."
    if arm.n == 0 or pd.isna(arm.behind):
        return "-"
    if arm.behind == 0 and arm.leads:
        return "best mean"
    return "ahead on common seeds" if arm.behind > 0 else percent(arm.behind, arm.behind_low, arm.behind_high, "+")


def judgement(arm: pd.Series, reference: str) -> str:
    "The verdict of one row of the summary, and how many of its runs did not finish."
    lost = [f"{arm[status]} {status}" for status in ("diverged", "failed") if arm[status]]
    has_none = arm.schedule == reference or (arm.n == 0 and not arm.diverged)
    is_unknown = arm.verdict == "tied" and pd.isna(arm.diff_low)
    return ", ".join(filter(None, ["" if has_none else "no interval" if is_unknown else arm.verdict, *lost]))


def ties(table: pd.DataFrame, reference: str) -> list[str]:
    "Which schedules the data cannot separate from the reference, and which from the best."
    finished = table[table.n > 0]
    if reference not in set(table.schedule):
        sentences = [f"{reference} was not run at this budget, so nothing is compared with it."]
    elif finished.n.max() == 1:
        return ["One seed gives no intervals: no difference can be told from chance."]
    else:
        others = finished[(finished.schedule != reference) & (finished.verdict == "tied")]
        tied = ", ".join(others.schedule) or "none"
        sentences = [f"Tied with {reference} (the interval of the difference contains 0): {tied}."]
    front = finished[finished.leads.astype(bool)]
    if len(front) > 1:
        first, *rest = front.schedule
        sentences.append(f"{first} has the highest mean. It cannot be told apart from {', '.join(rest)}.")
    elif len(front) == 1 and len(finished) > 1:
        sentences.append(f"Better than every other schedule, by Holm's correction over all pairs: {front.iloc[0, 0]}.")
    return sentences


def seeds_needed(runs: pd.DataFrame, table: pd.DataFrame) -> str:
    "What it would take to separate the two highest means of one budget."
    pair = top_two(runs, table)
    if pair is None:
        return "There are no two schedules to separate."
    first, second, differences = pair
    if len(differences) < 2:
        return f"How many seeds would separate {first} from {second} is unknown: they have fewer than two in common."
    gap = f"they differ by {100 * differences.mean():+.2f} points, with a spread of {100 * differences.std(ddof=1):.2f}"
    seeds = seeds_to_separate(differences)
    if seeds is None or seeds > MOST_USEFUL_SEEDS:
        return f"No practical number of seeds would separate {first} from {second} ({gap} over seeds)."
    needed = f"About {plural(seeds, 'seed')} would separate {first} from {second} with {POWER:.0%} power"
    return f"{needed} ({gap} over seeds)."
