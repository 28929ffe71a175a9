"""The tables of a results folder as a study reads them back. Nothing here trains."""

import pandas as pd

from lrlab.recipes.kitchen.errors import NothingFinished, UserError
from lrlab.recipes.kitchen.store.store import Store


def stored_runs(store: Store) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs, failed ones too, and their epochs.

    Raises UserError if there are none: a folder that keeps its tables alone would have them overwritten with nothing.
    """
    runs, epochs = store.tables()
    if runs.empty:
        raise UserError(f"{store.out}: no finished run yet; the same command continues")
    return runs, epochs


def not_failed(store: Store, runs: pd.DataFrame) -> pd.DataFrame:
    "The runs that were trained, diverged or not. Raises NothingFinished with the first reason if all failed."
    trained = runs[runs.status != "failed"]
    if trained.empty:
        which = "the only run" if len(runs) == 1 else f"all {len(runs)} runs"
        raise NothingFinished(f"{store.out}: {which} failed ({runs.error.iloc[0]})")
    return trained


def failures(runs: pd.DataFrame) -> list[str]:
    "A sentence on the runs that failed, if any did."
    reasons = runs[runs.status == "failed"].error
    return [f"{len(reasons)} of {len(runs)} runs failed, the first of them: {reasons.iloc[0]}"] if len(reasons) else []


def why_none_finished(runs: pd.DataFrame, advice: str = "a lower `lr_max` may help") -> str:
    """The runs that failed, or the `advice` where none did: the runs diverged.

    >>> why_none_finished(pd.DataFrame({"status": ["failed", "ok"], "error": ["disk full", None]}))
    '1 of 2 runs failed, the first of them: disk full'
    >>> why_none_finished(pd.DataFrame({"status": ["diverged"], "error": ["loss nan"]}))
    'a lower `lr_max` may help'
    """
    return (failures(runs) or [advice])[0]


def extra_table(store: Store, runs: pd.DataFrame, name: str) -> pd.DataFrame:
    "One of the runs' own tables, of all runs that have one together; a failed run has none."
    files = [store.runs / run_id / name for run_id in runs.run_id]
    return pd.concat([pd.read_csv(file) for file in files if file.exists()], ignore_index=True)


def rewrite_runs(store: Store) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    "Write runs.csv and epochs.csv. Returns them, and the runs that were trained, as `not_failed` does."
    runs, epochs = stored_runs(store)
    store.write_tables(runs=runs, epochs=epochs)
    return runs, epochs, not_failed(store, runs)
