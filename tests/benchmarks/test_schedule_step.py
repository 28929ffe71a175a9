"""One update of LR and momentum over four parameter groups: lrlab's cost as a ratio to torch's and fastai's."""

from lrlab.recipes.studies.speed.scheduler_step import microseconds_per_update


def test_an_update_costs_a_third_of_torchs_and_a_twentieth_of_fastais():
    best = microseconds_per_update()
    cheapest = min(cost for name, cost in best.items() if name.startswith("torch"))
    assert best["lrlab ScheduleLR"] <= cheapest / 3, best
    assert best["lrlab ScheduleLR"] <= best["fastai ParamScheduler"] / 20, best
