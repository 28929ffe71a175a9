"""What judges the runs of a comparison: the measure that was asked for, or the default of the data."""

from typing import Any

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.stats.measures import Measure, lower_is_better


def resolve_measure(judge: Measure | None, data: Any) -> Measure:
    "The measure `judge`, or `default_measure`. Raises UserError for one that no run will have."
    measure = default_measure(data) if judge is None else judge
    known = ["accuracy", "loss", "brier", *getattr(data, "metrics", ())]
    if measure.name not in known:
        raise UserError(f"`judge` {measure.name}: no run has it; the runs have {', '.join(dict.fromkeys(known))}")
    return measure


def default_measure(data: Any) -> Measure:
    "Accuracy for images; for a Learner of the user's own its first metric, or the loss if it has none."
    if isinstance(data, ImageSet):
        return Measure()
    for name in data.metrics:
        if lower_is_better(name) is not None:
            return Measure.parse(name)
    if data.metrics:
        return Measure.parse(data.metrics[0])  # raises: is higher or lower better?
    return Measure.parse("loss")
