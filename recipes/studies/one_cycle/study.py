"""The tutorial's own way to train: the head first, an LR range test, then `fit_one_cycle` with a slice. One run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from fastai.interpret import ClassificationInterpretation

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.figures import plots
from lrlab.recipes.kitchen.grid.study import Study, open_study
from lrlab.recipes.kitchen.learning_rates import LearningRate, format_number
from lrlab.recipes.kitchen.models.layer_groups import group_names
from lrlab.recipes.kitchen.runs.lr_range_test import STEPS, quiet_range_test, suggested_lr
from lrlab.recipes.kitchen.runs.recording import Recording
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.workloads import Workload, using_threads
from lrlab.recipes.studies.one_cycle.figure import draw


@dataclass(frozen=True)
class Question:
    "Everything that the numbers depend on."

    workload: Workload
    epochs: int
    lr_max: LearningRate | None  # None: chosen by an LR range test
    seed: int
    threads: None = None  # every core

    @property
    def seeds(self) -> list[int]:
        return [self.seed]

    def to_dict(self, image_set: ImageSet) -> dict:
        lr_max = "find" if self.lr_max is None else str(self.lr_max)
        return {**self.workload.to_dict(image_set), "epochs": self.epochs, "lr_max": lr_max, "seed": self.seed}


@dataclass
class OneCycleRun:
    "The tables `epochs`, `steps` (as HyperHistory records them) and `confusion` (counts, true class by row)."

    epochs: pd.DataFrame
    steps: pd.DataFrame
    confusion: pd.DataFrame
    text: str


def answer(question: Question, out: Path | str, fresh: bool = False) -> OneCycleRun:
    "Train (or read, if the folder has the run) and draw; writes lr_find, epochs, steps, confusion .csv and a figure."
    with open_study("one-cycle", question, out, fresh=fresh) as study:
        store = study.store
        if not (store.out / "confusion.csv").exists():
            with using_threads(question.threads):
                _train(study)
        tables = {name: pd.read_csv(store.out / f"{name}.csv") for name in ("epochs", "steps")}
        confusion = pd.read_csv(store.out / "confusion.csv", index_col=0)
        plots.save(draw(**tables, confusion=confusion, config=store.manifest.to_dict()), store.out / "one_cycle.png")
        return OneCycleRun(**tables, confusion=confusion, text=_text(tables["epochs"], store.manifest, store.out))


def _train(study: Study) -> None:
    question, workload = study.question, study.workload
    learn = workload.learner(question.seed, study.image_set)
    with learn.no_bar():
        if workload.pretrained:
            print(f"The head alone, {workload.head_epochs} epoch:")
        workload.warm_up_head(learn)
        test = quiet_range_test(learn, STEPS)
        study.store.write_tables(lr_find=test.to_df())
        valley = suggested_lr(test)
        print(f"lr_find suggests {'no LR' if valley is None else format_number(valley)}")
        used = workload.spread(valley) if question.lr_max is None and valley is not None else question.lr_max
        if used is None:
            raise UserError("`lr_max` find: the LR range test suggests no LR on this data; give `lr_max` a number")
        print(f"learn.fit_one_cycle({question.epochs}, {used})")
        recording = Recording()
        groups = len(learn.splitter(learn.model))
        cbs = [recording.history, recording.epochs]
        learn.fit_one_cycle(question.epochs, used.to_fastai(groups), cbs=cbs)
        matrix = ClassificationInterpretation.from_learner(learn).confusion_matrix()
    steps = recording.history.to_df()
    study.store.write_tables(epochs=recording.epochs.to_df(steps), steps=steps)
    study.store.update(groups=group_names(groups), lr_find=valley, lr_max=str(used))
    classes = study.image_set.classes
    confusion = pd.DataFrame(matrix, index=classes, columns=classes)
    study.store.write_tables(confusion=confusion.reset_index(names=""))  # last: the run is complete if it is there


def _text(epochs: pd.DataFrame, manifest: Manifest, out: Path) -> str:
    lines = [f"{'epoch':>5} {'train loss':>11} {'valid loss':>11} {'accuracy':>9}"]
    for row in epochs.itertuples():
        lines.append(f"{row.epoch:>5} {row.train_loss:>11.4f} {row.valid_loss:>11.4f} {row.accuracy:>9.1%}")
    if not np.isfinite(epochs.valid_loss.iloc[-1]):
        lines.append(f"It diverged: the loss is not a number. lr_max = {manifest.lr_max} is too high for this model.")
    lines.append(f"Always answering the most frequent class: {manifest.data['majority']:.1%}.")
    return "\n".join([*lines, f"Figure: {out / 'one_cycle.png'}"])
