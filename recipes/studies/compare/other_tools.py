"""A comparison for other tools: its runs in an experiment tracker, or as one table."""

import pandas as pd

from lrlab.recipes.kitchen.logs.log_runs import log_runs
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import printable
from lrlab.recipes.studies.compare.report import Result


def log_result(result: Result, tool: str) -> None:
    "Write the runs to one of TRACKERS, and print where they are. Raises UserError if that is not possible."
    verdicts = {
        (int(row.budget), row.schedule): {"verdict": row.verdict, "answer": result.verdict}
        for row in result.summary.itertuples()
    }
    with Store(result.out) as store:
        print(f"Logged: {log_runs(store, tool, verdicts)}", flush=True)


def run_table(runs: pd.DataFrame, summary: pd.DataFrame, manifest: Manifest) -> pd.DataFrame:
    """`data`, `model`, the columns of runs.csv, then `judge`, `measured_on`, `value` and `verdict`.

    `value` is the judged measure of the run. `verdict` is the word of its schedule at its budget. Tables of several
    comparisons can be put one below the other.
    """
    words = summary[["schedule", "budget", "judge", "measured_on", "verdict"]]
    table = runs.merge(words, how="left", on=["schedule", "budget"])
    table.insert(table.columns.get_loc("verdict"), "value", [_value(row) for _, row in table.iterrows()])
    table.insert(0, "model", printable(manifest.question.get("arch", "")))
    table.insert(0, "data", printable(manifest.data.get("name", "")))
    return table


def _value(row: pd.Series) -> float | None:
    return row.get(Measure.of(row.judge).column(on_test=row.measured_on == "test"))
