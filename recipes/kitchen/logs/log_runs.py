"""Write the finished runs of a results folder into an experiment tracker, from the stored tables.

So every engine logs alike, and a folder that was trained without a tracker can be logged later. `logged.json` in the
folder says what the tracker has: the same command again writes only new runs, and verdicts that have changed.
"""

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.machine.optional_packages import require
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.store.tables import KEY_COLUMNS
from lrlab.recipes.kitchen.text import described, plural

LOGGED = "logged.json"
NOT_CURVES = {*KEY_COLUMNS, "step", "lr", "seconds"}  # columns of epochs.csv
Said = dict[str, str]  # what the answer says of a run, such as {"verdict": "behind"}


class NotLogged(UserError):
    "The tracker refused the runs, which are kept."

    exit_code = 1


@dataclass(frozen=True)
class LoggedRun:
    "A finished run: what was asked, its curves, and how it ended."

    name: str
    arm: str
    settings: dict[str, Any]  # numbers and text
    curves: list[tuple[int, dict[str, float]]]  # (optimizer steps made, values by name), ascending
    final: dict[str, float]
    said: Said

    @property
    def is_finished(self) -> bool:
        return self.said["status"] != "failed"


class Writer(Protocol):
    "What each tool's file has, made by its `open_writer(folder)`."

    where: str  # how to look at the runs

    def write(self, run: LoggedRun, known: str | None) -> str:
        "Write a run; if it is there already, as `known`, only what is `said` of it. Returns what the tool calls it."


def check_tracker(tool: str) -> None:
    "Raise UserError that names the extra if the package of one of TRACKERS is missing or cannot be imported."
    require(tool, f"`log` {tool}")


def open_writer(tool: str, folder: Path) -> Writer:
    "The writer of one of TRACKERS, which are named as their packages are."
    check_tracker(tool)
    return import_module(f"{__package__}.{tool}").open_writer(folder)


def log_result(out: Path | str, result: Any, tool: str) -> None:
    """Write the runs of the folder `out` to one of TRACKERS, and print where they are.

    Every run has the recipe's answer, `result.verdict`, and the word for its arm where a table of the result has one.
    Raises UserError if that is not possible.
    """
    table = getattr(result, "lrs", getattr(result, "summary", pd.DataFrame()))
    with Store(out) as store:
        runs = store.tables()[0]
        said = {run_id: words | {"answer": result.verdict} for run_id, words in verdicts(runs, table).items()}
        print(f"Logged: {log_runs(store, tool, said)}", flush=True)


def verdicts(runs: pd.DataFrame, table: pd.DataFrame) -> dict[str, Said]:
    "The verdict that the table has for the arm of each run, at its budget and LR if they differ there; by run id."
    if not {"schedule", "verdict"} <= set(table):
        return {run_id: {} for run_id in runs.run_id}
    keys = ["schedule", *(name for name in ("budget", "lr_max") if name in table and table[name].nunique() > 1)]
    found = runs[["run_id", *keys]].merge(table[[*keys, "verdict"]], how="left", on=keys)
    return {row.run_id: {"verdict": row.verdict} if isinstance(row.verdict, str) else {} for row in found.itertuples()}


def log_runs(store: Store, tool: str, said_of: Mapping[str, Said]) -> str:
    """Write what the tool does not have yet, and return a sentence that says where it is.

    `said_of` maps run ids to what is said of the runs. Raises NotLogged for what the tool raises.
    """
    file = store.out / LOGGED
    logged = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    runs, epochs = store.tables()
    of_tool = logged.setdefault(tool, {})
    try:
        writer = open_writer(tool, store.out)
        for row in runs.to_dict("records"):
            said = {"status": row["status"]} | said_of.get(row["run_id"], {})
            entry, known = of_tool.get(row["run_id"], {}), None
            if entry.get("seconds") == row["seconds"]:  # else it was trained again
                known = entry["name"]
            if known is None or entry["said"] != said:
                run = logged_run(store, row, epochs[epochs.run_id == row["run_id"]], said)
                of_tool[row["run_id"]] = {"name": writer.write(run, known), "seconds": row["seconds"], "said": said}
                write_atomically(file, json.dumps(logged, indent=1))
    except UserError:
        raise
    except Exception as error:  # a tracker may raise anything: no login, no network, no room
        reason = described(error).rstrip(".")
        raise NotLogged(f"`log` {tool}: {reason}. The same command logs the rest of {store.out}") from error
    return f"{plural(len(runs), 'run')} in {tool}: {writer.where}"


def logged_run(store: Store, row: dict[str, Any], epochs: pd.DataFrame, said: Said) -> LoggedRun:
    "A run of runs.csv with its curves."
    question, groups = store.manifest.question, store.manifest.groups
    asked = {name: value for name, value in question.items() if isinstance(value, (str, int, float))}
    own = {"schedule": row["schedule"], "lr_max": row["lr_max"], "seed": row["seed"], "epochs": row["budget"]}
    calls = question.get("schedules", {})  # of compare, by budget
    call = calls.get(str(row["budget"]), calls).get(row["schedule"], row["schedule"])
    final = {name: float(value) for name, value in row.items() if name not in (*own, "budget") and _is_number(value)}
    settings = {**asked, **own, "call": call, "recipe": store.manifest.recipe, "device": store.manifest.device or ""}
    found = curves(epochs, store.steps(row["run_id"]), groups)
    return LoggedRun(row["run_id"], row["schedule"], settings, found, final, said)


def curves(epochs: pd.DataFrame, steps: pd.DataFrame, groups: list[str]) -> list[tuple[int, dict[str, float]]]:
    "LR of every layer group and training loss at every step, loss and metrics after every epoch; finite values only."
    values: dict[int, dict[str, float]] = defaultdict(dict)
    for row in steps.itertuples():
        name = groups[row.group] if row.group < len(groups) else f"group {row.group}"
        values[row.step] |= {f"lr/{name}": row.lr, "train_loss/step": row.loss}
    for record in epochs.to_dict("records"):
        values[record["step"]] |= {name: value for name, value in record.items() if name not in NOT_CURVES}
    finite = {step: {k: float(v) for k, v in found.items() if _is_number(v)} for step, found in values.items()}
    return sorted((int(step), found) for step, found in finite.items() if found)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
