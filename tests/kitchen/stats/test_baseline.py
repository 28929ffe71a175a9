"""What is said where nothing was learned."""

import pandas as pd

from lrlab.recipes.kitchen.stats.baseline import majority_accuracy, nothing_learned
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.studies.transfer_vs_scratch.report import finding


def test_only_accuracy_has_the_most_frequent_class_beside_it():
    config = {"data": {"majority": 0.7}}
    assert majority_accuracy(config, Measure()) == 0.7
    assert majority_accuracy(config, Measure.of("-loss")) == majority_accuracy({"data": {}}, Measure()) == 0


def test_a_model_that_is_never_right_has_learned_nothing_either():
    said = nothing_learned([0.0, float("nan")], 0.5, "arm")
    assert said == "Nothing was learned: no arm beats the most frequent class"
    assert nothing_learned([0.0], 0.0, "arm") == nothing_learned([float("nan")], 0.5, "arm") == ""


def test_to_guess_is_no_accuracy_that_both_starts_reach():
    rows = [("pretrained", 1e-3, 1, 2, 0.9), ("scratch", 1e-3, 1, 2, 0.5), ("scratch", 1e-3, 2, 2, 0.4)]
    cells = pd.DataFrame(rows, columns=["start", "lr", "epochs", "n", "accuracy"])
    assert finding(cells, 0.5) == "Only pretrained models beat the most frequent class"
    assert finding(cells, 0.4) == "To reach 50.0 %: 1 epoch pretrained, 1 epoch from scratch"
