"""LR range tests over seeds: their curves, their suggestions, and one learning rate from them."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.figures import plots
from lrlab.recipes.kitchen.grid.study import Study, open_study
from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.runs.lr_range_test import range_test
from lrlab.recipes.kitchen.workloads import Workload, using_threads
from lrlab.recipes.studies.lr_find.figure import draw


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
    seeds: list[int]
    num_it: int  # steps of every test
    threads: None = None  # every core

    def to_dict(self, image_set: ImageSet) -> dict:
        return {**self.workload.to_dict(image_set), "seeds": self.seeds, "num_it": self.num_it}


@dataclass
class RangeTests:
    "`curves`: seed, step, lr, loss; `suggestions`: seed, rule, lr; `lr`: the median of the valley rule."

    curves: pd.DataFrame
    suggestions: pd.DataFrame
    lr: float | None
    text: str


def answer(question: Question, out: Path | str, fresh: bool = False) -> RangeTests:
    "Run (or read, if the folder has them) the tests of all seeds; write lr_find.csv, suggestions.csv, lr_find.png."
    with open_study("lr-find", question, out, fresh=fresh) as study:
        if not (study.store.out / "suggestions.csv").exists():
            _measure(study)
        curves, table = (pd.read_csv(study.store.out / f"{name}.csv") for name in ("lr_find", "suggestions"))
        valley = table[table.rule == "valley"].lr
        lr = float(f"{valley.median():.1e}") if len(valley) else None
        workload, seeds = study.workload, len(question.seeds)
        where = f"{study.image_set.name}, {workload.arch}, batch size {workload.bs}, {seeds} seeds"
        plots.save(draw(curves, table, lr, where), study.store.out / "lr_find.png")
        return RangeTests(curves, table, lr, _text(table, lr, study.store.out))


def _measure(study: Study) -> None:
    question = study.question
    with using_threads(question.threads):
        tests = {seed: range_test(study.workload, seed, study.image_set, question.num_it) for seed in question.seeds}
    found = [(s, rule, lr) for s, test in tests.items() for rule, lr in test.suggestions.items() if lr]
    study.store.write_tables(lr_find=pd.concat([test.to_df().assign(seed=seed) for seed, test in tests.items()]))
    study.store.write_tables(suggestions=pd.DataFrame(found, columns=["seed", "rule", "lr"]))


def _text(table: pd.DataFrame, lr: float | None, out: Path) -> str:
    lines = [f"{'rule':<10}{'lowest':>10}{'median':>10}{'highest':>10}   n"]
    for rule, values in table.groupby("rule", sort=False).lr:
        low, median, high = (f"{v:.1e}" for v in (values.min(), values.median(), values.max()))
        lines.append(f"{rule:<10}{low:>10}{median:>10}{high:>10}   {len(values)}")
    if lr:
        lines += ["", f"Use it: lr_max = {format_number(lr)} (the valley rule, median over seeds)"]
    else:
        lines += ["", "No rule suggests an LR: the loss never fell. Look at the figure."]
    return "\n".join([*lines, f"Figure: {out / 'lr_find.png'}"])
