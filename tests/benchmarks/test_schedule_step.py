"""One update of LR and momentum over four parameter groups: lrlab's cost as a ratio to torch's and fastai's."""

from lrlab.recipes.studies.speed.scheduler_step import microseconds_per_update


def test_an_update_costs_half_of_torchs_at_most_and_a_twentieth_of_fastais():
    "A quarter to a third of torch's cheapest was measured on three kinds of processor, beside other tests too."
    best = microseconds_per_update()
    cheapest = min(cost for name, cost in best.items() if name.startswith("torch"))
    assert best["lrlab ScheduleLR"] <= cheapest / 2, best
    assert best["lrlab ScheduleLR"] <= best["fastai ParamScheduler"] / 20, best
