"""report.html: one file that opens offline, from the same results as the tables. No script, nothing fetched."""

import io
import re
from itertools import count

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from lrlab.recipes.kitchen.figures import plots
from lrlab.recipes.kitchen.stats.tuning import tuning_scores
from lrlab.recipes.studies.compare import advice as answer
from lrlab.recipes.studies.compare import panels, protocol
from lrlab.recipes.studies.compare.results import Results

MOST_REASONS = 200  # lost runs listed one by one; the rest is counted (all are in runs.csv)


def render(results: Results, summary: pd.DataFrame) -> str:
    "The page as text. Every name that comes from outside (classes, labels, errors, paths) is escaped by jinja2."
    environment = Environment(
        loader=PackageLoader("lrlab.recipes.studies.compare", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "judgement": lambda row: answer.judgement(row, results.reference)}
    longest = summary[summary.budget == results.budget].reset_index(drop=True)
    advice = answer.advice(results, summary)
    lost = results.runs[results.runs.status != "ok"]
    return environment.get_template("report.html").render(
        results=results,
        config=results.config,
        data=results.config["data"],
        finding=answer.finding(longest, results.reference),
        question=_question(results),
        advice=advice,
        lr_max=str(advice.lr_max) if advice else "",
        code=answer.code(advice, results.config) if advice else "",
        budgets=[_budget(results, summary, budget) for budget in summary.budget.unique()],
        figures=figures(results, summary, longest),
        caption=protocol.caption(results, results.of_budget(results.budget)[0]),
        lost=lost.head(MOST_REASONS).to_dict("records"),
        lost_in_all=len(lost),
        groups=run_groups(results),
        rules=protocol.rules(results),
        limits=protocol.limits(results),
        lint=_lint(results),
        warnings=_warnings(results.config["data"]),
    )


def figures(results: Results, summary: pd.DataFrame, longest: pd.DataFrame) -> list[dict]:
    "Title, SVG and description of every figure, in reading order."
    runs, epochs, cycles = results.of_budget(results.budget)
    style, order = plots.style_of(list(results.schedules)), list(longest.schedule)
    budget = f"{results.budget} epochs"
    curves = {s: results.lr_curves[s] for s in results.schedules if s in results.lr_curves}
    drawn = [
        ("final", f"Accuracy after {budget}", panels.final(runs, longest, style, results.reference),
         "Small dots: seeds. Large dots and bars: mean and 95 % interval. Best first."),
    ]  # fmt: skip
    if summary.budget.nunique() > 1:
        drawn.append(("budgets", protocol.budgets_finding(summary),
                      panels.budgets(summary, order, style), "Each point is trained for its own budget."))  # fmt: skip
    marks = " Diamonds: ends of cycles, where the LR is lowest." if len(cycles) else ""
    if len(epochs):
        drawn += [
            ("accuracy", "Validation accuracy on the way",
             panels.training_curves(epochs, cycles, order, style, "accuracy"),
             f"In colour one schedule, mean and 95 % interval over seeds; in grey the others.{marks}"),
            ("loss", "Validation loss on the way",
             panels.training_curves(epochs, cycles, order, style, "valid_loss"),
             f"As above. The axis leaves out the most extreme 2 % of the values.{marks}"),
        ]  # fmt: skip
    if curves:
        groups = results.config["groups"]
        named = "" if len(groups) == 1 else f" Layer groups: {', '.join(groups)}."
        drawn.append(("lr", "The learning rate of every schedule",
                      panels.lr_curves(curves, groups, style, protocol.steps_per_epoch(results)),
                      f"Recorded at every optimizer step of one run each; 0 is at the lower edge.{named}"))  # fmt: skip
    if results.lr_find is not None and len(results.lr_find):
        drawn.append(("lr-find", "LR range test (lr_find)",
                      panels.lr_find(results.lr_find, results.config.get("lr_find")),
                      "Dashed: the LR that the valley rule suggests."))  # fmt: skip
    chosen = results.config.get("tuned", {}).get("chosen", {}).get(str(results.budget), {})
    scores = tuning_scores(results.trials[results.trials.budget == results.budget])
    tried = [label for label in results.schedules if label in set(scores.schedule)]
    if tried:
        drawn.append(("tuning", protocol.tuning_finding(chosen), panels.tuning(scores, chosen, tried, style),
                      "Rings: the chosen LR. Crosses: LRs at which a seed diverged or failed."))  # fmt: skip
    return [
        {"id": name, "title": title, "svg": svg(figure, name, f"{title}. {note}"), "note": note}
        for name, title, figure, note in drawn
    ]


def svg(figure: Figure, name: str, description: str) -> Markup:
    "A figure as an SVG element that scales with the page; its ids cannot meet those of another figure."
    stream = io.StringIO()
    plots.as_written(figure)
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    width = figure.get_size_inches()[0]
    head = f'<svg role="img" aria-label="{Markup.escape(description)}" style="max-width:{1.3 * width:.1f}in" '
    text = re.sub(r'<svg (?:height|width)="[^"]*"|(?<=\s)(?:height|width)="[\d.]+pt"', "", text, count=0)
    return Markup(text.replace("<svg ", head, 1))  # noqa: S704  (matplotlib escapes every text that it draws)


def run_groups(results: Results) -> list[dict]:
    "For every budget and schedule its runs, each with its curves as a small SVG."
    epochs = dict(list(results.epochs.groupby("run_id", sort=False)))
    losses = results.epochs[["train_loss", "valid_loss"]].stack()
    limits = {"loss": plots.limits_of(losses), "accuracy": plots.limits_of(results.epochs.accuracy)}
    number, groups = count(), []
    for (budget, schedule), runs in results.runs.groupby(["budget", "schedule"], sort=False):
        shown = [
            {"row": row, "svg": run_svg(epochs.get(row["run_id"]), budget, limits)} for row in runs.to_dict("records")
        ]
        groups.append({"id": f"runs-{next(number)}", "budget": budget, "schedule": schedule, "runs": shown})
    return groups


def run_svg(epochs: pd.DataFrame | None, budget: int, limits: dict) -> Markup:
    "Loss (grey: training, black: validation) and accuracy of one run against epochs, on axes common to all runs."
    if epochs is None:
        return Markup("<p>No epoch was finished.</p>")
    left = _lines(epochs, budget, limits["loss"], {"train_loss": "#999999", "valid_loss": "#000000"}, 0)
    right = _lines(epochs, budget, limits["accuracy"], {"accuracy": "#0072B2"}, 170)
    return Markup(  # noqa: S704  (numbers and our own words)
        '<svg viewBox="0 0 330 92" role="img" aria-label="loss and accuracy by epoch">'
        f'<text x="4" y="10">loss</text><text x="174" y="10">accuracy</text>{left}{right}</svg>'
    )


def _lines(epochs: pd.DataFrame, budget: int, limits: tuple, colours: dict, shift: float) -> str:
    low, high = limits
    x = shift + 4 + 148 * (epochs.epoch.to_numpy() - 1) / max(1, budget - 1)
    parts = [f'<rect x="{shift + 4}" y="14" width="148" height="74" fill="none" stroke="#ddd"/>']
    for column, colour in colours.items():
        values = np.nan_to_num(epochs[column].to_numpy(float), nan=high, posinf=high, neginf=low)
        y = 88 - 74 * (values.clip(low, high) - low) / (high - low)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        shape = f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        parts.append(shape if len(x) > 1 else f'<circle cx="{x[0]:.1f}" cy="{y[0]:.1f}" r="2.5" fill="{colour}"/>')
    return "".join(parts)


def _budget(results: Results, summary: pd.DataFrame, budget: int) -> dict:
    own = summary[summary.budget == budget].reset_index(drop=True)
    return {
        "epochs": int(budget),
        "finding": answer.finding(own, results.reference),
        "rows": [row for _, row in own.iterrows()],
        "ties": answer.ties(own, results.reference).splitlines(),
        "seeds": answer.seeds_needed(results.runs, own),
    }


def _question(results: Results) -> str:
    budgets = ", ".join(map(str, results.question["epochs"]))
    n = len(results.schedules)
    return (
        f"Which of {n} learning-rate schedule{'s' * (n != 1)} trains {results.question['arch']} best on "
        f"{results.config['data'].get('title', results.question['data'])} in {budgets} epochs?"
    )


def _lint(results: Results) -> list[str]:
    "What is probably not meant about a schedule in a run of this length."
    from lrlab.recipes.kitchen.schedule_names import parse_schedule

    per_epoch, found = protocol.steps_per_epoch(results), []
    for budget, labels in results.question["schedules"].items():
        for label, call in labels.items():
            warnings = parse_schedule(call).lint(int(budget) * per_epoch, per_epoch)
            found += [f"{label}, {budget} epochs: {warning}" for warning in warnings]
    return found


def _warnings(data: dict) -> list[str]:
    "What the loading of the data had to say: unreadable files and whatever else the data card holds."
    found = [f"{name} cannot be read and was left out: {reason}" for name, reason in data.get("unreadable", {}).items()]
    return [*map(str, data.get("warnings", [])), *found]


def _percent(row: pd.Series, what: str, sign: str = "") -> str:
    names = {"accuracy": "accuracy_mean"}
    return answer.interval(row[names.get(what, what)], row[f"{what}_low"], row[f"{what}_high"], sign)
