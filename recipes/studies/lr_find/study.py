"""LR range tests over seeds: their curves, their suggestions, and the figure of both."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lrlab.callbacks import lr_range_test
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.figures import plots
from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.options import show_lr
from lrlab.recipes.kitchen.runs.out_of_memory import batch_size, said, split_batches, with_smaller_batches
from lrlab.recipes.kitchen.store.store import Store, write_atomically
from lrlab.recipes.kitchen.workloads import Workload, use_threads
from lrlab.recipes.studies.lr_find import figure


@dataclass
class RangeTests:
    "`curves`: seed, step, lr, loss; `suggestions`: seed, rule, lr; `lr`: the median of the valley rule."

    curves: pd.DataFrame
    suggestions: pd.DataFrame
    lr: float | None
    text: str


def range_tests(workload: Workload, seeds: list[int], num_it: int, out: Path | str, fresh: bool = False) -> RangeTests:
    "Run (or read, if the folder has them) the tests of all seeds; write lr_find.csv, suggestions.csv, lr_find.png."
    image_set = workload.load_images()
    use_threads()
    workload = workload.resolve(image_set)
    workload.learner(seeds[0], image_set)  # what cannot be built is refused before anything is written
    question = {**workload.to_dict(image_set), "seeds": seeds, "num_it": num_it}
    with Store(out) as store:
        store.begin({"recipe": "lr-find", "question": question, "data": image_set.describe(), **environment()}, fresh)
        if not (store.out / "suggestions.csv").exists():
            tests = {seed: range_test(workload, seed, image_set, num_it) for seed in seeds}
            curves = pd.concat([test.to_df().assign(seed=seed) for seed, test in tests.items()])
            found = [(s, rule, lr) for s, test in tests.items() for rule, lr in test.suggestions.items() if lr]
            write_atomically(store.out / "lr_find.csv", curves.to_csv(index=False))
            table = pd.DataFrame(found, columns=["seed", "rule", "lr"])
            write_atomically(store.out / "suggestions.csv", table.to_csv(index=False))
        curves, table = (pd.read_csv(store.out / f"{name}.csv") for name in ("lr_find", "suggestions"))
        valley = table[table.rule == "valley"].lr
        lr = float(f"{valley.median():.1e}") if len(valley) else None
        fig = figure.draw(
            curves, table, lr, f"{image_set.name}, {workload.arch}, batch size {workload.bs}, {len(seeds)} seeds"
        )
        plots.save(fig, store.out / "lr_find.png")
        return RangeTests(curves, table, lr, _text(table, lr, store.out))


def range_test(workload: Workload, seed: int, image_set: ImageSet, num_it: int = 100):
    "An LR range test of a fresh Learner; in smaller batches, over the same LRs and steps, where memory runs out."

    def attempt(parts: int):
        return quiet_range_test(split_batches(workload.learner(seed, image_set), parts), num_it * parts)

    return said(*with_smaller_batches(attempt, batch_size(workload, image_set)))


def quiet_range_test(learn, num_it: int = 100):
    "An LR range test without progress bars."
    with learn.no_bar():
        return lr_range_test(learn, num_it=num_it)


def suggested_lr(test) -> float | None:
    "The valley rule's LR to two digits, else that of the first rule that found one."
    found = {rule: lr for rule, lr in test.suggestions.items() if lr}
    return float(f"{found.get('valley', next(iter(found.values()))):.1e}") if found else None


def _text(table: pd.DataFrame, lr: float | None, out: Path) -> str:
    lines = [f"{'rule':<10}{'lowest':>10}{'median':>10}{'highest':>10}   n"]
    for rule, values in table.groupby("rule", sort=False).lr:
        low, median, high = (f"{v:.1e}" for v in (values.min(), values.median(), values.max()))
        lines.append(f"{rule:<10}{low:>10}{median:>10}{high:>10}   {len(values)}")
    if lr:
        lines += ["", f"Use it: lr_max = {show_lr(lr)} (the valley rule, median over seeds)"]
    else:
        lines += ["", "No rule found an LR: the loss never fell. Look at the figure."]
    return "\n".join([*lines, f"Figure: {out / 'lr_find.png'}"])
