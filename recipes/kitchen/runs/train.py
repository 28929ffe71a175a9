"""One run: a fresh Learner, one fit under its schedule, and everything measured along the way as tables."""

import gc
import math
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from lrlab.callbacks import HyperHistory, StopOnDivergence
from lrlab.callbacks.events import QuickCallback
from lrlab.callbacks.random_state import kept_random_state
from lrlab.callbacks.snapshots import CycleCallback
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.learner.precision import autocast, precision_of
from lrlab.recipes.kitchen.options import show_lr
from lrlab.recipes.kitchen.runs.out_of_memory import batch_size, out_of_memory, split_batches, with_smaller_batches
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.store.store import CYCLE_COLUMNS, EPOCH_COLUMNS, RUN_COLUMNS, STEP_COLUMNS, RunResult
from lrlab.recipes.kitchen.workloads import Workload


def train(run: Run, workload: Workload, image_set: ImageSet, threads: int = 1) -> RunResult:
    "One run from fresh weights, as `attempted` has it."
    torch.set_num_threads(threads)
    return attempted(run, lambda parts: _trained(run, workload, image_set, parts), batch_size(workload, image_set))


def attempted(run: Run, attempt: Callable[[int], RunResult], bs: int) -> RunResult:
    """The result of `attempt(1)`, or in parts of batches of `bs` where that does not fit into memory.

    An exception in it is a result too: the row says `failed` and why.
    """
    start = time.perf_counter()
    try:
        result, retried = with_smaller_batches(attempt, bs)
        if retried:
            result.row["error"] = "; ".join(filter(None, (result.row["error"], retried)))
        return result
    except Exception as error:  # whatever a model, an optimizer or the memory of the machine comes up with
        reason = "out of memory, with smaller batches too: " * out_of_memory(error)
        return failed(run, f"{reason}{type(error).__name__}: {_in_one_line(error)}", time.perf_counter() - start)
    finally:
        gc.collect()  # a Learner and its callbacks refer to each other; without this, memory grows from run to run
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # after an out-of-memory error the next run starts from nothing


def _trained(run: Run, workload: Workload, image_set: ImageSet, parts: int = 1) -> RunResult:
    start = time.perf_counter()
    log, history, divergence, cycles = EpochLog(), HyperHistory(), StopOnDivergence(), CycleLog()
    learn = split_batches(workload.learner(run.seed, image_set), parts)
    per_epoch = len(learn.dls.train) // parts
    cyclic = run.shape.cycle_ends(run.epochs * per_epoch, per_epoch)[:-1] != []
    with learn.no_bar(), learn.no_logging():
        workload.warm_up_head(learn)
        cbs = [log, history, divergence, *([cycles] if cyclic else [])]
        learn.fit_schedule(run.epochs, run.shape, lr_max=run.lr_max, cbs=cbs)
        finished = not divergence.diverged and math.isfinite(log.rows[-1][3])
        test = learn.validate(ds_idx=2) if finished and len(learn.dls.loaders) > 2 else (None, None)
    steps = history.to_df()
    own = {"run_id": run.run_id, "schedule": run.schedule, "lr_max": show_lr(run.lr_max), "seed": run.seed}
    epochs = log.to_df(steps).assign(**own)[EPOCH_COLUMNS]
    n_steps = int(steps.step.max()) + 1 if len(steps) else 0
    last = epochs.iloc[-1] if finished else {}
    best = epochs.loc[epochs.accuracy.idxmax()] if len(epochs) else {}
    row = _row(
        run,
        status="ok" if finished else "diverged",
        epochs=len(epochs),
        steps=n_steps,
        train_loss=last.get("train_loss"),
        valid_loss=last.get("valid_loss"),
        accuracy=last.get("accuracy"),
        best_accuracy=best.get("accuracy"),
        best_epoch=best.get("epoch"),
        diverged_step=None if finished else divergence.step if divergence.diverged else n_steps - 1,
        seconds=round(time.perf_counter() - start, 2),
        error=None if finished else divergence.reason or "the validation loss after the last step is not finite",
        test_loss=test[0],
        test_accuracy=test[1],
    )
    cycle_table = cycles.to_df().assign(**own)[CYCLE_COLUMNS]
    return RunResult(row, epochs, steps, cycle_table)


def failed(run: Run, reason: str, seconds: float = 0.0) -> RunResult:
    "The result of a run that could not be finished for another reason than divergence."
    row = _row(run, status="failed", epochs=0, steps=0, seconds=round(seconds, 2), error=reason)
    return RunResult(row, pd.DataFrame(columns=EPOCH_COLUMNS), pd.DataFrame(columns=STEP_COLUMNS))


def _row(run: Run, **values) -> dict:
    values |= {"run_id": run.run_id, "schedule": run.schedule, "lr_max": show_lr(run.lr_max), "seed": run.seed}
    return {column: _plain((values | {"budget": run.epochs}).get(column)) for column in RUN_COLUMNS}


def _plain(value):
    "A JSON value: numpy scalars become Python's."
    return value.item() if isinstance(value, np.generic) else value


class EpochLog(QuickCallback):
    "The validation results, the LR of the last group and the time of every epoch."

    order, run_valid = 61, False  # after fastai's Recorder has the epoch's values

    def before_fit(self):
        self.rows = []

    def before_epoch(self):
        self.started = time.perf_counter()

    def after_epoch(self):
        _, valid_loss, accuracy = self.recorder.values[-1]
        lr, seconds = self.opt.hypers[-1]["lr"], time.perf_counter() - self.started
        parts = getattr(self.dls.train, "parts", 1)  # batches that make one optimizer step, see memory.py
        step = self.learn.train_iter // parts
        self.rows.append((self.epoch, step, float(lr), valid_loss, accuracy, round(seconds, 3)))

    def to_df(self, steps: pd.DataFrame) -> pd.DataFrame:
        "One row per finished epoch, counted from 1; `steps` (HyperHistory's) give the mean training loss of each."
        table = pd.DataFrame(self.rows, columns=["epoch", "step", "lr", "valid_loss", "accuracy", "seconds"])
        losses = steps[steps.group == steps.group.max()].groupby("epoch").loss.mean()
        table.insert(3, "train_loss", table.epoch.map(losses))
        return table.assign(epoch=table.epoch + 1)


class CycleLog(CycleCallback):
    """The validation accuracy at the end of every cycle, where the LR is lowest; epochs seldom end just there.

    The extra look at the validation data draws no random number that the training would miss, so a cyclic schedule
    still sees the same batches as the others.
    """

    run_valid = False

    def __init__(self):
        super().__init__()
        self.rows = []

    def cycle_end(self):
        step, learn = self._steps.step, self.learn
        with kept_random_state(learn.dls):
            loss, accuracy = _evaluate(learn)
        self.rows.append((step + 1, (step + 1) / self._steps.per_epoch, loss, accuracy))

    def to_df(self) -> pd.DataFrame:
        "One row per completed cycle: cycle (from 1), step (optimizer steps made), epoch, valid_loss, accuracy."
        table = pd.DataFrame(self.rows, columns=["step", "epoch", "valid_loss", "accuracy"])
        return table.assign(cycle=range(1, len(table) + 1))


def _evaluate(learn) -> tuple[float, float]:
    "Mean loss and accuracy over the validation data, in the precision of the fit, amid a training epoch."
    loss, right, n = 0.0, 0, 0
    learn.model.eval()
    with torch.no_grad(), autocast(precision_of(learn), learn.dls.device):
        for x, y in learn.dls.valid:
            x, y = x.as_subclass(torch.Tensor), y.as_subclass(torch.Tensor)
            prediction = learn.model(x).float()
            loss += torch.nn.functional.cross_entropy(prediction, y, reduction="sum").item()
            right += (prediction.argmax(1) == y).sum().item()
            n += len(y)
    learn.model.train()
    return loss / n, right / n


def _in_one_line(error: BaseException) -> str:
    "What it says, without line breaks (fastai puts the cause of a callback's error on a later line)."
    return (" ".join(str(error).split()) or "no message")[:400]
