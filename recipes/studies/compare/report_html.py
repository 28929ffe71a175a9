"""report.html: one file that opens offline, from the same report as the terminal's text. No script, nothing fetched."""

import re
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.figures.page import html_template
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.text import show_share
from lrlab.recipes.studies.compare.pictures import Picture, shown_measures
from lrlab.recipes.studies.compare.results import Results

if TYPE_CHECKING:
    from lrlab.recipes.studies.compare.report import Report

MOST_REASONS = 200  # unfinished runs that are listed one by one; the rest is counted (all are in runs.csv)


def render(report: "Report") -> str:
    "The page as text."
    results = report.results
    lost = results.runs[results.runs.status != "ok"]
    return html_template("lrlab.recipes.studies.compare").render(
        report=report,
        results=results,
        config=results.config,
        data=results.config["data"],
        figures=[(picture, svg(picture)) for picture in report.pictures],
        lost=lost.head(MOST_REASONS).to_dict("records"),
        n_lost=len(lost),
        groups=run_groups(results),
        curve=shown_measures(results)[-1],
        judged=results.measure.column(),
        n_seeds=results.runs.seed.nunique(),
        warnings=data_warnings(results.config["data"]),
    )


def data_warnings(data: dict) -> list[str]:
    "What the loading of the data had to say: unreadable files and other remarks."
    unreadable = data.get("unreadable", {}).items()
    return [*map(str, data.get("warnings", [])), *(f"{name} cannot be read: {why}" for name, why in unreadable)]


def svg(picture: Picture) -> Markup:
    "A figure as an SVG element that scales with the page. Its ids cannot meet those of another figure."
    figure = picture.draw()
    width = figure.get_size_inches()[0]
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{picture.name}-", style.to_svg(figure))
    description = Markup.escape(f"{picture.title}. {picture.note}")
    head = f'<svg role="img" aria-label="{description}" style="max-width:{1.2 * width:.1f}in" '
    text = re.sub(r'<svg (?:height|width)="[^"]*"|(?<=\s)(?:height|width)="[\d.]+pt"', "", text)
    return Markup(text.replace("<svg ", head, 1))  # noqa: S704  (matplotlib escapes every text that it draws)


def run_groups(results: Results) -> list[dict]:
    "For every budget and schedule its runs, each with its curves as a small SVG."
    epochs = dict(list(results.epochs.groupby("run_id", sort=False)))
    losses = results.epochs[["train_loss", "valid_loss"]].stack()
    measure = shown_measures(results)[-1]
    limits = {"loss": style.limits_of(losses), measure.name: style.limits_of(results.epochs[measure.column()])}
    number, groups = count(), []
    for (budget, schedule), runs in results.runs.groupby(["budget", "schedule"], sort=False):
        shown = [
            {"row": row, "svg": run_svg(epochs.get(row["run_id"]), budget, limits, measure)}
            for row in runs.to_dict("records")
        ]
        groups.append({"id": f"runs-{next(number)}", "budget": budget, "schedule": schedule, "runs": shown})
    return groups


BOX = {"width": 124, "height": 74, "top": 14, "margin": 32}  # pixels; numbers of the y axis stand in the margin
HALF = BOX["width"] + BOX["margin"] + 6


def run_svg(epochs: pd.DataFrame | None, budget: int, limits: dict, shown: Measure) -> Markup:
    "Loss (grey: training, black: validation) and another measure of a run by epoch, on axes common to all runs."
    if epochs is None:
        return Markup("<p>No epoch was finished.</p>")
    losses = {"train_loss": "#888888", "valid_loss": "#000000"}
    left = _box(epochs, budget, limits["loss"], losses, "loss", "{:.2g}".format, 0)
    show = partial(show_share, digits=0) if shown.is_share else "{:.2g}".format
    right = _box(epochs, budget, limits[shown.name], {shown.column(): "#0072B2"}, shown.label, show, HALF)
    size = f"{2 * HALF} {BOX['top'] + BOX['height'] + 14}"
    head = f'<svg viewBox="0 0 {size}" role="img" aria-label="loss and {Markup.escape(shown.label)} by epoch">'
    return Markup(f"{head}{left}{right}</svg>")  # noqa: S704  (numbers and our own words)


def _box(epochs: pd.DataFrame, budget: int, limits: tuple, colours: dict, title: str, show: Callable, at: float) -> str:
    "One pair of axes: its lines, the ends of the y axis, and the first and last epoch."
    low, high = limits
    left, bottom = at + BOX["margin"], BOX["top"] + BOX["height"]
    right = left + BOX["width"]
    x = left + BOX["width"] * (epochs.epoch.to_numpy() - 1) / max(1, budget - 1)
    parts = [
        f'<path d="M{left} {BOX["top"]}H{right}V{bottom}H{left}Z" fill="none" stroke="#ddd"/>',
        f'<text x="{left}" y="10">{title}</text>',
        f'<text x="{left - 3}" y="{BOX["top"] + 8}" text-anchor="end">{show(high)}</text>',
        f'<text x="{left - 3}" y="{bottom}" text-anchor="end">{show(low)}</text>',
        f'<text x="{left}" y="{bottom + 11}">epoch 1</text>',
        f'<text x="{right}" y="{bottom + 11}" text-anchor="end">{budget}</text>',
    ]
    for column, colour in colours.items():
        values = np.nan_to_num(epochs[column].to_numpy(float), nan=high, posinf=high, neginf=low)
        y = bottom - BOX["height"] * (values.clip(low, high) - low) / (high - low)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        shape = f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        parts.append(shape if len(x) > 1 else f'<circle cx="{x[0]:.1f}" cy="{y[0]:.1f}" r="2.5" fill="{colour}"/>')
    return "".join(parts)
