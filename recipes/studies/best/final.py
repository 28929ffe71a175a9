"""The last step of `lrlab best`: the final training, the temperature, the test, and model.pkl."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lrlab.callbacks import OneCycle
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.learner.saved_model import divide_scores, save_model
from lrlab.recipes.kitchen.learning_rates import LearningRate, format_number
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.stats.calibration import fit_temperature
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.text import percent, plural, show_share
from lrlab.recipes.studies.best.data import with_validation_images
from lrlab.recipes.studies.best.evaluate import accuracy_of, scores_of, table_of, worst_errors
from lrlab.recipes.studies.best.head import train_head
from lrlab.recipes.studies.best.layers import put_head, train_layers_until
from lrlab.recipes.studies.best.plan import DIVISOR, HEAD_EPOCHS, TOO_SHORT, Layers, is_accepted, is_long_enough
from lrlab.recipes.studies.best.work import Work

FINAL = "Final model"  # the name of the step


@dataclass
class Trained:
    "A Learner whose model is trained; how, in words; and on how many images."

    learn: Any
    how: str
    n_train: int


def train_final(work: Work, head_lr: float, layers: Layers) -> None:
    "Steps 5 and 6. Writes test.csv, worst.json and, last, model.pkl."
    store, images = work.study.store, work.images
    with work.journal.step(FINAL) as step:
        trained, step.evidence = None, layers.words
        if layers.lr is not None:
            trained, step.evidence = _all_layers(work, head_lr, layers.lr, layers.is_shown)
        trained = trained or _head_only(work, head_lr)
        temperature = fit_temperature(*scores_of(trained.learn, 1))
        divide_scores(trained.learn.model, temperature)
        work.journal.now("the test")
        table = table_of(images, *scores_of(trained.learn, 2))
        store.write_tables(test=table)
        write_atomically(store.out / "worst.json", worst_errors(images, table))
        save_model(trained.learn, store.out / "model.pkl")
        step.decision = f"{trained.how}, on {plural(trained.n_train, 'image')}; temperature {temperature:.2f}"
        step.facts = {"how": trained.how, "n_train": trained.n_train, "temperature": temperature}


def _head_only(work: Work, head_lr: float) -> Trained:
    "The head, trained with half of the validation images too."
    images = with_validation_images(work.images, work.seed)
    learn, _ = _with_head(work, images, head_lr)
    how = f"the head alone, {plural(HEAD_EPOCHS, 'epoch')}, LR {format_number(head_lr)}"
    return Trained(learn, how, len(images.splits["train"]))


def _all_layers(work: Work, head_lr: float, layers_lr: float, is_shown: bool) -> tuple[Trained | None, str]:
    """All layers until the time is up, and the evidence. None if they are no better than the head they started from.

    Only where trials have shown a gain do validation images join the training: else all of them have to judge.
    """
    journal = work.journal
    images = with_validation_images(work.images, work.seed) if is_shown else work.images
    learn, before = _with_head(work, images, head_lr)
    n_valid, n_train = len(images.splits["valid"]), len(images.splits["train"])
    seconds = journal.budget.for_training() - _seconds_after(work, n_valid)
    if not is_long_enough(seconds, work.speed, n_train, work.features.bs):
        return None, TOO_SHORT
    lr = LearningRate(layers_lr, layers_lr / DIVISOR, is_slice=True)
    tell = lambda share: journal.now(f"{FINAL}, {show_share(share, 0)}")  # noqa: E731
    epochs, failed = train_layers_until(learn, lr.to_fastai(), seconds, journal.budget.clock, tell)
    if failed:
        return None, f"all layers failed ({failed})"
    after = accuracy_of(*scores_of(learn, 1))
    judges = plural(n_valid, "validation image")
    evidence = f"all layers {percent(after)} %, the head alone {percent(before)} %, of {judges}"
    if not is_accepted(after, before, n_valid, is_shown):
        return None, evidence
    return Trained(learn, f"all layers, {epochs:.1f} epochs, {lr}", n_train), evidence


def _seconds_after(work: Work, n_valid: int) -> float:
    "What comes after the training: predictions, and a head for the case that all layers are rejected."
    heads = [row.seconds for row in work.study.store.complete().values() if row.schedule.startswith("head")]
    n_predicted = 2 * n_valid + len(work.images.splits["test"])
    return n_predicted * work.speed.predict + max(heads)


def _with_head(work: Work, images: ImageSet, head_lr: float) -> tuple[Any, float]:
    "A Learner of `images` whose head is trained on their features, and its validation accuracy."
    learn = work.study.workload.learner(work.seed, images)
    moved = np.isin(work.images.splits["valid"], images.splits["train"])
    run = Run("head", OneCycle(), LearningRate(head_lr), work.seed, HEAD_EPOCHS)
    head, result = train_head(run, work.features.moved(torch.from_numpy(moved)))
    put_head(learn, head)
    return learn, result.row.accuracy or 0.0
