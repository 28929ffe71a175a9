"""Whether anything was learned: beside the accuracy of always answering the most frequent class."""

from collections.abc import Iterable

from lrlab.recipes.kitchen.stats.measures import Measure


def majority_accuracy(config: dict, measure: Measure) -> float:
    "The accuracy of always answering the most frequent class; 0 where that is unknown or not what is judged."
    return config["data"].get("majority", 0.0) if measure.name == "accuracy" else 0.0


def nothing_learned(means: Iterable[float], majority: float, what: str) -> str:
    """The finding where no mean accuracy is above `majority`; empty where one is, or where `majority` is 0.

    >>> nothing_learned([0.5, 0.4], 0.5, "schedule"), nothing_learned([0.5, 0.6], 0.5, "schedule")
    ('Nothing was learned: no schedule beats the most frequent class', '')
    """
    known = [mean for mean in means if mean == mean]  # without those of arms that no run finished
    if majority and known and max(known) <= majority:
        return f"Nothing was learned: no {what} beats the most frequent class"
    return ""
