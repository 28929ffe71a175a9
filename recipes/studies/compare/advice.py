"""What to use after a comparison: schedule, peak LR and budget, why, and the code that trains with them."""

from dataclasses import dataclass

import pandas as pd

from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.stats.baseline import has_learned
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.text import plural
from lrlab.recipes.kitchen.training_code import training_code
from lrlab.recipes.studies.compare.protocol import used_lrs
from lrlab.recipes.studies.compare.results import Results


@dataclass(frozen=True)
class Advice:
    "The schedule with the highest mean, its peak LR and budget, and why, or why it does not matter."

    schedule: str
    call: str  # its constructor call
    lr_max: LearningRate
    epochs: int
    why: str
    has_learned: bool = True  # more than the most frequent class

    @property
    def headline(self) -> str:
        settings = f"{self.schedule}, lr_max = {self.lr_max}, {plural(self.epochs, 'epoch')}."
        if self.has_learned:
            return f"Use {settings}"
        return f"Train longer, or with another LR, before you choose. The best mean so far: {settings}"


def advice(results: Results, summary: pd.DataFrame) -> Advice | None:
    """The recommended schedule of each budget, and of these the one with the highest mean. None if no run finished.

    `why` says which other schedules do as well, as far as these runs can tell.
    """
    firsts = summary[(summary.verdict == "best") & (summary.n > 0)]
    if firsts.empty:
        return None
    sign = 1 if results.measure.lower_is_better else -1
    keys = pd.DataFrame({"lost": firsts.diverged > 0, "mean": sign * firsts["mean"]})
    best = firsts.loc[keys.sort_values(list(keys), kind="stable").index[0]]
    call = results.question["schedules"][str(int(best.budget))][best.schedule]
    lr_max = LearningRate.parse(results.acting_lr(best.lr_max))
    learned = has_learned(summary["mean"], results.majority)
    return Advice(best.schedule, call, lr_max, int(best.budget), _why(results, summary, best), learned)


def _why(results: Results, summary: pd.DataFrame, best: pd.Series) -> str:
    measure = results.measure
    mean = measure.show(best["mean"], best.low, best.high) + " %" * measure.is_share
    parts = [f"best mean {best.measured_on} {measure.label}, {mean} over {plural(int(best.n), 'seed')}"]
    if not has_learned(summary["mean"], results.majority):
        parts.append("but always answering the most frequent class is as good")
    others = summary[(summary.schedule == best.schedule) & (summary.budget != best.budget) & (summary.n > 0)]
    if len(others):
        ends = zip(others["mean"], others.budget, strict=True)
        shown = ", ".join(f"{measure.with_unit(mean)} in {plural(int(budget), 'epoch')}" for mean, budget in ends)
        parts.append(f"it reaches {shown}")
    if best.diverged + best.failed:
        parts.append(f"but {plural(int(best.diverged + best.failed), 'run')} of it did not finish")
    return "; ".join(parts)


def no_advice(results: Results) -> str:
    "What to say where no run finished."
    used = " or ".join(used_lrs(results))
    found = LRSuggestion.of_config(results.config)
    hint = f" lr_find suggests {found}." if found.lr else ""
    return f"No run finished, so there is nothing to recommend. The runs used lr_max = {used}.{hint}"


def code(advice: Advice, config: dict) -> str:
    "Python that runs as pasted: it trains with the advice, on images as the run of seed 0 was trained."
    return training_code(config, advice.call, advice.epochs, advice.lr_max, "StopOnDivergence()")
