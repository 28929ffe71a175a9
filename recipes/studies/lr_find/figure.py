"""The figure of `lrlab lr-find`: the loss against the LR, one line per seed, and what every rule suggests."""

import pandas as pd
from matplotlib.figure import Figure

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.learning_rates import format_number

RULES = {  # fastai's rules, in words
    "valley": "two thirds down the longest fall",
    "slide": "before the loss rises",
    "minimum": "a tenth of the lowest loss's LR",
    "steep": "the steepest fall",
}


def draw(curves: pd.DataFrame, suggestions: pd.DataFrame, lr: float | None, ends: list[float], where: str) -> Figure:
    "The loss against the LR, one line per seed, and below it what every rule suggests for every seed."
    fig = Figure(figsize=(9, 5), layout="constrained")
    loss, rules = fig.subplots(2, 1, sharex=True, height_ratios=(3, 1.1))
    seeds = list(curves.seed.unique())
    for i, (seed, (colour, dash)) in enumerate(style.style_of(seeds).items()):
        curve, own = curves[curves.seed == seed], suggestions[suggestions.seed == seed]
        loss.plot(curve.lr, curve.loss, color=colour, ls=dash, lw=1.4, alpha=0.85, label=f"seed {seed}")
        places = [list(RULES).index(rule) + 0.6 * (i + 0.5) / len(seeds) - 0.3 for rule in own.rule]
        rules.plot(own.lr, places, "o", ms=5, color=colour, alpha=0.85)
    start = curves.groupby("seed").loss.first()
    low, high = curves.loss.min(), start.max()
    loss.set(xscale="log", ylim=(low - 0.15 * (high - low), high + 0.6 * (high - low)), ylabel="smoothed training loss")
    if len(seeds) > 1:
        loss.legend(fontsize=8.5, frameon=False)
    rules.set(yticks=range(len(RULES)), ylim=(len(RULES) - 0.5, -0.5), xlabel="learning rate (log scale)")
    rules.set_yticklabels(list(RULES))
    rules.grid(axis="y", color="#EEEEEE")
    for ax in (loss, rules):
        if ends and ends[0] < ends[1]:
            ax.axvspan(*ends, color=style.OTHERS, alpha=0.35, lw=0)
        if lr:
            ax.axvline(lr, color=style.SOFT, lw=1, ls="--")
        style.plain(ax)
    title = f"The range test suggests an LR of about {format_number(lr)}" if lr else "The range test suggests no LR"
    dashed = " Dashed: the median over seeds of the valley rule. Grey band: its range." if lr else ""
    rules_in_words = "; ".join(f"{rule}: {words}" for rule, words in RULES.items())
    style.frame(fig, title, f"{where}.{dashed} Dots: fastai's rules on every seed ({rules_in_words}).")
    return fig
