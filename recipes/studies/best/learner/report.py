"""Rebuilds the text, best.png and report.html of `lrlab best --learner` from what it stored. Never trains."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from lrlab.recipes.kitchen.errors import NothingFinished
from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.page import html_template
from lrlab.recipes.kitchen.stats.intervals import wilson_interval
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import plural, text_table
from lrlab.recipes.kitchen.training_code import own_learner
from lrlab.recipes.studies.best.figure import draw_steps
from lrlab.recipes.studies.best.journal import Step, stored_steps
from lrlab.recipes.studies.best.learner.plan import SAME, TEST_FROM


@dataclass
class Answer:
    """`value` is the measure on the test items, and `measures` a table of all measures on them.

    `steps` says what every step cost and decided. `model` is the exported Learner, None if it cannot be pickled, and
    `report` the page about it.
    """

    value: float
    measures: pd.DataFrame
    steps: list[Step]
    model: Path | None
    report: Path
    text: str


def redraw(store: Store) -> Answer:
    "Text, figure and page from the stored steps and tables alone. Raises NothingFinished without a tested model."
    config, steps = store.manifest.to_dict(), stored_steps(store.manifest)
    if not store.has("test") or "why_not" not in steps[-1].facts:
        raise NothingFinished(f"{store.out}: the final model is not finished yet; the same command continues")
    measures = store.table("test")
    measure = Measure.of_question(config["question"])
    value = float(measures.set_index("measure").value[measure.name])
    unseen = "that also decided" if config["test_from"] == TEST_FROM[SAME] else "that training never saw"
    finding = f"{measure.label} {measure.with_unit(value)} on {plural(steps[-1].facts['n'], 'item')} {unseen}"
    caption = (
        f"{config['question']['learner']}, seed {config['question']['seed']}. Test items: {config['test_from']}. "
        "Values in the steps are of the items that decide."
    )
    drawn = draw_steps(steps, config["question"]["minutes"], finding, caption)
    style.save(drawn, store.out / "best.png")
    model = None if steps[-1].facts["why_not"] else store.out / "model.pkl"
    answer = Answer(value, measures, steps, model, store.out / "report.html", "")
    found = sentences(answer, config, measure)
    answer.text = _text(answer, found, config)
    page = html_template("lrlab.recipes.studies.best").render(
        answer=answer,
        finding=finding,
        sentences=found,
        code=load_code(answer, config),
        svg=Markup(style.to_svg(drawn)),  # noqa: S704  (matplotlib escapes every text that it draws)
        worst=[],
        counts=None,
        config=config,
    )
    write_atomically(answer.report, page)
    return answer


def sentences(answer: Answer, config: dict, measure: Measure) -> list[str]:
    "The answer, what it was measured on, and what it means."
    others = [
        f"{other.label} {other.with_unit(row.value)}"
        for row in answer.measures.itertuples()
        if (other := Measure(row.measure)).name != measure.name
    ]
    training, test = answer.steps[-2:]
    found = [
        f"{measure.label} {measure.with_unit(answer.value)} on {test.facts['n']:,} test items"
        f"{_interval(answer, test.facts['n'])}.",
        f"The test items: {config['test_from']}."
        + " No step before the test saw them." * (config["test_from"] != TEST_FROM[SAME]),
        f"The model: {training.facts['how']}.",
    ]
    if others:
        found.append(f"Also on the test items: {', '.join(others)}.")
    if answer.model is None:
        weights = answer.report.with_name("weights.pth")
        found.append(f"fastai cannot export this Learner: {test.facts['why_not']}. Its weights are in {weights}.")
    return found


def _interval(answer: Answer, n: int) -> str:
    "The 95 % interval of a share of right items; words for any other measure of one training."
    if not answer.steps[-1].facts["is_share_of_items"]:
        return "; one training has no interval"
    low, high = wilson_interval(round(answer.value * n), n)
    return f" ({100 * low:.1f} to {100 * high:.1f})"


def load_code(answer: Answer, config: dict) -> str:
    "The lines that load the model, or its weights."
    if answer.model is None:
        weights = str(answer.report.with_name("weights.pth"))
        imports, learner = own_learner(config)
        load = f"learn.model.load_state_dict(torch.load({weights!r}, weights_only=True)['model'])"
        return "\n".join(["import torch", *imports, "", *learner, load])
    return (
        "from lrlab.recipes import load_model\n\n"
        "# Where the file of make_learner can be imported. fastai's load_learner does the same.\n"
        f"learn = load_model({str(answer.model)!r})"
    )


def _text(answer: Answer, found: list[str], config: dict) -> str:
    rows = [{"step": step.name, "seconds": f"{step.seconds:.0f}", "decision": step.decision} for step in answer.steps]
    code = "\n".join(f"    {line}".rstrip() for line in load_code(answer, config).splitlines())
    return "\n".join([text_table(rows), "", *found, "", code, "", f"Report: {answer.report}"])
