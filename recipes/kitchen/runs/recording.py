"""Record a fit: the callbacks that watch it, and the RunResult that they make of it."""

import math
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch
from fastai.basics import Callback, Learner

from lrlab.callbacks import HyperHistory, StopOnDivergence
from lrlab.callbacks.events import QuickCallback
from lrlab.callbacks.random_state import kept_random_state
from lrlab.callbacks.snapshots import CycleCallback
from lrlab.recipes.kitchen.learner.precision import autocast, precision_of
from lrlab.recipes.kitchen.learner.quick_learner import QuickLearner
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.predictions import PredictionLog, measures_of, packed
from lrlab.recipes.kitchen.stage import stage
from lrlab.recipes.kitchen.store.tables import (
    CYCLE_COLUMNS,
    EPOCH_COLUMNS,
    KEY_COLUMNS,
    STEP_COLUMNS,
    RunResult,
    RunRow,
    by_column,
)


class Recording:
    """Everything that is measured of one run. Its clock starts when it is made.

    Pass `callbacks` to the fit; afterwards `result` gives the tables.
    """

    def __init__(self):
        self.started = time.perf_counter()
        self.epochs, self.history, self.divergence = EpochLog(), HyperHistory(), StopOnDivergence()
        self.cycles, self.predictions = CycleLog(), PredictionLog()

    def callbacks(self, cyclic: bool = False) -> list[Callback]:
        "For the `cbs` of the fit. `cyclic`: validate at the end of every cycle too."
        return [self.epochs, self.history, self.divergence, self.predictions, *[self.cycles] * cyclic]

    @property
    def why_diverged(self) -> str | None:
        "The reason why the fit diverged, or None."
        if self.divergence.diverged:
            return self.divergence.reason
        if not self.epochs.rows:
            raise RuntimeError("a callback of the Learner ended the fit before its first epoch was over")
        finite = math.isfinite(self.epochs.rows[-1]["valid_loss"])
        return None if finite else "the validation loss after the last step is not finite"

    def result(
        self,
        run: Run,
        test: Mapping[str, float] = MappingProxyType({}),
        steps: pd.DataFrame | None = None,
        extra: dict[str, pd.DataFrame] | None = None,
    ) -> RunResult:
        """The run as tables.

        `test` maps the measures on the test data to their values. `steps` replaces what HyperHistory recorded. `extra`
        maps file names to tables of this recipe alone, which get the run's key.
        """
        steps = self.history.to_df() if steps is None else steps
        epochs, reason = self.epochs.to_df(steps), self.why_diverged
        n_steps = int(steps.step.max()) + 1 if len(steps) else 0
        began = self.divergence.step if self.divergence.diverged else n_steps - 1
        last = {} if reason else dict(epochs.iloc[-1])
        arrays = {} if reason else self.predictions.arrays()
        predicted = measures_of(arrays)
        others = epochs.columns[len(EPOCH_COLUMNS) - len(KEY_COLUMNS) :]
        measures = {name: last.get(name) for name in others} | {k: predicted[k] for k in ("brier",) if k in predicted}
        measures |= {f"test_{name}": value for name, value in test.items() if name not in ("loss", "accuracy")}
        best = epochs.accuracy.idxmax() if epochs.accuracy.notna().any() else None
        values = {
            "status": "diverged" if reason else "ok",
            "epochs": len(epochs),
            "steps": n_steps,
            "train_loss": last.get("train_loss"),
            "valid_loss": last.get("valid_loss"),
            "accuracy": predicted.get("accuracy") if pd.isna(last.get("accuracy")) else last["accuracy"],
            "best_accuracy": None if best is None else epochs.accuracy[best],
            "best_epoch": None if best is None else epochs.epoch[best],
            "diverged_step": began if reason else None,
            "seconds": round(time.perf_counter() - self.started, 2),
            "error": "; ".join(filter(None, (reason, self.epochs.memory_note))) or None,
            "budget": run.epochs,
            "test_loss": test.get("loss"),
            "test_accuracy": test.get("accuracy"),
        }
        row = RunRow(
            **vars(run.key),
            **{name: _as_python(value) for name, value in values.items()},
            measures={name: _as_python(value) for name, value in measures.items()},
        )
        cycles = run.key.label(self.cycles.to_df())[CYCLE_COLUMNS]
        tables = {name: run.key.label(table) for name, table in (extra or {}).items()}
        return RunResult(row, run.key.label(epochs), steps, cycles, tables, packed(arrays))


def failed_run(run: Run, reason: str, seconds: float = 0.0) -> RunResult:
    "The result of a run that could not be finished, for another reason than divergence."
    row = RunRow(**vars(run.key), status="failed", seconds=round(seconds, 2), error=reason, budget=run.epochs)
    return RunResult(row, pd.DataFrame(columns=EPOCH_COLUMNS), pd.DataFrame(columns=STEP_COLUMNS))


class EpochLog(QuickCallback):
    "The validation results, the LR of the last layer group and the time of every epoch."

    order, run_valid = 61, False  # after fastai's Recorder has the epoch's values

    def __init__(self):
        self.rows: list[dict[str, float]] = []

    def before_fit(self):
        self.rows = []
        self.memory_note: str | None = None

    def before_epoch(self):
        stage(f"Training: epoch {self.epoch + 1} of {self.n_epoch}")
        self.started = time.perf_counter()

    def after_epoch(self):
        measures = last_measures(self.learn)
        self.rows.append(
            {
                "epoch": self.epoch + 1,
                "step": self.train_iter,
                "lr": float(self.opt.hypers[-1]["lr"]),
                "valid_loss": measures.pop("loss"),
                "accuracy": measures.pop("accuracy", math.nan),
                "seconds": round(time.perf_counter() - self.started, 3),
                **measures,
            }
        )
        self.memory_note = self.learn.parts.note if isinstance(self.learn, QuickLearner) else None

    def state_dict(self) -> dict[str, Any]:
        "What a continued fit needs to have the epochs before it too."
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows = list(state["rows"])

    def to_df(self, steps: pd.DataFrame) -> pd.DataFrame:
        "One row per finished epoch, counted from 1. `steps` (HyperHistory's) give the mean training loss of each."
        columns = [name for name in EPOCH_COLUMNS if name not in (*KEY_COLUMNS, "train_loss")]
        others = [name for name in (self.rows[0] if self.rows else ()) if name not in columns]
        table = pd.DataFrame(self.rows, columns=[*columns, *others])
        losses = steps[steps.group == steps.group.max()].groupby("epoch").loss.mean()
        table.insert(3, "train_loss", (table.epoch - 1).map(losses))
        return table.astype({"accuracy": float})


def last_measures(learn: Learner) -> dict[str, float]:
    """Loss and metrics of the validation that fastai's Recorder has just seen, by the names of their columns.

    They are known by their places: a metric of the user's may be called `valid_loss` too.
    """
    recorder, names = learn.recorder, learn.metrics.attrgot("name")
    n_of_training = 1 + (len(names) if recorder.train_metrics else 0)
    if not (valid := recorder.values[-1][n_of_training:]):
        raise RuntimeError("a callback of the Learner skipped the validation of an epoch")
    return by_column(valid[0], names, valid[1:])


class CycleLog(CycleCallback):
    """The validation accuracy at the end of every cycle, where the LR is lowest. Epochs seldom end just there.

    The extra validation restores the random state, so a cyclic schedule sees the same batches as the others.
    """

    run_valid = False

    def __init__(self):
        super().__init__()
        self.rows: list[tuple[int, float, float, float]] = []

    def cycle_end(self):
        step, learn = self._steps.step, self.learn
        with kept_random_state(learn.dls):
            loss, accuracy = _evaluate(learn)
        self.rows.append((step + 1, (step + 1) / self._steps.per_epoch, loss, accuracy))

    def to_df(self) -> pd.DataFrame:
        "One row per completed cycle: cycle (from 1), step (optimizer steps made), epoch, valid_loss, accuracy."
        table = pd.DataFrame(self.rows, columns=["step", "epoch", "valid_loss", "accuracy"])
        return table.assign(cycle=range(1, len(table) + 1))


def _evaluate(learn: Learner) -> tuple[float, float]:
    "Mean loss and accuracy over the validation data, in the precision of the fit, in the middle of a training epoch."
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


def _as_python(value: Any) -> Any:
    "A JSON value: numpy scalars become Python's."
    return value.item() if isinstance(value, np.generic) else value
