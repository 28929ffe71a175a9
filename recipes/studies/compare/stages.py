"""More seeds where they decide: every schedule gets the first seeds, and the schedules that are open get the rest.

There are two looks at the runs, so each spends half of the error rate (`looks` of `decide`). How many seeds follow
depends on time and on the number of open schedules, and never on a further look.
"""

import time

from lrlab.callbacks import Schedule
from lrlab.recipes.kitchen.grid.study import Study
from lrlab.recipes.kitchen.stats.summary import summarize
from lrlab.recipes.kitchen.text import plural

FIRST_SEEDS = 3

Schedules = dict[int, dict[str, Schedule]]


def open_schedules(study: Study, planned: Schedules) -> Schedules:
    "By budget, the recommended schedule and those that may be better; nothing for a budget that is decided."
    question, (runs, _) = study.question, study.store.tables()
    found = {}
    for budget, schedules in planned.items():
        own = runs[(runs.budget == budget) & runs.schedule.isin(list(schedules))]
        table = summarize(own, None, question.judge.judge, question.tolerance, looks=question.looks)
        if (table.verdict == "open").any():
            kept = set(table.schedule[table.verdict.isin(["best", "open"])])
            found[budget] = {label: schedule for label, schedule in schedules.items() if label in kept}
    return found


def more_seeds(study: Study, still_open: Schedules, seeds: list[int], started: float) -> list[int]:
    "Those of `seeds` that there is time for: all without a limit. `started` is when the command began."
    minutes, n_runs = study.question.minutes, sum(map(len, still_open.values()))
    if minutes is None or not n_runs:
        return seeds if n_runs else []
    runs, _ = study.store.tables()
    seconds_per_seed = runs.seconds.mean() * n_runs / (study.place.jobs or 1)
    left = 60 * minutes - (time.monotonic() - started)
    return seeds[: max(0, int(left / seconds_per_seed))]


def describe(still_open: Schedules, seeds: list[int], minutes: float | None) -> str:
    "What follows the first look, in a sentence."
    if not still_open:
        return f"After {FIRST_SEEDS} seeds every schedule is decided."
    labels = list(dict.fromkeys(label for own in still_open.values() for label in own))
    if not seeds:
        return f"The {minutes:g} minutes are over, and {', '.join(labels)} are still open."
    return f"After {FIRST_SEEDS} seeds, {plural(len(seeds), 'seed')} more for {', '.join(labels)}."
