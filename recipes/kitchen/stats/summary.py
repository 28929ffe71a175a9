"""The summary of a comparison and of a tuning. Pure functions of the table of runs."""

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.stats.decide import COLUMNS as DECISION
from lrlab.recipes.kitchen.stats.decide import decide
from lrlab.recipes.kitchen.stats.intervals import FEWEST_SEEDS, LEVEL, difference_interval, holm_levels, paired_p
from lrlab.recipes.kitchen.stats.measures import COLUMNS, Measure
from lrlab.recipes.kitchen.store.tables import RUN_COLUMNS

SUMMARY_COLUMNS = [*DECISION, *"lr_max diff diff_low diff_high diverged failed budget measured_on judge".split()]


def summarize(
    runs: pd.DataFrame,
    reference: str | None = None,
    judge: str = "accuracy",
    tolerance: float | None = None,
    level: float = LEVEL,
    looks: int = 1,
) -> pd.DataFrame:
    """One row per budget and schedule: the longest budget first, and within a budget the recommended schedule first.

    The columns of `decide` come first. `diff` is the difference to the schedule `reference` (default: the first of the
    table), paired by seed, with an interval at Holm's level over all schedules. `judge` and `looks` are as `decide`
    takes them. Schedules are judged on the test images if every finished run was measured on them, else on the
    validation images (`measured_on`). Raises UserError if no run has the measure.
    """
    if runs.empty:
        return pd.DataFrame(columns=SUMMARY_COLUMNS)
    reference = runs.schedule.iloc[0] if reference is None else reference
    runs = runs.assign(**{Measure.of(judge).name: judged(runs, judge)}, budget=runs.get("budget", 0))
    budgets = sorted(runs.budget.unique(), reverse=True)
    tables = [_summarize_budget(runs[runs.budget == n], reference, judge, tolerance, level, looks) for n in budgets]
    measured_on = "test" if has_test(runs, judge) else "validation"
    return pd.concat(tables, ignore_index=True).assign(measured_on=measured_on, judge=judge)[SUMMARY_COLUMNS]


def judged(runs: pd.DataFrame, judge: str = "accuracy") -> pd.Series:
    "The measure that judges a schedule: on the test images if there are any. Unfinished runs have none (nan)."
    measure, finished = Measure.of(judge), runs.status == "ok"
    column = measure.column(has_test(runs, judge))
    values = pd.to_numeric(runs.get(column, pd.Series(np.nan, runs.index))).where(finished)
    if finished.any() and values.isna().all():
        has = "not a number in any run" if column in runs and column not in RUN_COLUMNS else "no run has it"
        others = ", ".join(name for name in measured(runs) if name != measure.name)
        raise UserError(f"`judge` {measure.name}: {has}; the runs have {others}, which may judge them instead")
    return values


def measured(runs: pd.DataFrame) -> list[str]:
    "The measures that `runs` have, as `judge` names them: accuracy, loss, then the others."
    own = [column for column in runs.columns[len(RUN_COLUMNS) :] if not column.startswith("test_")]
    known = [name for name, column in COLUMNS.items() if column in runs and runs[column].notna().any()]
    return [*known, *own]


def has_test(runs: pd.DataFrame, judge: str = "accuracy") -> bool:
    "Whether every finished run was also measured on test images."
    column, finished = Measure.of(judge).column(on_test=True), runs[runs.status == "ok"]
    return column in runs and len(finished) > 0 and bool(finished[column].notna().all())


def _summarize_budget(
    runs: pd.DataFrame, reference: str, judge: str, tolerance: float | None, level: float, looks: int
) -> pd.DataFrame:
    table = decide(runs, judge, tolerance, level, looks)
    by_schedule = runs.groupby("schedule")
    lost = {status: (runs.status == status).groupby(runs.schedule).sum() for status in ("diverged", "failed")}
    return table.assign(
        **_differences(runs, list(table.schedule), reference, judge, level),
        lr_max=table.schedule.map(by_schedule.lr_max.first()),
        budget=runs.budget.iloc[0],
        **{status: table.schedule.map(count) for status, count in lost.items()},
    )


def _differences(runs: pd.DataFrame, schedules: list[str], reference: str, judge: str, level: float) -> dict:
    "The mean difference of every schedule to the reference over their common seeds, and its interval at Holm's level."
    values = runs.pivot(index="seed", columns="schedule", values=Measure.of(judge).name)
    unknown = pd.Series(np.nan, values.index)
    pairs = {name: (values[name] - values.get(reference, unknown)).dropna().to_numpy() for name in schedules}
    pairs[reference] = np.zeros(FEWEST_SEEDS)  # no test, and no width
    levels = holm_levels([paired_p(pairs[name]) for name in schedules], level)
    ends = [difference_interval(pairs[name], own) for name, own in zip(schedules, levels, strict=True)]
    return dict(zip(("diff", "diff_low", "diff_high"), map(list, zip(*ends, strict=True)), strict=True))


def tuning_scores(runs: pd.DataFrame, measure: Measure = Measure()) -> pd.DataFrame:  # noqa: B008  (frozen)
    """One row per budget, schedule and lr_max: n, score and valid_loss (means over the seeds), lost (seeds).

    `runs` has the columns of runs.csv. The score is the measure on the validation data. An LR at which any seed did not
    finish has no score: it is not to be chosen.
    """
    rows = []
    for (budget, schedule, lr_max), own in runs.groupby(["budget", "schedule", "lr_max"], sort=False):
        lost = int((own.status != "ok").sum())
        columns = {"score": measure.column(), "valid_loss": "valid_loss"}
        means = {name: None if lost else float(own[column].mean()) for name, column in columns.items()}
        rows.append({"budget": budget, "schedule": schedule, "lr_max": lr_max, "n": len(own), "lost": lost, **means})
    return pd.DataFrame(rows, columns=["budget", "schedule", "lr_max", "n", "lost", "score", "valid_loss"])


def measured_on(runs: pd.DataFrame, judge: str = "accuracy") -> str:
    "Which images, or items, the measure that judges was taken on."
    return "test" if has_test(runs, judge) else "validation"


def value_header(measure: Measure, on: str) -> str:
    """The head of a column with the measure. It stands for an accuracy where it says no more than percent.

    >>> value_header(Measure("accuracy"), "test"), value_header(Measure("f1_score"), "validation")
    ('test %', 'validation f1 score %')
    """
    return f"{on} %" if measure.name == "accuracy" else f"{on} {measure.label}{' %' * measure.is_share}"
