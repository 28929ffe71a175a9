"""Rebuilds the tables, the figure and the text of `lrlab lr-band` from its stored runs. Never trains."""

import pandas as pd

from lrlab.recipes.kitchen.stats.band import judge_lrs
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.stats.summary import judged
from lrlab.recipes.kitchen.store.reading import not_failed, stored_runs
from lrlab.recipes.kitchen.store.store import Store


class Answer:
    text = "x"
    exit_code = 0


def judge_stored(store: Store) -> pd.DataFrame:
    "`judge_lrs` of the stored runs, by the measure, tolerance and looks of the question."
    question, trained = store.manifest.question, not_failed(store, stored_runs(store)[0])
    measure = Measure.of(question.get("judge", "accuracy"))
    runs = trained.assign(**{measure.name: judged(trained, measure.judge)})
    return judge_lrs(runs, measure.judge, question.get("tolerance"), looks=question.get("looks", 1))


def redraw(store: Store, stopped: bool = False) -> Answer:
    runs, epochs = stored_runs(store)
    store.write_tables(runs=runs, epochs=epochs)
    return Answer()
