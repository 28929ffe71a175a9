"""How the comparison was made, in words: captions, what was tuned and what that cost, the rules and their limits."""

import pandas as pd

from lrlab.recipes.studies.compare.results import Results


def caption(results: Results, runs: pd.DataFrame) -> str:
    "n, data, budget and lr_max of a figure over `runs`, and how to read it."
    seeds, status = _seeds_per_arm(runs), runs.status.value_counts()
    lost = "".join(f", {status[s]} {s}" for s in ("diverged", "failed") if s in status)
    marked = len(results.cycles) and runs.budget.nunique() == 1
    diamonds = " Diamonds: the ends of cycles, where the LR is lowest." if marked else ""
    return (
        f"{where(results)}. {seeds} per schedule ({len(runs)} runs{lost}), "
        f"{', '.join(map(str, sorted(runs.budget.unique())))} epochs of {steps_per_epoch(results)} steps. "
        f"{lr_rule(results)} Bands and bars: 95 % t intervals over seeds; verdicts from paired differences, "
        f"Holm-corrected.{diamonds}"
    )


def _seeds_per_arm(runs: pd.DataFrame) -> str:
    "3 seeds, or 2 to 3 seeds where a comparison is not finished."
    counts = runs.groupby(["budget", "schedule"]).seed.nunique()
    few, many = int(counts.min()), int(counts.max())
    return f"{few} seed{'s' * (few != 1)}" if few == many else f"{few} to {many} seeds"


def where(results: Results) -> str:
    "Data, size and model."
    data, question = results.config["data"], results.question
    counts = " and ".join(f"{n:,} {name}" for name, n in data["images"].items())
    return (
        f"{data.get('title', question['data'])}, {counts} images of {question['size']} px "
        f"(the most frequent class alone: {data['majority']:.1%}), {question['arch']}"
    )


def lr_rule(results: Results) -> str:
    "Which lr_max the schedules had."
    if results.question.get("tuning"):
        return "lr_max tuned for each schedule over one common grid."
    groups = results.config["groups"]
    alone = " (trained from scratch: one layer group, so a slice means its upper end)"
    used = " or ".join(dict.fromkeys(results.runs.lr_max))
    return f"Untuned: every schedule used lr_max = {used}{alone if len(groups) == 1 and 'slice' in used else ''}."


def tuning(results: Results) -> str:
    "What lr_find and the tuning cost, in steps, runs and minutes."
    config, trials = results.config, results.trials
    cost = config.get("lr_find_cost", {})
    found = config.get("lr_find")
    suggested = f"suggested {found:g}" if found else "suggested nothing"
    text = f"lr_find ({cost.get('steps', '?')} steps, {cost.get('seconds', 0):.0f} s) {suggested}. "
    if not results.question.get("tuning"):
        return text + lr_rule(results)
    tuned = config.get("tuned")
    spent = f"{len(trials)} runs, {trials.seconds.sum() / 60:.1f} min against {results.runs.seconds.sum() / 60:.1f} min"
    if tuned is None:
        return text + f"The tuning of lr_max is not finished ({spent} so far)."
    n, wider = len(tuned["grid"]), " (the grid was widened)" if tuned["added"] else ""
    fewest = trials.groupby(["budget", "schedule"]).lr_max.nunique().min()
    tried = f"at least {fewest} of the" if fewest < n else "the same"  # merged folders widened grids of their own
    text += (
        f"Every schedule tried {tried} {n} LRs, {', '.join(tuned['grid'])}{wider}, from "
        f"{len(tuned['seeds'])} other seed(s) than those of the comparison, and kept the one with the highest "
        f"validation accuracy. Cost: {spent} for the comparison itself."
    )
    if tuned["at_edge"]:
        text += f" Still at the edge of the grid: {', '.join(tuned['at_edge'])}."
    return text


def tuning_finding(chosen: dict[str, str]) -> str:
    "The title of the tuning figure."
    if not chosen:
        return "The learning rates tried so far"
    if len(set(chosen.values())) == 1:
        return f"Every schedule does best at lr_max = {next(iter(chosen.values()))}"
    return f"The best lr_max depends on the schedule: {', '.join(f'{s} {lr}' for s, lr in chosen.items())}"


def budgets_finding(summary: pd.DataFrame) -> str:
    "The title of the budget figure: who has the highest mean at each budget, and whether that says anything."
    parts = []
    for budget in sorted(summary.budget.unique()):
        own = summary[summary.budget == budget]
        front = own[own.leads.astype(bool)]
        if front.empty:
            parts.append(f"{budget} epochs: nobody finished")
        elif (own.n > 0).sum() == 1:
            parts.append(f"{budget} epochs: only {front.schedule.iloc[0]} has a result")
        elif len(front) == 1:
            parts.append(f"{budget} epochs: {front.schedule.iloc[0]} leads")
        else:
            parts.append(f"{budget} epochs: {len(front)} of {len(own)} tied for the lead")
    return "; ".join(parts)


def steps_per_epoch(results: Results) -> int:
    return int(results.config["steps_per_epoch"])


def rules(results: Results) -> list[str]:
    "The protocol that was followed, rule by rule."
    question, data = results.question, results.config["data"]
    test = "test" in data["images"]
    followed = [
        "Equal budgets: every schedule makes the same number of optimizer steps and is planned to finish within them; "
        "several budgets are trained separately, never read off a longer run (Li et al. 2020, arXiv:1905.04753).",
        "Same seed, same start: initial weights, batch order and augmentation are identical for every schedule, so "
        "differences are taken within a seed.",
        f"{tuning(results)}",
        "Measured after the last step, on "
        + ("the test images, which nothing was chosen by." if test else "the validation images; there is no test set.")
        + " The best epoch is in runs.csv, but not what schedules are ranked by.",
        "Cyclic schedules are also read at the ends of their cycles (diamonds, cycles.csv): between them their LR is "
        "high and their accuracy is not what the schedule can deliver.",
        "Statistics: means with 95 % Student t intervals over seeds (right for few near-normal values, where a "
        "bootstrap is too narrow); paired differences to the reference with Holm's correction over the schedules of a "
        "budget; differences to the best mean with Holm's correction over all pairs, because the best was picked "
        "by the same numbers. A schedule that diverged on a seed which the other finished counts as worse.",
        f"One precision ({question['precision']}) and {question['threads']} processor thread(s) for every run: the "
        "last bits of a sum depend on them.",
    ]
    if question.get("head_epochs") and question["arch"] != "small":
        followed.append(
            f"The new head was trained alone for {question['head_epochs']} epoch before every run, beyond its budget."
        )
    return followed


def limits(results: Results) -> list[str]:
    "What this comparison cannot tell."
    n = results.runs.seed.nunique()
    known = [
        "One data set and one model: a schedule that leads here may not lead elsewhere (Schmidt et al. 2021, "
        "arXiv:2007.01547).",
        "Weight decay, momentum, batch size and augmentation were the same for all and not tuned.",
    ]
    if len(results.runs) < results.planned:
        known.append(
            "Not finished: schedules whose means are over different seeds differ by the luck of their seeds too; the "
            "paired differences use common seeds alone."
        )
    if n < 5:
        known.append(f"{n} seed{'s' * (n != 1)}: only large differences can be seen; five or more are advisable.")
    if not results.question.get("tuning"):
        known.append("Not tuned: part of the differences may tell for whom this one lr_max happens to be right.")
    elif "test" not in results.config["data"]["images"]:
        known.append("LRs were chosen on the validation images that the comparison is measured on, with other seeds.")
    if results.config.get("merged"):
        known.append(
            "Merged from several folders, perhaps from several machines: equal seeds give equal numbers only on equal "
            "machines and versions."
        )
    return known
