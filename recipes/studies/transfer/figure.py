"""The figure of `lrlab transfer`: the LR of every layer group over time, how far it moved, and the accuracy."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.captions import data_caption, if_shown, training_words
from lrlab.recipes.kitchen.text import plural, show_share
from lrlab.recipes.studies.transfer.arms import ARMS, against_slice

GROUP_COLOURS = ["#CC79A7", "#56B4E9", "#0072B2", "#000000"]  # from the stem to the head
HINTS = {
    "head_only": "body frozen",
    "slice": "tiny LRs early",
    "one_high_lr": "high LR everywhere",
    "one_low_lr": "low LR everywhere",
    "gradual": "slice, unfreezing",
    "scratch": "random weights",
}


def draw(
    runs: pd.DataFrame,
    epochs: pd.DataFrame,
    summary: pd.DataFrame,
    moved: pd.DataFrame,
    steps: dict[str, pd.DataFrame],
    config: dict,
    title: str,
) -> Figure:
    "One column an arm, best first: LRs above, movement in the middle. Below, the accuracies of all."
    order, groups = list(summary.schedule), list(moved.group.unique())
    colours = dict(zip(groups, GROUP_COLOURS[-len(groups) :], strict=False))
    look = style.style_of(list(ARMS))
    fig = Figure(figsize=(13, 8.2), layout="constrained")
    above, below = fig.subfigures(2, 1, height_ratios=(1.25, 1))
    axes = above.subplots(2, len(order), sharey="row", squeeze=False)
    for (lrs, movement), arm in zip(axes.T, order, strict=True):
        words = {"fontsize": 9.5, "fontweight": "bold", "color": style.text_colour(look[arm][0])}
        lrs.set_title(f"{arm}\n{HINTS[arm]}", **words)
        _lrs(lrs, steps[arm], colours)
        lrs.set_xlabel("epoch" if arm == "scratch" else "epoch after the head's", fontsize=9)
        _movement(movement, moved[moved.schedule == arm], colours)
    axes[0, 0].set_ylabel("learning rate\n(log scale)")
    axes[1, 0].set_ylabel("weights moved,\nrelative L2 (log scale)")
    handles = [axes[0, 0].plot([], [], color=colour, lw=2.5, label=group)[0] for group, colour in colours.items()]
    legend = {"loc": "outside upper right", "ncols": len(groups), "frameon": False, "fontsize": 9}
    above.legend(handles, groups, title="layer group, from the input to the head", **legend)
    curves, finals = below.subplots(1, 2)
    _curves(curves, epochs, order, look, config["data"]["majority"])
    _finals(finals, runs, summary, look)
    style.frame(fig, title, _caption(config, summary))
    return fig


def _caption(config: dict, summary: pd.DataFrame) -> str:
    question = config["question"]
    return (
        f"{data_caption(config['data'])}, {question['arch']}{training_words(question)}, batch size {question['bs']}, "
        f"{plural(int(summary.n.max()), 'seed')}. Every "
        f"arm: 1 epoch of the head on the frozen body, then {plural(question['epochs'], 'epoch')} of 1cycle. scratch: "
        f"random weights, {plural(question['epochs'] + 1, 'epoch')}. Movement: ||after - before|| / ||before|| of a "
        "group's weights over the arm's own epochs. Bars are means, dots the seeds. "
        f"Accuracy: mean{if_shown(summary.low, ' and 95 % interval over seeds')}. "
        "Differences to the slice are paired by seed."
    )


def _lrs(ax, steps: pd.DataFrame, colours: dict) -> None:
    "The LR of every group of one run; a frozen group has no line."
    lrs = lr_by_group(steps, len(colours))
    epoch = np.arange(len(lrs)) * steps.epoch.nunique() / len(lrs)
    for group, (name, colour) in enumerate(colours.items()):
        same = group + 1 < lrs.shape[1] and np.allclose(lrs[:, group], lrs[:, -1], equal_nan=True)
        ax.plot(epoch, lrs[:, group], color=colours[list(colours)[-1]] if same else colour, lw=1.8, label=name)
    ax.set(yscale="log", xlim=(0, steps.epoch.nunique()))
    style.plain(ax, whole_epochs=True)


def _movement(ax, moved: pd.DataFrame, colours: dict) -> None:
    for place, (group, colour) in enumerate(colours.items()):
        values = moved[moved.group == group].moved
        if values.max() == 0:
            ax.text(place, 0.03, "0", transform=ax.get_xaxis_transform(), ha="center", fontsize=9)
            continue
        ax.bar(place, values.mean(), color=colour, alpha=0.75, width=0.7)
        ax.plot(np.full(len(values), place), values, "o", color="white", mec="black", ms=3.5, mew=0.8)
        ax.text(place, values.max() * 1.35, _percent(values.mean()), ha="center", fontsize=7)
    ax.set(yscale="log", xlim=(-0.6, len(colours) - 0.4))
    ax.set_xticks(range(len(colours)), list(colours), fontsize=8.5)
    ax.set_ylim(bottom=1e-6, top=8)
    style.plain(ax)


def _percent(share: float) -> str:
    "Two digits, or one where zeros come first: more would run into the next bar."
    return f"{100 * share:.2g} %" if share >= 1e-3 else f"{100 * share:.1g} %"


def _curves(ax, epochs: pd.DataFrame, order: list[str], look: dict, majority: float) -> None:
    "Mean accuracy over seeds after every epoch, labelled at its end; scratch's first epoch is the others' head epoch."
    for arm in order:
        mean = epochs[epochs.schedule == arm].groupby("epoch").accuracy.mean()
        epoch = mean.index + (arm != "scratch")
        ax.plot(epoch, mean, color=look[arm][0], ls=look[arm][1], marker="o", ms=4, label=arm)
    ax.axhline(majority, color="#777777", ls=":", lw=1, label="most frequent class")
    ax.set_xlim(0.7, epochs.epoch.max() + 1.3 - (epochs.schedule == "scratch").any())
    ax.set(xlabel="epoch, the head's included", ylabel="validation accuracy (mean)")
    style.in_percent(ax.yaxis)
    low, high = ax.get_ylim()
    ax.set_ylim(low - 0.35 * (high - low), high)  # room for the legend below all curves
    ax.legend(fontsize=8.5, frameon=False, ncols=3, loc="lower right")
    style.plain(ax, whole_epochs=True)


def _finals(ax, runs: pd.DataFrame, summary: pd.DataFrame, look: dict) -> None:
    "A sorted dot plot with every seed, the interval, and the difference to the slice in words."
    reference = "slice" if (summary.schedule == "slice").any() else runs.schedule.iloc[0]
    for y, row in enumerate(summary.itertuples()):
        seeds = runs[(runs.schedule == row.schedule) & (runs.status == "ok")].accuracy
        interval = row.mean, row.low, row.high
        style.dot_row(ax, y, seeds, *interval, look[row.schedule][0], difference_words(summary.iloc[y], reference))
    ax.set_yticks(range(len(summary)), summary.schedule)
    compared = f"; points: difference to {reference}" if len(summary) > 1 else ""
    ax.set_xlabel(f"validation accuracy after the last epoch{compared}")
    ax.xaxis.set_major_locator(MaxNLocator(6))
    style.in_percent(ax.xaxis)
    style.dot_axes(ax, len(summary))


def difference_words(row: pd.Series, reference: str) -> str:
    "The accuracy of an arm and its difference to the reference, which has none where the reference diverged."
    if pd.isna(row["mean"]):
        return "diverged"
    if row.schedule == reference:
        return show_share(row["mean"])
    compared = "no comparison" if pd.isna(row["diff"]) else f"{100 * row['diff']:+.1f} points: {against_slice(row)}"
    return f"{show_share(row['mean'])}, {compared}"


def lr_by_group(steps: pd.DataFrame, n_groups: int) -> np.ndarray:
    "[steps, groups] LRs of one run, nan where a group is frozen."
    table = steps.pivot(index="step", columns="group", values="lr").reindex(columns=range(n_groups))
    return table.where(table > 0).to_numpy()
