"""Rebuilds the text, best.png and report.html of `lrlab best` from what it stored. Never trains."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from lrlab.recipes.kitchen.errors import NothingFinished
from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.page import html_template
from lrlab.recipes.kitchen.figures.thumbnails import PNG
from lrlab.recipes.kitchen.stats.intervals import wilson_interval
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import percent, plural, text_table
from lrlab.recipes.studies.best import figure
from lrlab.recipes.studies.best.journal import Step, stored_steps
from lrlab.recipes.studies.best.learner import report as learner_report

SHOWN_PAIRS = 30  # of classes that are taken for one another
FILES = ("test.csv", "worst.json", "model.pkl")  # without which there is no answer


@dataclass
class Answer:
    """`accuracy` is that on the test images, `low` to `high` its 95 % interval, and `test` the table behind it.

    `steps` says what every step cost and decided. `model` is the exported Learner, `report` the page about it.
    """

    accuracy: float
    low: float
    high: float
    test: pd.DataFrame
    steps: list[Step]
    model: Path
    report: Path
    text: str


def redraw(store: Store) -> Answer | learner_report.Answer:
    "The answer about images, or about a Learner of the user's own."
    return learner_report.redraw(store) if "learner" in store.manifest.question else redraw_images(store)


def redraw_images(store: Store) -> Answer:
    "Text, figure and page from the stored steps and tables alone. Raises NothingFinished without a final model."
    missing = [name for name in FILES if not (store.out / name).exists()]
    if missing:
        raise NothingFinished(f"{store.out}: the final model is not finished yet; the same command continues")
    test = store.table("test", dtype={"file": str, "label": str, "predicted": str}, keep_default_na=False)
    worst = json.loads((store.out / "worst.json").read_text(encoding="utf-8"))
    worst = [row for row in worst if str(row["picture"]).startswith(PNG)]  # nothing that would be fetched
    config, steps = store.manifest.to_dict(), stored_steps(store.manifest)
    right = test.label == test.predicted
    accuracy, (low, high) = float(right.mean()), wilson_interval(int(right.sum()), len(test))
    finding = f"{100 * accuracy:.1f} % right on {plural(len(test), 'image')} that training never saw"
    drawn = figure.draw(steps, test, worst, config, finding)
    style.save(drawn, store.out / "best.png")
    answer = Answer(accuracy, low, high, test, steps, store.out / "model.pkl", store.out / "report.html", "")
    answer.text = _text(answer, config)
    write_atomically(answer.report, _page(answer, worst, config, finding, style.to_svg(drawn)))
    return answer


def sentences(answer: Answer, config: dict) -> list[str]:
    "The answer, what it was measured on, and what it means."
    n, (common, count) = len(answer.test), max(answer.test.label.value_counts().items(), key=lambda item: item[1])
    accuracy = percent(answer.accuracy, answer.low, answer.high)
    found = [
        f"{accuracy} % of {plural(n, 'test image is', 'test images are')} right. Always answering {common} would be "
        f"right in {100 * count / n:.1f} %.",
        f"The test images: {config['test_from']}. No step before the test saw them.",
        f"The model: {answer.steps[-1].facts['how']}, on {plural(answer.steps[-1].facts['n_train'], 'image')}.",
    ]
    if answer.low <= count / n:
        found.append("This is not beyond chance better than always answering the most frequent class.")
    sure = f"on the test images it is {100 * answer.test.probability.mean():.0f} % sure on average"
    is_calibrated = answer.steps[-1].facts["temperature"] != 1
    why = "Its probabilities are calibrated" if is_calibrated else "There were too few images to calibrate it"
    found.append(f"{why}: {sure}.")
    return found


def load_code(model: Path) -> str:
    "The three lines that load the model."
    return (
        "from lrlab.recipes import load_model\n\n"
        f"learn = load_model({str(model)!r})  # or fastai's load_learner, where lrlab is installed\n"
        "learn.predict('image.jpg')  # the class, its number, the probability of every class"
    )


def predict_command(model: Path) -> str:
    """The command that predicts new images, as it can be pasted.

    >>> predict_command(Path("my photos/model.pkl"))
    "lrlab predict 'my photos/model.pkl' FOLDER"
    """
    return f"lrlab predict {shlex.quote(str(model))} FOLDER"


def _text(answer: Answer, config: dict) -> str:
    rows = [{"step": step.name, "seconds": f"{step.seconds:.0f}", "decision": step.decision} for step in answer.steps]
    code = "\n".join(f"    {line}".rstrip() for line in load_code(answer.model).splitlines())
    return "\n".join(
        [
            text_table(rows),
            "",
            *sentences(answer, config),
            "",
            code,
            "",
            f"New images: {predict_command(answer.model)}",
            f"Report: {answer.report}",
        ]
    )


def _frequent_errors(test: pd.DataFrame) -> list | None:
    "Right class and answer, and how often, of the most frequent errors; None where a matrix of all classes is legible."
    if len(figure.confusion(test)) <= figure.MOST_NAMED:
        return None
    wrong = test[test.label != test.predicted]
    return list(wrong.value_counts(["label", "predicted"]).head(SHOWN_PAIRS).items())


def _page(answer: Answer, worst: list[dict], config: dict, finding: str, svg: str) -> str:
    "report.html as text."
    return html_template("lrlab.recipes.studies.best").render(
        answer=answer,
        finding=finding,
        sentences=sentences(answer, config),
        code=load_code(answer.model),
        svg=Markup(svg),  # noqa: S704  (matplotlib escapes every text that it draws)
        worst=worst,
        counts=figure.confusion(answer.test),
        pairs=_frequent_errors(answer.test),
        config=config,
    )
