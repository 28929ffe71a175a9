"""The tutorial's own way to train: the head first, lr_find, then `fit_one_cycle` with a slice. One run, one figure."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from fastai.interpret import ClassificationInterpretation

from lrlab.callbacks import HyperHistory
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.figures import plots
from lrlab.recipes.kitchen.grid.runner import EpochLog
from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.models.layer_groups import group_names
from lrlab.recipes.kitchen.options import show_lr
from lrlab.recipes.kitchen.runs.out_of_memory import batch_size, said, split_batches, with_smaller_batches
from lrlab.recipes.kitchen.store.store import Store, write_atomically
from lrlab.recipes.kitchen.workloads import Workload, use_threads
from lrlab.recipes.studies.lr_find.study import quiet_range_test, suggested_lr
from lrlab.recipes.studies.one_cycle import figure


@dataclass
class OneCycleRun:
    "The tables `epochs`, `steps` (as HyperHistory records them) and `confusion` (counts, true class by row)."

    epochs: pd.DataFrame
    steps: pd.DataFrame
    confusion: pd.DataFrame
    text: str


def one_cycle(
    workload: Workload, epochs: int, lr_max: float | slice | None, seed: int, out: Path | str, fresh: bool = False
) -> OneCycleRun:
    "Train (or read, if the folder has the run) and draw; writes lr_find, epochs, steps, confusion .csv and a figure."
    image_set = workload.load_images()
    use_threads()
    workload = workload.resolve(image_set)
    workload.learner(seed, image_set)  # what cannot be built is refused before anything is written
    asked = "find" if lr_max is None else show_lr(lr_max)
    question = {**workload.to_dict(image_set), "epochs": epochs, "lr_max": asked, "seed": seed}
    with Store(out) as store:
        store.begin({"recipe": "one-cycle", "question": question, "data": image_set.describe(), **environment()}, fresh)
        if not (store.out / "confusion.csv").exists():

            def attempt(parts: int) -> None:
                _train(store, workload, image_set, epochs, lr_max, seed, parts)

            said(*with_smaller_batches(attempt, batch_size(workload, image_set)))
        tables = {name: pd.read_csv(store.out / f"{name}.csv") for name in ("epochs", "steps")}
        confusion = pd.read_csv(store.out / "confusion.csv", index_col=0)
        config = store.config
        fig = figure.draw(**tables, confusion=confusion, config=config)
        plots.save(fig, store.out / "one_cycle.png")
        return OneCycleRun(**tables, confusion=confusion, text=_text(tables["epochs"], config, store.out))


def _train(
    store: Store, workload: Workload, image_set, epochs: int, lr_max: float | slice | None, seed: int, parts: int
) -> None:
    learn = split_batches(workload.learner(seed, image_set), parts)
    with learn.no_bar():
        if workload.pretrained:
            print(f"The head alone, {workload.head_epochs} epoch:")
        workload.warm_up_head(learn)
        test = quiet_range_test(learn, 100 * parts)
        write_atomically(store.out / "lr_find.csv", test.to_df().to_csv(index=False))
        valley = suggested_lr(test)
        print(f"lr_find suggests {'no LR' if valley is None else show_lr(valley)}")
        used = workload.spread(valley) if lr_max is None and valley is not None else lr_max
        if used is None:
            raise UserError("`lr_max` find: the LR range test suggests no LR on this data; give `lr_max` a number")
        print(f"learn.fit_one_cycle({epochs}, {show_lr(used)})")
        history, log = HyperHistory(), EpochLog()
        learn.fit_one_cycle(epochs, workload.groups_lr(used), cbs=[history, log])
        matrix = ClassificationInterpretation.from_learner(learn).confusion_matrix()
    steps = history.to_df()
    table = log.to_df(steps)
    write_atomically(store.out / "epochs.csv", table.to_csv(index=False))
    write_atomically(store.out / "steps.csv", steps.to_csv(index=False))
    config = store.config | {"groups": group_names(len(learn.opt.param_lists)), "lr_max": show_lr(used)}
    store.write_config(config | {"lr_find": valley})
    confusion = pd.DataFrame(matrix, index=image_set.classes, columns=image_set.classes)
    write_atomically(store.out / "confusion.csv", confusion.to_csv())


def _text(epochs: pd.DataFrame, config: dict, out: Path) -> str:
    lines = [f"{'epoch':>5} {'train loss':>11} {'valid loss':>11} {'accuracy':>9}"]
    for row in epochs.itertuples():
        lines.append(f"{row.epoch:>5} {row.train_loss:>11.4f} {row.valid_loss:>11.4f} {row.accuracy:>9.1%}")
    if not np.isfinite(epochs.valid_loss.iloc[-1]):
        lines.append(f"It diverged: the loss is not a number. lr_max = {config['lr_max']} is too high for this model.")
    lines.append(f"Always answering the most frequent class: {config['data']['majority']:.1%}.")
    return "\n".join([*lines, f"Figure: {out / 'one_cycle.png'}"])
