"""LR range tests over seeds: their curves, their suggestions, and one learning rate from them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lrlab.recipes.kitchen.grid.range_tests import THREADS
from lrlab.recipes.kitchen.grid.study import Study, open_study
from lrlab.recipes.kitchen.workloads import Workload
from lrlab.recipes.studies.lr_find.report import RangeTests, redraw


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
    seeds: list[int]
    num_it: int  # steps of every test
    threads: int = THREADS

    def to_dict(self, image_set: Any) -> dict:
        return {**self.workload.to_dict(image_set), "seeds": self.seeds, "num_it": self.num_it}


def answer(question: Question, out: Path | str, fresh: bool = False) -> RangeTests:
    "Run (or read, if the folder has them) the tests of all seeds; write lr_find.csv, suggestions.csv, lr_find.png."
    with open_study("lr-find", question, out, fresh=fresh) as study:
        if not study.store.has("lr_find", "suggestions"):
            _measure(study)
        return redraw(study.store)


def _measure(study: Study) -> None:
    tests = study.test_lrs(study.question.seeds, study.question.num_it)
    found = [(s, rule, lr) for s, test in tests.items() for rule, lr in test.suggestions.items() if lr]
    study.store.write_tables(suggestions=pd.DataFrame(found, columns=["seed", "rule", "lr"]))
