"""The Python that a recipe prints: it trains with the answer, and runs as pasted into a file."""

import ast
from pathlib import Path

from lrlab.recipes.kitchen.image_source import OPTIONS
from lrlab.recipes.kitchen.learning_rates import LearningRate, format_number
from lrlab.recipes.kitchen.text import import_name


def training_code(config: dict, schedule: str, epochs: int, lr_max: LearningRate | str, cbs: str) -> str:
    """Imports, the Learner of a study's seed 0, and a fit under a schedule. `config` is the study's manifest.

    `schedule` and `cbs` are constructor calls, such as "CosineDecay()" and "StopOnDivergence()".
    """
    if "learner" in config["question"]:
        imports, learner = own_learner(config)
    else:
        imports, learner = ["from lrlab.recipes import build"], _built_learner(config)
    names = ", ".join(sorted(callbacks_in(schedule) | callbacks_in(cbs)))
    fit = f"learn.fit_schedule({epochs}, schedule, lr_max={lr_max}, cbs={cbs})"
    return "\n".join([*imports, f"from lrlab.callbacks import {names}", "", *learner, f"schedule = {schedule}", fit])


def own_learner(config: dict) -> tuple[list[str], list[str]]:
    "Import and call of the function of the user's own that a study's manifest names."
    name, source = config["question"]["learner"], config["data"].get("source", "")  # make_learner of train.py, its path
    if name == "learn":  # the Learner at hand
        return [], []
    function, _, file = name.partition(" of ")
    if not function.isidentifier():
        return [], [f"# learn: {function}"]
    folder, module = import_name(Path(source or file))
    is_elsewhere = bool(source) and folder != Path.cwd()
    imports = ["import sys", "", f"sys.path.insert(0, {str(folder)!r})"] if is_elsewhere else []
    if not file:
        return imports, [f"learn = {function}()"]
    if not Path(file).stem.isidentifier():  # `import` cannot name my-train.py
        return [*imports, "from runpy import run_path"], [f"learn = run_path({source or file!r})[{function!r}]()"]
    return [*imports, f"from {module} import {function}"], [f"learn = {function}()"]


def callbacks_in(call: str) -> set[str]:
    "The names that a constructor call needs from lrlab.callbacks."
    return {node.id for node in ast.walk(ast.parse(call)) if isinstance(node, ast.Name)}


def _built_learner(config: dict) -> list[str]:
    question = config["question"] | config["data"].get("options", {}) | {"data": _where(config)}
    question["aug"] = _aug(config)
    if question.get("precision") == config.get("auto_precision", question.get("precision")):
        question["precision"] = None  # what `build` takes by itself
    names = ("precision", "weights", "scratch", "aug", "wd", "opt", "folds", *OPTIONS)
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
