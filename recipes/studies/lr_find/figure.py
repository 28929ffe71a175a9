"""The figure of `lrlab lr-find`: the loss against the LR, one line per seed, and what every rule suggests."""

import pandas as pd
from matplotlib.figure import Figure

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.lr_find_panel import DASHED, draw_curves, mark_suggestion
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion

RULES = {  # fastai's rules, in words
    "valley": "halfway along the longest fall",
    "slide": "before the loss rises",
    "minimum": "a tenth of the lowest loss's LR",
    "steep": "the steepest fall",
}
MOST_NAMED = 8  # seeds: more of them would fill the panel with their names


def draw(curves: pd.DataFrame, suggestions: pd.DataFrame, found: LRSuggestion, where: str) -> Figure:
    "The loss against the LR, one line per seed, and below it what every rule suggests for every seed."
    fig = Figure(figsize=(9, 5), layout="constrained")
    loss, rules = fig.subplots(2, 1, sharex=True, height_ratios=(3, 1.1))
    look = draw_curves(loss, curves, found)
    for i, (seed, (colour, _)) in enumerate(look.items()):
        own = suggestions[suggestions.seed == seed]
        places = [list(RULES).index(rule) + 0.6 * (i + 0.5) / len(look) - 0.3 for rule in own.rule]
        rules.plot(own.lr, places, "o", ms=5, color=colour, alpha=0.85)
    if 1 < len(look) <= MOST_NAMED:
        loss.legend(fontsize=8.5, frameon=False)
    rules.set(yticks=range(len(RULES)), ylim=(len(RULES) - 0.5, -0.5), xlabel="learning rate (log scale)")
    rules.set_yticklabels(list(RULES))
    rules.grid(axis="y", color="#EEEEEE")
    mark_suggestion(rules, found)
    style.plain(rules)
    rules_in_words = "; ".join(f"{rule}: {words}" for rule, words in RULES.items())
    dots = f"Dots: fastai's rules on every seed ({rules_in_words})."
    style.frame(fig, f"The range test suggests {found}", f"{where}. {DASHED if found.lr else ''} {dots}")
    return fig
