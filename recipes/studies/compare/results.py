"""The tables of a results folder, or of several folders that asked the same question."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from lrlab.recipes.kitchen.errors import Refused, UserError
from lrlab.recipes.kitchen.figures import samples
from lrlab.recipes.kitchen.learning_rates import LearningRate, acting_lr
from lrlab.recipes.kitchen.stats.baseline import majority_accuracy
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.store.tables import CYCLE_COLUMNS, EPOCH_COLUMNS, RUN_COLUMNS, concat
from lrlab.recipes.kitchen.text import printable, printable_json

FREE = ("seeds", "schedules", "epochs", "lrs", "looks")  # what folders may differ in and still be merged
ORIGIN = ("command", "date", "versions", "machine", "device", "commit")


@dataclass
class Results:
    "Every number of a report; `lr_curves` holds, by schedule, the steps of a run of the longest budget."

    config: dict
    origins: list[dict]  # command, date, versions, machine, device and commit of every folder
    runs: pd.DataFrame  # RUN_COLUMNS, then further measures
    epochs: pd.DataFrame  # EPOCH_COLUMNS
    cycles: pd.DataFrame  # CYCLE_COLUMNS
    trials: pd.DataFrame  # RUN_COLUMNS, the runs that chose lr_max
    lr_curves: dict[str, pd.DataFrame]
    lr_find: pd.DataFrame | None
    samples: dict[str, list[str]]
    planned: int

    @property
    def question(self) -> dict:
        return self.config["question"]

    @property
    def measure(self) -> Measure:
        "What judges the schedules: fixed before the runs."
        return Measure.of_question(self.question)

    @property
    def tolerance(self) -> float | None:
        "The difference that does not matter, in the units that `decide` takes; None for its default."
        return self.question.get("tolerance")

    @property
    def looks(self) -> int:
        "How often these runs are judged in all."
        return self.question.get("looks", 1)

    @property
    def majority(self) -> float:
        "The accuracy of always answering the most frequent class; 0 where that is unknown or not what is judged."
        return majority_accuracy(self.config, self.measure)

    @property
    def reference(self) -> str:
        "The schedule that differences are taken to. Cosine varies little from seed to seed, so it shows small ones."
        return "cosine" if "cosine" in self.schedules else next(iter(self.schedules))

    @property
    def budget(self) -> int:
        "The longest number of epochs of which there are runs."
        return int(self.runs.budget.max())

    @property
    def schedules(self) -> dict[str, str]:
        "Label -> constructor call, at the longest budget of which there are runs."
        by_budget = self.question["schedules"]
        return by_budget[str(self.budget)]

    def acting_lr(self, lr_max: str) -> str:
        "The peak LR as it acted. A model with one layer group takes the upper end of a slice."
        return str(acting_lr(LearningRate.parse(lr_max), self.config["groups"]))

    def of_budget(self, budget: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        "Runs, epochs and cycles of one budget."
        runs = self.runs[self.runs.budget == budget]
        parts = (table[table.run_id.isin(runs.run_id)] for table in (self.epochs, self.cycles))
        return (runs, *parts)


def read(store: Store) -> Results:
    "The results of one folder. Raises UserError if there is no finished run, or if what it holds is not lrlab's."
    try:
        return _read(store)
    except (UserError, OSError):
        raise
    except Exception as error:  # the folder holds tables or values that lrlab would not have written
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{store.out}: damaged, or not written by lrlab compare ({reason})") from error


def _read(store: Store) -> Results:
    config = printable_json(store.manifest.to_dict())  # untrusted: control characters are escaped before printing
    question, data = (config.get(key) for key in ("question", "data"))
    if not isinstance(data, dict) or not isinstance(question, dict) or not isinstance(question.get("schedules"), dict):
        raise UserError(f"{store.out}: its config.json is not one of lrlab compare")
    runs, epochs = (table.map(_shown) for table in store.tables())
    if runs.empty:
        raise UserError(f"{store.out}: no finished run to report")
    trials, _ = store.tables("tuning_plan")
    longest = runs[(runs.budget == runs.budget.max()) & (runs.steps > 0)]
    longest = longest.sort_values("steps", ascending=False, kind="stable").drop_duplicates("schedule")
    return Results(
        config,
        [{key: config.get(key) for key in ORIGIN}],
        runs,
        epochs,
        store.cycles(runs.run_id),
        trials,
        {row.schedule: store.steps(row.run_id) for row in longest.itertuples()},
        store.table("lr_find") if store.has("lr_find") else None,
        samples.load(store),
        len(config.get("plan", runs)),
    )


def _shown(value):
    return printable(value) if isinstance(value, str) else value


def merge(parts: list[Results], names: list[str]) -> Results:
    """One set of results from several that differ in seeds, schedules or budgets alone; equal runs count once.

    Raises Refused with the first difference named: numbers of different questions do not belong in one table.
    """
    first = parts[0]
    for name, part in zip(names[1:], parts[1:], strict=True):
        _check_same(first.config, part.config, names[0], name)
    runs = _once([part.runs for part in parts], RUN_COLUMNS, ["run_id"])
    notes = [part.config["tuned"] for part in parts if part.config.get("tuned")]
    own = {"question": _merged_question([part.question for part in parts]), "merged": names}
    own |= {"tuned": _merged_tuning(notes)} if notes else {}
    return Results(
        first.config | own,
        [origin for part in parts for origin in part.origins],
        runs,
        _once([part.epochs for part in parts], EPOCH_COLUMNS, ["run_id", "epoch"]),
        _once([part.cycles for part in parts], CYCLE_COLUMNS, ["run_id", "cycle"]),
        _once([part.trials for part in parts], RUN_COLUMNS, ["run_id"]),
        _joined(part.lr_curves for part in parts if part.budget == runs.budget.max()),
        next((part.lr_find for part in parts if part.lr_find is not None), None),
        first.samples,
        len(runs) + sum(part.planned - len(part.runs) for part in parts),
    )


def _merged_question(questions: list[dict]) -> dict:
    "The seeds, budgets, schedules and peak LRs of all, and the most looks that one of them had."
    seeds = dict.fromkeys(seed for question in questions for seed in question["seeds"])
    schedules: dict[str, dict[str, str]] = {}
    for question in questions:
        for budget, labels in question["schedules"].items():
            schedules[budget] = schedules.get(budget, {}) | labels
    schedules = {budget: schedules[budget] for budget in sorted(schedules, key=int)}
    looks = max(question.get("looks", 1) for question in questions)
    lrs = {label: lr for question in questions for label, lr in question.get("lrs", {}).items()}
    merged = {"seeds": list(seeds), "schedules": schedules, "epochs": list(map(int, schedules))}
    return questions[0] | merged | ({"looks": looks} if looks > 1 else {}) | ({"lrs": lrs} if lrs else {})


def _merged_tuning(notes: list[dict]) -> dict:
    """What was tried and chosen in several folders, from the notes of their tuning.

    The same question has the same grid at first, but every folder widened it for its own schedules. Where two folders
    chose for the same schedule, the first counts, as with runs.
    """
    first = notes[0]
    tried = {lr_max for note in notes for lr_max in note["grid"]}
    grid = sorted(tried, key=lambda lr_max: LearningRate.parse(lr_max).peak)
    budgets = dict.fromkeys(budget for note in notes for budget in note["chosen"])
    return first | {
        "grid": grid,
        "added": len(grid) - (len(first["grid"]) - first["added"]),
        "chosen": {budget: _joined(note["chosen"].get(budget, {}) for note in notes) for budget in budgets},
        "at_edge": list(dict.fromkeys(label for note in notes for label in note["at_edge"])),
    }


def _check_same(ours: dict, theirs: dict, our_name: str, their_name: str) -> None:
    a, b = ours["question"], theirs["question"]
    compared = {key: (a.get(key), b.get(key)) for key in {**a, **b} if key not in FREE}
    compared["classes and images"] = (ours["data"].get("counts"), theirs["data"].get("counts"))
    if a["lr_max"] == "find":
        compared["lr_max found"] = (ours.get("lr_find"), theirs.get("lr_find"))
    for budget, labels in a["schedules"].items():
        for label, call in b["schedules"].get(budget, {}).items():
            compared[f"schedule {label}"] = (labels.get(label, call), call)
    for key, (ours_value, theirs_value) in compared.items():
        if ours_value != theirs_value:
            raise Refused(
                f"{our_name} and {their_name} answer different questions: {key} = {ours_value!r} there and "
                f"{theirs_value!r} here; only seeds, schedules and epochs may differ"
            )


def _joined(parts: Iterable[dict]) -> dict:
    "All keys of the parts, in their order. Where several parts have a key, the first counts."
    joined: dict = {}
    for part in parts:
        joined = joined | part | joined
    return joined


def _once(tables: list[pd.DataFrame], columns: list[str], key: list[str]) -> pd.DataFrame:
    return concat(tables, columns).drop_duplicates(key, ignore_index=True)
