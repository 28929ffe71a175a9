"""Log the runs of a comparison, each with what the comparison says of its schedule."""

from lrlab.recipes.kitchen.logs.log_runs import log_runs
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.studies.compare.report import Result


def log_result(result: Result, tool: str) -> None:
    "Write the runs to one of TRACKERS, and print where they are. Raises UserError if that is not possible."
    verdicts = {
        (int(row.budget), row.schedule): {"verdict": row.verdict, "answer": result.verdict}
        for row in result.summary.itertuples()
    }
    with Store(result.out) as store:
        print(f"Logged: {log_runs(store, tool, verdicts)}", flush=True)
