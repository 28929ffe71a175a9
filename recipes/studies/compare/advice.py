"""What to use after a comparison: schedule, peak LR and budget, why, and the code that trains with them."""

import ast
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lrlab.recipes.kitchen.image_source import OPTIONS
from lrlab.recipes.kitchen.learning_rates import LearningRate, format_number
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.text import plural
from lrlab.recipes.studies.compare.protocol import used_lrs
from lrlab.recipes.studies.compare.ranking import has_learned
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
    learned = has_learned(summary, results.majority)
    return Advice(best.schedule, call, lr_max, int(best.budget), _why(results, summary, best), learned)


def _why(results: Results, summary: pd.DataFrame, best: pd.Series) -> str:
    measure = results.measure
    mean = measure.show(best["mean"], best.low, best.high) + " %" * measure.is_share
    parts = [f"best mean {best.measured_on} {measure.label}, {mean} over {plural(int(best.n), 'seed')}"]
    if not has_learned(summary, results.majority):
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
    if "learner" in config["question"]:
        imports, learner = _own_learner(config["question"]["learner"])
    else:
        imports, learner = ["from lrlab.recipes import build"], _built_learner(config)
    names = ", ".join(sorted(callbacks_in(advice.call) | {"StopOnDivergence"}))
    schedule = f"schedule = {advice.call}"
    fit = f"learn.fit_schedule({advice.epochs}, schedule, lr_max={advice.lr_max}, cbs=StopOnDivergence())"
    return "\n".join([*imports, f"from lrlab.callbacks import {names}", "", *learner, schedule, fit])


def _own_learner(name: str) -> tuple[list[str], list[str]]:
    "Import and call of a function of the user's own; `name` is such as `make_learner of train.py`."
    if name == "learn":  # the Learner at hand
        return [], []
    function, _, file = name.partition(" of ")
    if not function.isidentifier():
        return [], [f"# learn: {function}"]
    if file and not Path(file).stem.isidentifier():  # `import` cannot name my-train.py
        return ["from runpy import run_path"], [f"learn = run_path({file!r})[{function!r}]()"]
    imports = [f"from {Path(file).stem} import {function}"] if file else []
    return imports, [f"learn = {function}()"]


def callbacks_in(call: str) -> set[str]:
    "The names that a constructor call needs from lrlab.callbacks."
    return {node.id for node in ast.walk(ast.parse(call)) if isinstance(node, ast.Name)}


def _built_learner(config: dict) -> list[str]:
    question = config["question"] | config["data"].get("options", {}) | {"data": _where(config)}
    question["aug"] = _aug(config)
    names = ("weights", "scratch", "aug", "wd", "opt", *OPTIONS)
    given = [name for name in names if question.get(name) is not None and question[name] is not False]
    keys = ["data", "arch", "size", "bs", *given]
    if "train" in given:
        keys.remove("data")
    arguments = ", ".join(f"{key}={question[key]!r}" for key in keys)
    return [f"learn = build({arguments})  # or your own Learner", *_warm_up(question)]


def _aug(config: dict) -> str | None:
    "The augmentation. lrlab 1.0 flipped the images of a folder and did not record it."
    is_folder = Path(config["data"].get("source", "")).is_absolute()
    return config["question"].get("aug", "flips" if is_folder else None)


def _where(config: dict) -> str:
    "The data as `build` takes it in any working directory: a name, or the absolute path of a folder."
    name, source = config["question"]["data"], config["data"].get("source", "")
    if not Path(source).is_absolute():
        return name
    return f"{source}:{name.rpartition(':')[2]}" if "of" in config["data"] else source


def _warm_up(question: dict) -> list[str]:
    "What every run did first (`Workload.warm_up_head`): a random head on a pretrained body would spoil it."
    is_pretrained = question["arch"] != "small" and not question.get("scratch")
    if not is_pretrained or not question.get("head_epochs"):
        return []
    head_alone = f"learn.fit_one_cycle({question['head_epochs']}, {format_number(question['head_lr'])})"
    return ["learn.freeze()", f"{head_alone}  # the new head alone", "learn.unfreeze()"]
