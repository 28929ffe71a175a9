"""Rebuilds the tables, the figure and the text of `lrlab lr-band` from its stored runs. Never trains."""

import textwrap
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.errors import NothingFinished
from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.learning_rates import LearningRate, acting_lr
from lrlab.recipes.kitchen.stats.band import judge_lrs
from lrlab.recipes.kitchen.stats.baseline import majority_accuracy, nothing_learned
from lrlab.recipes.kitchen.stats.best import FEWEST_SEEDS
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.stats.summary import judged, measured_on, value_header
from lrlab.recipes.kitchen.store.reading import failures, not_failed, rewrite_runs, stored_runs, why_none_finished
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import plural, text_table
from lrlab.recipes.kitchen.training_code import training_code
from lrlab.recipes.studies.lr_band import figure, words


@dataclass
class Answer:
    "`bands`: one row for each schedule; `lrs`: one for each schedule and LR; `runs`: runs.csv."

    runs: pd.DataFrame
    lrs: pd.DataFrame
    bands: pd.DataFrame
    verdict: str  # the answer in one sentence
    text: str
    stopped: bool = False  # by Ctrl-C


def judge_stored(store: Store) -> pd.DataFrame:
    "`judge_lrs` of the stored runs, by the measure, tolerance and looks of the question."
    question, trained = store.manifest.question, not_failed(store, stored_runs(store)[0])
    measure = Measure.of_question(question)
    runs = trained.assign(**{measure.name: judged(trained, measure.judge)})
    return judge_lrs(runs, measure.judge, question.get("tolerance"), looks=question.get("looks", 1))


def redraw(store: Store, stopped: bool = False) -> Answer:
    "Tables, figure and text from the stored runs alone."
    runs, _, trained = rewrite_runs(store)
    manifest = store.manifest
    question, initial_loss = manifest.question, manifest.initial_loss
    measure = Measure.of_question(question)
    table = judge_stored(store)
    bands = words.summarize(table, trained, np.inf if initial_loss is None else initial_loss, question.get("looks", 1))
    if bands.empty:
        raise NothingFinished(f"{store.out}: no run finished; {why_none_finished(runs)}")
    store.write_tables(lrs=table, band=bands)
    config = manifest.to_dict()
    title = nothing_learned(table["mean"], majority_accuracy(config, measure), "LR") or words.finding(bands)
    found = LRSuggestion.of_config(config)
    trained = trained.assign(value=judged(trained, measure.judge))
    style.save(figure.draw(trained, table, bands, found, config, title), store.out / "lr_band.png")
    tolerated = measure.tolerance_words(question.get("tolerance"))
    lines = [
        *failures(runs),
        rows_of(bands, measure, measured_on(trained, measure.judge)),
        "",
        f"{title}.",
        *(words.sentence(row, table, found, tolerated) for _, row in bands.iterrows()),
        *words.sensitivity_words(bands, table),
        *use(bands, store),
        *_without_time(question["seeds"], list(manifest.asked.values())),
        *_unfinished(question, manifest.tuned, runs),
        f"Figure: {store.out / 'lr_band.png'}",
    ]
    return Answer(runs, table, bands, f"{title}.", "\n".join(lines), stopped)


def rows_of(bands: pd.DataFrame, measure: Measure, on: str) -> str:
    "The bands as a table for the terminal."
    rows = [
        {
            "schedule": row.schedule,
            "n": int(row.n),
            "best LR": row.best,
            value_header(measure, on): measure.show(row.mean),
            "safe LRs": words.span(row.low, row.high).removeprefix("from ") if row.n >= FEWEST_SEEDS else "-",
            "wide": words.times_words(row.high / row.low) if row.n >= FEWEST_SEEDS else "-",
            "LR sensitivity (95 %)": words.SENSITIVITY.show(*(getattr(row, name) for name in words.OWN)),
        }
        for row in bands.itertuples()
    ]
    return text_table(rows)


def use(bands: pd.DataFrame, store: Store) -> list[str]:
    "How to train with the best LR of the schedule with the widest safe band, and how to add seeds."
    question, row = store.manifest.question, bands.loc[(bands.high / bands.low).idxmax()]
    lr = acting_lr(LearningRate.parse(row.best), store.manifest.groups)
    schedule, cbs = question["schedules"][row.schedule], "StopOnDivergence()"
    code = training_code(store.manifest.to_dict(), schedule, question["epochs"], lr, cbs)
    enough = max(FEWEST_SEEDS, 2 * len(question["seeds"]))
    more = f"The same command with --seeds {enough} adds seeds, which decide what is open."
    return [f"To train with {row.schedule} at its best LR:", "", textwrap.indent(code, "    "), "", more]


def _without_time(seeds: list[int], asked: list[dict]) -> list[str]:
    "The seeds that the last command with `minutes` had no time for, unless the folder has got others since."
    last = asked[-1] if asked else {"seeds": []}
    if last["seeds"] != seeds or not last["left"]:
        return []
    return [f"In {last['minutes']:g} minutes there was time for {len(seeds)} of {len(seeds) + last['left']} seeds."]


def _unfinished(question: dict, tuned: dict, runs: pd.DataFrame) -> list[str]:
    left = len(question["schedules"]) * len(tuned["grid"]) * len(question["seeds"]) - len(runs)
    return [f"{plural(left, 'run')} unfinished: the same command continues."] if left > 0 else []
