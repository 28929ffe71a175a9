"""The result of a comparison in words: its finding, its table, its advice, and the code that uses it."""

import ast
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lrlab.recipes.kitchen.learning_rates import LearningRate, format_number
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision
from lrlab.recipes.kitchen.stats.power import POWER, seeds_to_separate
from lrlab.recipes.kitchen.stats.summary import top_two
from lrlab.recipes.studies.compare.results import Results


def finding(summary: pd.DataFrame, reference: str) -> str:
    "One sentence for the title: who is better or worse than the reference, or that nobody can be told apart."
    if summary.n.max() == 0:
        return "No run finished: every schedule diverged or failed"
    if reference not in set(summary.schedule):
        best = summary.iloc[0]
        return f"{reference} was not run at this budget; {best.schedule} has the highest mean, {best.accuracy_mean:.1%}"
    others = summary[summary.schedule != reference]
    if others.empty:
        return f"{reference} reaches {summary.accuracy_mean.iloc[0]:.1%}; there is nothing to compare it with"
    finished = others[others.n > 0]
    better, worse = (finished[finished.verdict == verdict] for verdict in ("better", "worse"))
    lost = others[others.n == 0]
    parts = []
    if len(better):
        leads = ", ".join(
            row.schedule + (f" by {100 * row['diff']:.1f} points" if row["diff"] > 0 else "")
            for _, row in better.iterrows()
        )
        parts.append(f"better than {reference}: {leads}")
    if len(worse):
        parts.append(f"worse than {reference}: {', '.join(worse.schedule)}")
    if len(lost):
        parts.append(f"{', '.join(lost.schedule)} did not finish")
    tied = len(finished) - len(better) - len(worse)
    if not parts:
        return f"No schedule can be told apart from {reference} with {plural(int(summary.n.max()), 'seed')}"
    if tied:
        parts.append(f"the other {tied} tied with it" if tied > 1 else "the other one tied with it")
    text = "; ".join(parts)
    return text[0].upper() + text[1:] if text.startswith(("better", "worse")) else text


def ranked_table(summary: pd.DataFrame, reference: str) -> str:
    "The summary of one budget for the terminal: percent, points, n and verdict, best mean first."
    points = f"points vs {reference}"
    measured = f"{summary.measured_on.iloc[0]} accuracy % (95 %)"
    head = f"{'schedule':<28} {'lr_max':<18} {'n':>2}  {measured:<27} {points:<26} verdict"
    lines = [head, "-" * len(head)]
    for _, row in summary.iterrows():
        accuracy = interval(row.accuracy_mean, row.accuracy_low, row.accuracy_high)
        difference = "reference" if row.schedule == reference else interval(
            row["diff"], row.diff_low, row.diff_high, sign="+")  # fmt: skip
        name = row.schedule if len(row.schedule) <= 28 else row.schedule[:27] + "…"
        line = f"{name:<28} {row.lr_max:<18} {row.n:>2}  {accuracy:<27} {difference:<26} {judgement(row, reference)}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def judgement(row: pd.Series, reference: str) -> str:
    "The verdict of one row of the summary, and what it lost."
    lost = [f"{row[status]} {status}" for status in ("diverged", "failed") if row[status]]
    shown = "" if row.schedule == reference or (row.n == 0 and not row.diverged) else row.verdict
    return ", ".join(filter(None, [shown, *lost]))


def interval(mean: float, low: float, high: float, sign: str = "") -> str:
    "Fractions as percent: 97.1 (96.0 to 98.2)."
    if pd.isna(mean):
        return "-"
    mean, low, high = 100 * mean, 100 * low, 100 * high
    return f"{mean:{sign}.1f}" if pd.isna(low) else f"{mean:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"


def ties(summary: pd.DataFrame, reference: str) -> str:
    "Which schedules the data cannot separate from the reference, and which from the best."
    finished = summary[summary.n > 0]
    tied = ", ".join(finished.schedule[(finished.schedule != reference) & (finished.verdict == "tied")]) or "none"
    lines = f"Tied with {reference} (the interval of the difference contains 0): {tied}."
    if reference not in set(summary.schedule):
        lines = f"{reference} was not run at this budget, so nothing is compared with it."
    front = summary[summary.leads.astype(bool)]
    if len(front) > 1:
        first, *rest = front.schedule
        lines += f"\nNo winner: {first} has the highest mean, and cannot be told apart from {', '.join(rest)}."
    elif len(front) == 1 and len(finished) > 1:
        lines += f"\nAhead of every other schedule, by Holm's correction over all pairs: {front.schedule.iloc[0]}."
    return lines


def seeds_needed(runs: pd.DataFrame, summary: pd.DataFrame) -> str:
    "What it would take to separate the two highest means of one budget."
    pair = top_two(runs, summary)
    if pair is None:
        return "There are no two schedules to separate."
    first, second, differences = pair
    if len(differences) < 2:
        return f"How many seeds would separate {first} from {second}: unknown, it takes two common seeds to guess."
    seeds = seeds_to_separate(differences)
    spread = differences.std(ddof=1)
    seen = f"they differ by {100 * differences.mean():+.2f} points, with a spread of {100 * spread:.2f} over seeds"
    needed = "more than 10,000" if seeds is None else f"about {seeds:,}"
    return f"To separate {first} from {second} with {POWER:.0%} power: {needed} seeds ({seen})."


@dataclass
class Advice:
    "What to use: the schedule with the highest mean, its LR and budget, and why (or why it does not matter)."

    schedule: str
    call: str  # its constructor call
    lr_max: LearningRate
    epochs: int
    why: str


def advice(results: Results, summary: pd.DataFrame) -> Advice | None:
    """The highest mean of those that finished every seed, over all budgets; None if nothing finished.

    Honest about what that is worth: `why` says which others do as well as far as these runs can tell.
    """
    finished = summary[summary.n > 0]
    if finished.empty:
        return None
    whole = finished[(finished.diverged == 0) & (finished.failed == 0)]
    best = (whole if len(whole) else finished).sort_values("accuracy_mean", ascending=False, kind="stable").iloc[0]
    same = summary[summary.budget == best.budget]
    rivals = list(same.schedule[same.leads.astype(bool) & (same.schedule != best.schedule)])
    mean = interval(best.accuracy_mean, best.accuracy_low, best.accuracy_high)
    why = f"highest mean {best.measured_on} accuracy, {mean} %"
    why += f" over {plural(int(best.n), 'seed')}"
    if rivals:
        why += f"; not a proven winner: {', '.join(rivals)} cannot be told apart from it"
    elif (same.n > 0).sum() > 1:
        why += "; every other schedule is behind it beyond chance"
    if summary.budget.nunique() > 1:
        why += _over_budgets(summary, best)
    if len(whole) == 0:
        why += f"; but it lost {int(best.diverged + best.failed)} of its runs"
    call = results.question["schedules"][str(int(best.budget))][best.schedule]
    return Advice(best.schedule, call, LearningRate.parse(best.lr_max), int(best.budget), why)


def _over_budgets(summary: pd.DataFrame, best: pd.Series) -> str:
    own = summary[(summary.schedule == best.schedule) & (summary.budget != best.budget) & (summary.n > 0)]
    shown = ", ".join(f"{100 * row.accuracy_mean:.1f} % in {int(row.budget)}" for _, row in own.iterrows())
    return f"; it reaches {shown} epochs" if shown else ""


def code(advice: Advice, config: dict) -> str:
    """Python that trains with the advice and runs as pasted: plain fastai for a folder of images.

    Data sets that are no folder, and weights that come in a pip package or a file, are built by lrlab's own `build`.
    """
    imports = sorted({name for name in callbacks_in(advice.call)} | {"StopOnDivergence"})
    question = config["question"]
    plain = (
        Path(config["data"].get("source", "")).is_absolute()
        and "of" not in config["data"]
        and question["arch"] != "efficientnet_lite0"
        and not question.get("weights")
    )
    if plain:
        repair = "from lrlab.recipes import prepare_torchvision; prepare_torchvision()  # torchvision of another torch"
        lines = [*([repair] if prepare_torchvision() else []), "from fastai.vision.all import *"]
    else:
        lines = ["from lrlab.recipes.kitchen.workloads import build"]
    lines.append(f"from lrlab.callbacks import {', '.join(imports)}")
    lines += ["", *(_plain_learner(config) if plain else _built_learner(question))]
    lr = LearningRate(advice.lr_max.peak) if question["arch"] == "small" else advice.lr_max
    lines.append(f"learn.fit_schedule({advice.epochs}, {advice.call}, lr_max={lr}, cbs=StopOnDivergence())")
    return "\n".join(lines)


def callbacks_in(call: str) -> set[str]:
    "The names that a constructor call needs from lrlab.callbacks."
    return {node.id for node in ast.walk(ast.parse(call)) if isinstance(node, ast.Name)}


def _built_learner(question: dict) -> list[str]:
    keys = ["data", "arch", "size", "bs", *(["weights"] if question.get("weights") else [])]
    arguments = ", ".join(f"{key}={question[key]!r}" for key in keys)
    return [f"learn = build({arguments})  # or your own Learner", *_warm_up(question)]


def _warm_up(question: dict) -> list[str]:
    "What every run did first (`Workload.warm_up_head`): a random head on a pretrained body would spoil it."
    pretrained = question["arch"] != "small" and not question.get("scratch")
    if not pretrained or not question.get("head_epochs"):
        return []
    head_alone = f"learn.fit_one_cycle({question['head_epochs']}, {format_number(question['head_lr'])})"
    return ["learn.freeze()", f"{head_alone}  # the new head alone", "learn.unfreeze()"]


def _plain_learner(config: dict) -> list[str]:
    question, data = config["question"], config["data"]
    folders = data.get("folders")
    split = f"train={folders['train']!r}, valid={folders['valid']!r}" if folders else "valid_pct=0.25, seed=42"
    lines = [
        f"dls = ImageDataLoaders.from_folder({data['source']!r}, {split},",
        f"    item_tfms=Resize({data['size']}), batch_tfms=Flip(), bs={question['bs']})",
    ]
    if question["arch"] == "small":
        stride = 2 if data["size"] >= 48 else 1
        return [
            *lines,
            f"model = nn.Sequential(ConvLayer(3, 16, stride={stride}), ResBlock(1, 16, 32, stride=2),",
            "    ResBlock(1, 32, 64, stride=2), ResBlock(1, 64, 128, stride=2),",
            "    nn.AdaptiveAvgPool2d(1), Flatten(), nn.Linear(128, dls.c))",
            "learn = Learner(dls, model, metrics=accuracy)",
        ]
    return [
        *lines,
        f"learn = vision_learner(dls, {question['arch']!r}, metrics=accuracy)"
        if not _in_torchvision(question["arch"])
        else f"learn = vision_learner(dls, {question['arch']}, metrics=accuracy)",
        *(_warm_up(question) or ["learn.unfreeze()"]),  # vision_learner has frozen the body
    ]


def _in_torchvision(arch: str) -> bool:
    import torchvision.models

    return arch in torchvision.models.list_models()


def advice_text(advice: Advice, config: dict) -> str:
    "The end of what the terminal shows: what to use, why, and the code."
    lines = [f"Use: {advice.schedule}, lr_max = {advice.lr_max}, {plural(advice.epochs, 'epoch')}."]
    lines += textwrap.wrap(f"Why: {advice.why}.", 110, subsequent_indent="     ")
    return "\n".join([*lines, "", textwrap.indent(code(advice, config), "    ")])


def plural(n: int, noun: str) -> str:
    "1 epoch, 2 epochs."
    return f"{n:,} {noun}{'s' * (n != 1)}"
