"""More seeds where they decide: every schedule gets the first seeds, and the schedules that are open get the rest.

Every look at the runs spends an equal part of the error rate (`looks` of `decide`). How many seeds follow depends on
time and on the number of open schedules, and never on a further look.
"""

from collections import Counter

from lrlab.recipes.kitchen.grid.study import Study
from lrlab.recipes.kitchen.grid.time_needed import seeds_in_time
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.stats.summary import summarize
from lrlab.recipes.kitchen.text import plural

Labels = dict[str, list[str]]  # by budget


def plan_stage(study: Study, runs: list[Run], started: float) -> dict:
    """What follows the look at the runs that the folder holds: the labels by budget, the seeds, and a sentence.

    `runs` are those of all schedules and seeds. `started` is when the command began.
    """
    question, (held, _) = study.question, study.store.tables()
    still_open = open_schedules(study)
    left, minutes = missing(study, runs, still_open), question.minutes
    seeds = list(left) if minutes is None else seeds_in_time(study, left, minutes, started)
    text = describe(still_open, seeds if left else None, int(held.seed.nunique()), minutes)
    return {"schedules": still_open, "seeds": seeds, "text": text}


def open_schedules(study: Study) -> Labels:
    "By budget, the recommended schedule and those that may be better; nothing for a budget that is decided."
    question, (runs, _) = study.question, study.store.tables()
    table = summarize(runs, None, question.judge.judge, question.tolerance, looks=question.looks)
    found = {}
    for budget, own in table.groupby("budget"):
        if (own.verdict == "open").any():
            kept = set(own.schedule[own.verdict.isin(["best", "open"])])
            found[str(budget)] = [label for label in question.schedules[budget] if label in kept]
    return found


def missing(study: Study, runs: list[Run], still_open: Labels) -> Counter[int]:
    "How many of the runs of open schedules the folder lacks, by seed."
    done = study.store.complete()
    return Counter(
        run.seed for run in runs if run.arm in still_open.get(str(run.epochs), ()) and run.run_id not in done
    )


def describe(still_open: Labels, seeds: list[int] | None, n_held: int, minutes: float | None) -> str:
    "What follows the look at `n_held` seeds, in a sentence. `seeds` is None where no run is left to train."
    after = f"After {plural(n_held, 'seed')}"
    if not still_open:
        return f"{after} every schedule is decided."
    labels = ", ".join(dict.fromkeys(label for own in still_open.values() for label in own))
    if seeds is None:
        return f"{after}, all seeds that were asked for are trained; still open: {labels}."
    if not seeds:
        return f"{after} the time is over; still open: {labels}."
    return f"{after}, {plural(len(seeds), 'seed')} more for {labels}."
