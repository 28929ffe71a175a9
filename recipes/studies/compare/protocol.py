"""How a comparison was made, in words: captions, the cost of the tuning, the rules, and their limits."""

import math

import pandas as pd

from lrlab.recipes.kitchen.figures.captions import data_caption, training_words
from lrlab.recipes.kitchen.learning_rates import LearningRate, format_number
from lrlab.recipes.kitchen.stats.band import band, judge_lrs
from lrlab.recipes.kitchen.stats.best import FEWEST_SEEDS
from lrlab.recipes.kitchen.stats.forecast import later_gap, shown_gap
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.text import plural
from lrlab.recipes.studies.compare.results import Results

ENOUGH_SEEDS = 5


def caption(results: Results, runs: pd.DataFrame) -> str:
    "n, data, budget and lr_max of a figure over `runs`, and how to read it."
    counts = runs.groupby(["budget", "schedule"]).seed.nunique()
    few, many = int(counts.min()), int(counts.max())
    seeds = plural(few, "seed") if few == many else f"{few} to {many} seeds"
    status = runs.status.value_counts()
    lost = "".join(f", {status[s]} {s}" for s in ("diverged", "failed") if s in status)
    budgets = sorted(runs.budget.unique())
    epochs = _epochs(budgets)
    has_diamonds = len(results.cycles) and len(budgets) == 1
    diamonds = " Diamonds: the ends of cycles, where the LR is lowest." if has_diamonds else ""
    dotted = " Dotted: always answering the most frequent class." if results.majority else ""
    return (
        f"{where(results)}. {seeds} per schedule ({len(runs)} runs{lost}), {epochs} of {steps_per_epoch(results)} "
        f"steps. {lr_rule(results)} Bands and bars: 95 % t intervals over seeds. Grey: the tolerance. Words: multiple "
        f"comparison with the best, paired by seed.{dotted}{diamonds}"
    )


def where(results: Results) -> str:
    "Data, size and model."
    share = results.config["data"].get("majority")
    majority = f" (the most frequent class alone: {share:.1%})" if share else ""
    model = f"{results.question['arch']}{training_words(results.question)}"
    return f"{data_caption(results.config['data'])}{majority}, model {model}"


def lr_rule(results: Results) -> str:
    "Which lr_max the schedules had."
    if results.question.get("tuning"):
        return "lr_max tuned for each schedule over one common grid."
    if results.question.get("lrs"):
        named = results.runs.schedule.isin(list(results.question["lrs"]))
        used = " or ".join(dict.fromkeys(map(results.acting_lr, results.runs.lr_max[~named])))
        return f"Untuned: lr_max = {used}, except where the name of a schedule says another."
    return f"Untuned: every schedule used lr_max = {' or '.join(_used_lrs(results))}."


def _used_lrs(results: Results) -> list[str]:
    return list(dict.fromkeys(map(results.acting_lr, results.runs.lr_max)))


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


def _epochs(budgets: list[int]) -> str:
    "1 epoch; 3, 6 and 12 epochs."
    *others, last = map(int, budgets)
    return f"{', '.join(map(str, others))} and {last} epochs" if others else plural(last, "epoch")


def steps_per_epoch(results: Results) -> int:
    return int(results.config["steps_per_epoch"])


def question(results: Results) -> str:
    "What the comparison was asked."
    n, data = len(results.schedules), results.config["data"].get("title", results.question["data"])
    budgets, lrs = results.question["epochs"], results.question.get("lrs")
    epochs = _epochs(budgets)
    what = plural(n, "learning-rate schedule") + ", at several peak LRs," * bool(lrs)
    return f"Which of {what} trains {results.question['arch']} best on {data} in {epochs}?"


def rules(results: Results) -> list[str]:
    "The protocol that was followed, rule by rule."
    question, images = results.question, results.config["data"]["images"]
    what = "images" if "size" in results.config["data"] else "data"
    measured = f"validation {what}; there is no test set"
    if "test" in images:
        measured = f"test {what}, by which nothing was chosen"
    is_split_by_seed = results.config["data"].get("split") == "by seed"
    followed = [
        "Equal budgets: every schedule makes the same number of optimizer steps and is planned to finish within them. "
        "Several budgets are trained separately, never read off a longer run (Li et al. 2020, arXiv:1905.04753).",
        "Same seed, same start: every schedule gets the same initial weights, batch order and augmentation"
        f"{', and the same split into training and validation images' * is_split_by_seed}. So differences are taken "
        "within a seed.",
        f"{lr_find_words(results)}{tuning_words(results) or ' ' + lr_rule(results)}",
        f"Judged by {results.measure.label} after the last step, on the {measured}. runs.csv also has the best epoch; "
        "nothing is ranked by it.",
        "Cyclic schedules are also read at the ends of their cycles (diamonds, cycles.csv). Between them the LR is "
        "high, and a run is not what the schedule can deliver.",
        "Statistics: means with 95 % Student t intervals over seeds. They are right for few, nearly normal values, "
        "where a bootstrap is too narrow. The words come from a multiple comparison with the best (Hsu 1984), "
        "paired by seed, that counts in that the same numbers chose the best. Differences within the tolerance of "
        f"{results.measure.tolerance_words(results.tolerance)} do not matter. A schedule that diverged on a seed which "
        "the recommended one finished is behind.",
        f"One precision ({question.get('precision', 'that of the Learner')}) and "
        f"{plural(question['threads'], 'processor thread')} for every run: the last bits of a sum depend on them.",
    ]
    if results.looks > 1:
        followed.append(
            f"These runs are judged {results.looks} times in all, after the first seeds and after more. Each time "
            "spends an equal part of the 5 % that a word may be wrong."
        )
    followed += [stage["text"] for stage in results.config.get("asked", {}).values() if stage]
    if question.get("head_epochs") and question["arch"] != "small" and not question.get("scratch"):
        epochs = plural(question["head_epochs"], "epoch")
        followed.append(f"Before every run the new head was trained alone for {epochs}, beyond the budget.")
    return followed


def limits(results: Results, summary: pd.DataFrame) -> list[str]:
    "What this comparison cannot tell."
    n = results.runs.seed.nunique()
    known = [
        *_gaps(results, summary[summary.budget == results.budget]),
        "One data set and one model: a schedule that leads here may not lead elsewhere (Schmidt et al. 2021, "
        "arXiv:2007.01547).",
        "Weight decay, momentum, batch size and augmentation were the same for all and not tuned.",
    ]
    if folds := results.question.get("folds"):
        known.append(
            f"The {folds} folds share training images, so the intervals are a little too narrow: in simulations, 5 to "
            "8 % of such intervals missed the truth instead of 5 %."
        )
    if results.config["data"].get("split") != "by seed":
        known.append(
            "One fixed set of validation data: the intervals cover other seeds, and not which data are validated on."
        )
    if len(results.runs) < results.planned:
        known.append(
            "Not finished: means over different seeds also differ by the luck of the seeds. The paired differences use "
            "common seeds only."
        )
    if n < ENOUGH_SEEDS:
        known.append(f"{plural(n, 'seed')}: only large differences can be seen. {ENOUGH_SEEDS} or more are advisable.")
    if not results.question.get("tuning"):
        known.append("Not tuned: part of the differences may only show which schedule suits its lr_max.")
        known += _far_from_suggestion(results)
    elif "test" not in results.config["data"]["images"]:
        known.append("The same validation data chose the LRs and measured the comparison, with other seeds.")
    if results.config.get("merged"):
        known.append(
            "Merged from several folders, perhaps from several machines: equal seeds give equal numbers only on equal "
            "machines and versions."
        )
    return known


def _gaps(results: Results, ranked: pd.DataFrame) -> list[str]:
    "Which gaps these runs show, and which ones twice as many seeds would show."
    gap, n = shown_gap(ranked), int(ranked.n.max())
    if math.isnan(gap):
        return []
    later = f" With {2 * n} seeds it would be about {_gap_words(later_gap(gap, n, 2 * n), results)}."
    has_equal_seeds = ranked.n.nunique() == 1 and gap > 0
    return [f"These runs show gaps of about {_gap_words(gap, results)}; smaller stay open.{later * has_equal_seeds}"]


def _gap_words(gap: float, results: Results) -> str:
    measure = results.measure
    return f"{100 * gap:.1f} points" if measure.is_share else f"{gap:.3g} of {measure.label}"


def _far_from_suggestion(results: Results) -> list[str]:
    "A sentence if the LR that every schedule used is far from the range that lr_find suggests."
    used = _used_lrs(results)
    if len(used) != 1:
        return []
    distance = LRSuggestion.of_config(results.config).distance(LearningRate.parse(used[0]).peak)
    return [f"The lr_max of all runs, {used[0]}, is {distance}. Another may change the order."] if distance else []
