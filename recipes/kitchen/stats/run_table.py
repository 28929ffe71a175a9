"""The table of runs that a decision judges: what it must hold, and its values by schedule and seed."""

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.text import shorten

STATUS = ("ok", "diverged", "failed")


def check_options(tolerance: Any, level: Any, looks: Any) -> None:
    "Raise ValueError for a number that a decision cannot take."
    if tolerance is not None and not (_is_number(tolerance) and 0 <= tolerance < np.inf):
        raise ValueError(f"tolerance must be a number in [0, inf) or None, got {tolerance!r}")
    if not (_is_number(level) and 0 < level < 1):
        raise ValueError(f"level must be a number in (0, 1) such as 0.95, got {level!r}")
    if not (_is_number(looks) and 1 <= looks < np.inf and looks == int(looks)):
        raise ValueError(f"looks must be a whole number of at least 1, got {looks!r}")


def by_seed(runs: pd.DataFrame, column: str) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """The measure [schedules, seeds] of the finished runs, whether a run diverged, and how many runs a schedule has.

    Schedules and seeds are in the order of the table. Raises ValueError for a table that cannot be judged.
    """
    _check_table(runs, column)
    measured = _numbers(runs[column]).where(runs.status == "ok")
    keyed = runs.assign(measured=measured.where(np.isfinite(measured)), diverged=runs.status == "diverged")
    index = keyed.set_index(["schedule", "seed"])
    order = list(dict.fromkeys(runs.schedule))
    values = index.measured.unstack().reindex(order)
    diverged = index.diverged.unstack(fill_value=False).reindex(order).to_numpy(bool)
    return values.astype(float), diverged, runs.schedule.value_counts().reindex(order).to_numpy()


def _check_table(runs: pd.DataFrame, column: str) -> None:
    if not isinstance(runs, pd.DataFrame):
        raise ValueError(f"the table of runs must be a pandas DataFrame, got {type(runs).__name__}")
    needed = ["schedule", "seed", "status", column]
    if missing := sorted({*needed} - {*runs.columns}):
        raise ValueError(f"the table of runs has no column {', '.join(missing)}")
    if double := [name for name in needed if list(runs.columns).count(name) > 1]:
        raise ValueError(f"the table of runs has two columns {double[0]}")
    for name in ("schedule", "seed"):
        if runs[name].isna().any():
            raise ValueError(f"the table of runs has a run without a {name}")
    unknown = runs.status[~runs.status.isin(STATUS)]
    if len(unknown):
        raise ValueError(f"status must be ok, diverged or failed; the table of runs has {shorten(unknown.iloc[0])}")
    twice = runs.duplicated(["schedule", "seed"])
    if twice.any():
        run = runs[twice].iloc[0]
        raise ValueError(
            f"the table of runs holds {run.schedule} with seed {run.seed} twice; judge one budget at a time"
        )


def _numbers(column: pd.Series) -> pd.Series:
    try:
        return pd.to_numeric(column)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the column {column.name} must hold numbers: {error}") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
