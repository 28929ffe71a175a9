"""What the measurements of `lrlab speed` say: ratios with their spread, sentences, and the figure."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.stats.intervals import mean_interval
from lrlab.recipes.kitchen.text import percent, text_table

RUNS, EPOCHS = 40, 4  # of `lrlab compare`: five seeds of eight schedules
STOCK, SMALL_FILES, LRLAB = "stock fastai, from files", "stock fastai, from small copies", "lrlab"
BARE = "bare PyTorch"


def minutes(table: pd.DataFrame, epochs: int) -> dict[str, np.ndarray]:
    "Minutes for the runs of `lrlab compare` by arm, one value per repeat: start-up once, then the runs."
    runs, start = (table[table.part == part] for part in ("run", "start-up"))
    found = {}
    for arm in runs.arm.unique():
        per_run = runs[runs.arm == arm].groupby("repeat").value.mean()
        own = start[start.arm == (LRLAB if arm == LRLAB else STOCK)].groupby("repeat").value.mean()
        found[arm] = ((RUNS * EPOCHS / epochs * per_run + own) / 60).to_numpy()
    return found


def ratios(table: pd.DataFrame, epochs: int) -> dict[str, np.ndarray]:
    "Every ratio of the report, one value per repeat: how many times as fast, or the share of the limit."
    took = minutes(table, epochs)
    found = {f"{arm} / lrlab, minutes to the decision": took[arm] / took[LRLAB] for arm in (STOCK, SMALL_FILES)}
    for part in [p for p in table.part.unique() if p.startswith("one process")]:
        speed = _by_arm(table, part)
        for arm in (arm for arm in speed if arm.startswith(BARE)):
            found[f"lrlab / {arm}, images/s in {part}"] = (speed[LRLAB] / speed[arm]).to_numpy()
    for part in ("factor", "processes"):
        speed = _by_arm(table, part)
        for before, after in zip(speed, list(speed)[1:], strict=False):
            found[f"factor of {after.removeprefix('+ ')}"] = (speed[after] / speed[before]).to_numpy()
    cost = table[table.part == "step"].set_index("arm").value
    cheapest = cost[cost.index.str.startswith("torch")].min()
    found["lrlab / torch's cheapest, one scheduler step"] = np.array([cost["lrlab ScheduleLR"] / cheapest])
    found["lrlab / fastai, one scheduler step"] = np.array([cost["lrlab ScheduleLR"] / cost["fastai ParamScheduler"]])
    return found


def _by_arm(table: pd.DataFrame, part: str) -> pd.DataFrame:
    "[repeats, arms] values of one part, the arms in their own order."
    own = table[table.part == part]
    return own.pivot(index="repeat", columns="arm", values="value")[list(dict.fromkeys(own.arm))]


def sentences(table: pd.DataFrame, epochs: int) -> list[str]:
    "The ratios with their spread, and whether the accuracies agree."
    rows = [
        {
            "ratio": name,
            "median": f"{np.median(values):.2f}",
            "lowest": f"{values.min():.2f}",
            "highest": f"{values.max():.2f}",
        }
        for name, values in ratios(table, epochs).items()
    ]
    lines = ["", text_table(rows), ""]
    accuracy = table[table.part == "accuracy"]
    for arm, took in minutes(table, epochs).items():
        shown = percent(*mean_interval(accuracy[accuracy.arm == arm].value))
        lines.append(f"{arm}: {np.median(took):.1f} minutes to the decision of lrlab compare, accuracy {shown} %")
    return [*lines, same_accuracy(accuracy)]


def same_accuracy(accuracy: pd.DataFrame) -> str:
    "The difference of lrlab's and the stock loop's accuracy, with Welch's 95 % interval."
    ours, stock = (accuracy[accuracy.arm == arm].value.to_numpy() for arm in (LRLAB, STOCK))
    if min(len(ours), len(stock)) < 2:
        return "One accuracy each does not tell whether lrlab's is the same: more --repeats would."
    interval = stats.ttest_ind(ours, stock, equal_var=False).confidence_interval(0.95)
    points = (
        f"{100 * (ours.mean() - stock.mean()):+.1f} points ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"
    )
    verdict = "equal within noise" if interval.low <= 0 <= interval.high else "not equal"
    return f"Accuracy of lrlab against stock fastai: {points}, {verdict}."


def draw(table: pd.DataFrame, config: dict) -> Figure:
    "Minutes to a decision, images per second of one process by factor, and the cost of a scheduler step."
    fig = Figure(figsize=(13, 4.2), layout="constrained")
    grid, factors, steps = fig.subplots(1, 3, width_ratios=(1.1, 1.1, 1))
    took = minutes(table, config["question"]["epochs"])
    _bars(grid, took, f"minutes to the decision: {RUNS} runs of {EPOCHS} epochs", "{:.1f}")
    speeds = pd.concat([_by_arm(table, "factor"), _by_arm(table, "processes").add_prefix("lrlab, ")], axis=1)
    _bars(factors, {arm: speeds[arm].to_numpy() for arm in speeds}, "training images per second", "{:,.0f}")
    cost = table[table.part == "step"].set_index("arm").value
    rivals = [arm for arm in cost.index if arm.startswith("torch")]
    shown = [arm for arm in cost.index if arm.startswith(("lrlab", "timm", "fastai"))]
    shown = [shown[0], min(rivals, key=cost.get), max(rivals, key=cost.get), *shown[1:]]
    _bars(steps, {arm: np.array([cost[arm]]) for arm in shown}, "µs per step, four groups (log)", "{:.1f}", log=True)
    titles = ("lrlab compare", "where it comes from", "one LR + momentum update")
    for ax, title in zip((grid, factors, steps), titles, strict=True):
        ax.set_title(title, fontsize=11)
    gain, machine, question = np.median(took[STOCK] / took[LRLAB]), config["machine"], config["question"]
    caption = (
        f"Solar cells, small model, {question['size']} px, batch 64; {machine['cpu']}, {machine['cores']} cores, "
        f"{config['device']}. Bars: median. Dots: every repeat (n = {question['repeats']}), the arms in turns. "
        "lrlab takes bf16 only where it measures a gain."
    )
    style.frame(fig, f"lrlab answers {gain:.0f} times as fast as a stock fastai loop", caption)
    return fig


def _bars(ax, values: dict[str, np.ndarray], label: str, form: str, log: bool = False) -> None:
    names = list(values)
    medians = [np.median(values[name]) for name in names]
    colours = [style.COLOURS[2] if name.startswith("lrlab") else "#9AA5B1" for name in names]
    ax.barh(range(len(names)), medians, color=colours, height=0.62)
    for row, name in enumerate(names):
        ax.plot(values[name], np.full(len(values[name]), row), "o", ms=3.5, color="black", alpha=0.6)
        end = max(values[name].max(), medians[row])
        ax.text(end, row, "  " + form.format(medians[row]), va="center", fontsize=9).set_in_layout(False)
    ax.set(yticks=range(len(names)), ylim=(len(names) - 0.4, -0.6), xlabel=label)
    ax.set_yticklabels([name.replace(", ", ",\n") for name in names], fontsize=9)
    ax.set_xscale("log" if log else "linear")
    ax.margins(x=0.18)
    ax.set_xlim(right=(4 if log else 1.2) * max(map(np.max, values.values())))  # with room for the last number
    style.plain(ax)
