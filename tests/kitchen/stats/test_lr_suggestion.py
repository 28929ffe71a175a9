"""One LR and a range from several seeds, some of which may suggest nothing."""

import pytest

from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion


@pytest.mark.parametrize(
    "lrs, lr, ends, words",
    [
        ([3e-3, 1e-1, 4e-3], 4e-3, [3e-3, 1e-1], "4e-3 (3e-3 to 1e-1 over 3 seeds)"),  # one wild seed changes nothing
        ([1e-4, 1e-2], 1e-3, [1e-4, 1e-2], "1e-3 (1e-4 to 1e-2 over 2 seeds)"),  # the middle of a log axis
        ([3e-3, None, 4e-3], 3.5e-3, [3e-3, 4e-3], "3.5e-3 (3e-3 to 4e-3 over 2 of 3 seeds)"),
        ([None, 3e-3, None], 3e-3, [3e-3, 3e-3], "3e-3 (1 of 3 seeds)"),
        ([3.63078e-3], 3.6e-3, [3.6e-3, 3.6e-3], "3.6e-3 (1 seed)"),
        ([None, None], None, [], "no LR"),
    ],
)
def test_the_median_and_the_range_over_the_seeds_that_suggest(lrs, lr, ends, words):
    found = LRSuggestion(dict(enumerate(lrs)))
    assert (found.lr, found.range, str(found)) == (lr, ends, words)


def test_only_an_lr_far_outside_the_range_is_worth_words():
    found = LRSuggestion({0: 1e-3, 1: 4e-3})
    assert not any(map(found.distance, (4e-4, 1e-3, 4e-3, 1.1e-2)))
    assert found.distance(4e-2) == "10 times the highest LR that lr_find suggests, 2e-3 (1e-3 to 4e-3 over 2 seeds)"
    assert found.distance(1e-4).startswith("1/10 of the lowest LR that lr_find suggests, 2e-3")
    assert LRSuggestion({0: None}).distance(10.0) == ""


def test_a_manifest_of_lrlab_1_0_has_one_seed():
    assert str(LRSuggestion.of_config({"lr_find": 3.6e-3, "lr_find_cost": {"steps": 99}})) == "3.6e-3 (1 seed)"
    assert LRSuggestion.of_config({}).lr is None
    stored = {"lr_find": 3e-3, "lr_find_by_seed": {"0": 3e-3, "7": None}}
    assert LRSuggestion.of_config(stored).by_seed == {0: 3e-3, 7: None}
