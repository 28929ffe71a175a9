"""What judges the runs of a comparison: the measure that was asked for, or that of the workload."""

import math
from typing import Any

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.workloads import Workload


def judging_to_dict(judge: Measure | None, tolerance: float | None, looks: int) -> dict[str, Any]:
    "How runs are judged, as the question of a folder records it: what is usual needs no word."
    judged = {} if judge is None else judge.to_dict()
    tolerated = {} if tolerance is None else {"tolerance": tolerance}
    return {**judged, **tolerated, **({} if looks == 1 else {"looks": looks})}


def resolve_measure(judge: Measure | None, workload: Workload, data: Any, tolerance: float | None = None) -> Measure:
    """The measure `judge`, or that of the workload.

    Raises UserError for one that no run has, for one of an unknown direction, and for a `tolerance` of all.
    """
    measure = workload.measure(data) if judge is None else judge
    of_classes = ("accuracy", "loss", "brier") if data.classes else ("loss",)
    known = [*of_classes, *getattr(data, "metrics", ())]
    if measure.name not in known:
        raise UserError(f"`judge` {measure.name}: no run has it; the runs have {', '.join(dict.fromkeys(known))}")
    if measure.lower_is_better is None:
        ways = " or ".join(f'`judge="{sign}{measure.name}"`' for sign in "+-")
        raise UserError(f"`judge` {measure.name}: is higher or lower better? Write {ways}")
    measure.check_tolerance(tolerance)
    return measure


def parts_without_result(store: Store) -> tuple[str, ...]:
    "The part `judge` of a question, if what judges is not a number in any run so far: another measure may judge them."
    column = Measure.of_question(store.manifest.question).column()
    values = [row.measures[column] for row in store.complete().values() if column in row.measures]
    return ("judge",) if values and all(value is None or math.isnan(value) for value in values) else ()


def measure_to_show(workload: Workload, data: Any) -> Measure:
    "The measure of the workload, for a recipe without the option `judge`: the loss where its direction is unknown."
    measure = workload.measure(data)
    return Measure("loss", True) if measure.lower_is_better is None else measure
