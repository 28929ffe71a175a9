"""How a comparison was made, in words: captions, the LRs and the cost of their tuning, and what it could see."""

import math
from collections.abc import Iterable

import pandas as pd

from lrlab.recipes.kitchen.figures.captions import data_caption, training_words
from lrlab.recipes.kitchen.learning_rates import LearningRate, format_number
from lrlab.recipes.kitchen.stats.band import band, judge_lrs
from lrlab.recipes.kitchen.stats.best import FEWEST_SEEDS
from lrlab.recipes.kitchen.stats.forecast import later_gap, shown_gap
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.text import list_epochs, plural, show_share
from lrlab.recipes.studies.compare.results import Results


def caption(results: Results, runs: pd.DataFrame) -> str:
    "n, data, budget and lr_max of a figure over `runs`, and how to read it."
    counts = runs.groupby(["budget", "schedule"]).seed.nunique()
    few, many = int(counts.min()), int(counts.max())
    seeds = plural(few, "seed") if few == many else f"{few} to {many} seeds"
    status = runs.status.value_counts()
    lost = "".join(f", {status[s]} {s}" for s in ("diverged", "failed") if s in status)
    budgets = sorted(runs.budget.unique())
    has_diamonds = len(results.cycles) and len(budgets) == 1
    diamonds = " Diamonds: the ends of cycles, where the LR is lowest." if has_diamonds else ""
    per_epoch = results.config["steps_per_epoch"]
    dotted = " Dotted: always answering the most frequent class." if results.majority else ""
    return (
        f"{where(results)}. {seeds} per schedule ({plural(len(runs), 'run')}{lost}), {list_epochs(budgets)} of "
        f"{plural(per_epoch, 'step')}. {lr_rule(results)} Bands and bars: 95 % t intervals over seeds. Grey: the "
        f"tolerance. Words: multiple comparison with the best, paired by seed.{dotted}{diamonds}"
    )


def where(results: Results) -> str:
    "Data, size and model."
    share = results.config["data"].get("majority")
    majority = f" (the most frequent class alone: {show_share(share)})" if share else ""
    model = f"{results.question['arch']}{training_words(results.question)}"
    return f"{data_caption(results.config['data'])}{majority}, model {model}"


def lr_rule(results: Results) -> str:
    "Which lr_max the schedules had."
    if results.question.get("tuning"):
        return "lr_max tuned for each schedule over one common grid."
    if results.question.get("lrs"):
        used = used_lrs(results, except_for=results.question["lrs"])
        return f"Untuned: lr_max = {' or '.join(used)}, except where the name of a schedule says another."
    return f"Untuned: every schedule used lr_max = {' or '.join(used_lrs(results))}."


def used_lrs(results: Results, except_for: Iterable[str] = ()) -> list[str]:
    "The different peak LRs of the runs, except for those of some schedules."
    runs = results.runs[~results.runs.schedule.isin(list(except_for))]
    return list(dict.fromkeys(map(results.acting_lr, runs.lr_max)))


def lr_find_words(results: Results) -> str:
    "What lr_find suggested, and its cost."
    cost, found = results.config.get("lr_find_cost", {}), LRSuggestion.of_config(results.config)
    return f"lr_find ({cost.get('steps', '?')} steps, {cost.get('seconds', 0):.0f} s) suggested {found}."


def tuning_words(results: Results) -> str:
    "How lr_max was tuned and what that cost, in runs and minutes, with a space before. Empty if it was not tuned."
    config, trials = results.config, results.trials
    if not results.question.get("tuning"):
        return ""
    tuned = config.get("tuned")
    spent = f"{len(trials)} runs, {trials.seconds.sum() / 60:.1f} min against {results.runs.seconds.sum() / 60:.1f} min"
    if tuned is None:
        return f" The tuning of lr_max is not finished ({spent} so far)."
    n, is_wider = len(tuned["grid"]), " (the grid was widened)" if tuned["added"] else ""
    fewest = trials.groupby(["budget", "schedule"]).lr_max.nunique().min()
    tried = f"at least {fewest} of the" if fewest < n else "the same"  # merged folders may have widened the grid
    text = (
        f" Every schedule tried {tried} {n} LRs, {', '.join(tuned['grid'])}{is_wider}, with "
        f"{plural(len(tuned['seeds']), 'seed')} that the comparison does not use. It kept the LR with the best "
        f"validation {results.measure.label}. Cost: {spent} for the comparison itself."
    )
    if tuned["at_edge"]:
        text += f" Still at the edge of the grid: {', '.join(tuned['at_edge'])}."
    return text + (safe_words(results) if len(tuned["seeds"]) >= FEWEST_SEEDS else "")


def safe_words(results: Results) -> str:
    "The safe band of every schedule (`lrlab lr-band`) from the runs that tuned the longest budget, a space before."
    trials, measure = results.trials, results.measure
    own = trials[(trials.budget == trials.budget.max()) & (trials.status != "failed")]
    values = {measure.name: own[measure.column()]}
    tables = judge_lrs(own.assign(**values), measure.judge, results.tolerance).groupby("schedule", sort=False)
    bands = {schedule: found for schedule, table in tables if (found := band(table))}
    if not bands:
        return ""
    spans = [f"{name} {' to '.join(dict.fromkeys(map(format_number, ends)))}" for name, ends in bands.items()]
    return f" Shown to miss less than {measure.tolerance_words(results.tolerance)} there: {', '.join(spans)}."


def tuning_finding(chosen: dict[str, str]) -> str:
    "The title of the tuning figure."
    if not chosen:
        return "The learning rates tried so far"
    if len(set(chosen.values())) == 1:
        return f"Every schedule does best at lr_max = {next(iter(chosen.values()))}"
    lowest, *_, highest = sorted(set(chosen.values()), key=lambda lr_max: LearningRate.parse(lr_max).peak)
    return f"The best lr_max depends on the schedule: from {lowest} to {highest}"


def budgets_finding(summary: pd.DataFrame) -> str:
    "The title of the budget figure: the recommended schedule of each budget, and how many others are still open."
    parts = []
    for budget in sorted(summary.budget.unique()):
        own, epochs = summary[summary.budget == budget], plural(int(budget), "epoch")
        best = own[own.verdict == "best"]
        if best.empty:
            parts.append(f"{epochs}: nothing finished")
            continue
        count = int((own.verdict == "open").sum())
        parts.append(f"{epochs}: {best.schedule.iloc[0]}" + (f" leads, {count} open" if count else ""))
    return "; ".join(parts)


def question(results: Results) -> str:
    "What the comparison was asked."
    n, data = len(results.schedules), results.config["data"].get("title", results.question["data"])
    budgets, lrs = results.question["epochs"], results.question.get("lrs")
    what = plural(n, "learning-rate schedule") + ", at several peak LRs," * bool(lrs)
    return f"Which of {what} trains {results.question['arch']} best on {data} in {list_epochs(budgets)}?"


def gaps(results: Results, ranked: pd.DataFrame) -> str:
    "Which gaps these runs show, and which ones twice as many seeds would show. Empty for too few seeds."
    gap, n = shown_gap(ranked), int(ranked.n.max())
    if math.isnan(gap):
        return ""
    if results.measure.is_share and gap >= 1:
        return "These runs show no gap: they are too few, or validated on too few images."
    later = f" With {2 * n} seeds it would be about {_gap_words(later_gap(gap, n, 2 * n), results)}."
    has_equal_seeds = ranked.n.nunique() == 1 and gap > 0
    return f"These runs show gaps of about {_gap_words(gap, results)}; smaller stay open.{later * has_equal_seeds}"


def _gap_words(gap: float, results: Results) -> str:
    measure = results.measure
    return f"{100 * gap:.1f} points" if measure.is_share else f"{gap:.3g} of {measure.label}"


def far_from_suggestion(results: Results) -> str:
    "A sentence if all schedules used one LR, which is far from the range that lr_find suggests."
    used = used_lrs(results)
    if len(used) != 1 or results.question.get("tuning"):
        return ""
    distance = LRSuggestion.of_config(results.config).distance(LearningRate.parse(used[0]).peak)
    return f"The lr_max of all runs, {used[0]}, is {distance}. Another may change the order." if distance else ""
