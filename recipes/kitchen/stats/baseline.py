"""Whether anything was learned: beside the accuracy of always answering the most frequent class."""

import math
from collections.abc import Iterable

from lrlab.recipes.kitchen.stats.measures import Measure


def majority_accuracy(config: dict, measure: Measure) -> float:
    "The accuracy of always answering the most frequent class; 0 where that is unknown or not what is judged."
    return config["data"].get("majority", 0.0) if measure.name == "accuracy" else 0.0


def has_learned(means: Iterable[float], majority: float) -> bool:
    """Whether any mean accuracy is above `majority`; True where `majority` is 0, or no mean is known (nan).

    >>> has_learned([0.5, 0.6], 0.5), has_learned([0.5, 0.4], 0.5), has_learned([0.5], 0.0)
    (True, False, True)
    """
    known = [mean for mean in means if not math.isnan(mean)]
    return not majority or not known or max(known) > majority


def nothing_learned(means: Iterable[float], majority: float, what: str) -> str:
    """The finding where nothing was learned, by `has_learned`; else empty.

    >>> nothing_learned([0.5, 0.4], 0.5, "schedule"), nothing_learned([0.5, 0.6], 0.5, "schedule")
    ('Nothing was learned: no schedule beats the most frequent class', '')
    """
    return "" if has_learned(means, majority) else f"Nothing was learned: no {what} beats the most frequent class"
