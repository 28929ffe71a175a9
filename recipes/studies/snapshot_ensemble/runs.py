"""One run with restarts, its snapshots, their ensemble and their average; one cosine and one constant run beside it."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from fastai.basics import noop

from lrlab.callbacks import Constant, CosineDecay, CosineRestarts, SnapshotEnsemble
from lrlab.callbacks.averaging import measure_batchnorm
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.runs.plan import Run, plan_runs
from lrlab.recipes.kitchen.runs.recording import Recording
from lrlab.recipes.kitchen.stats.predictions import classification_measures
from lrlab.recipes.kitchen.store.tables import RunResult
from lrlab.recipes.kitchen.workloads import Workload

LEAST = 1e-12  # a probability below this counts as this, so that a loss stays finite
NO_MODELS = pd.DataFrame(columns=["model", "valid_loss", "accuracy"])


def plan(lr_max: float, epochs: int, cycles: int, seeds: list[int]) -> list[Run]:
    "Three runs of equal length for every seed."
    schedules = {
        "sgdr": CosineRestarts(cycle_len=epochs / cycles, cycle_mult=1),
        "cosine": CosineDecay(),
        "constant": Constant(),
    }
    return plan_runs(schedules, lr_max, seeds, epochs)


def train(run: Run, data: Any, workload: Workload) -> RunResult:
    "Train one run. `models.csv` has the validation scores of each model that it gives."
    recording = Recording()
    ensemble = SnapshotEnsemble() if run.arm == "sgdr" else None
    learn = workload.learner(run.seed, data)
    with learn.no_bar(), learn.no_logging():
        workload.warm_up_head(learn)
        cbs = [*recording.callbacks(), *([ensemble] if ensemble else [])]
        learn.fit_schedule(run.epochs, run.schedule, lr_max=run.lr_max.to_fastai(), cbs=cbs)
        if recording.why_diverged:
            models = NO_MODELS
        else:
            models = _scores(learn, ensemble) if ensemble else _table({"final": _probabilities(learn)})
    return recording.result(run, extra={"models.csv": models})


def _scores(learn, ensemble: SnapshotEnsemble) -> pd.DataFrame:
    "Every snapshot alone, the mean of their predictions, and the mean of their weights with new batch-norm statistics."
    snapshots, predicted = ensemble.snapshots, {}
    for number, snapshot in enumerate(snapshots, 1):
        learn.model.load_state_dict(snapshot)
        predicted[f"snapshot {number}"] = _probabilities(learn)
    targets = predicted["snapshot 1"][1]
    if any(not np.array_equal(own, targets) for _, own in predicted.values()):
        raise UserError("the validation loader gives other items each time, so the predictions cannot be averaged")
    predicted["ensemble"] = np.mean([own for own, _ in predicted.values()], axis=0), targets
    set_weights(learn, average(snapshots))
    predicted["average"] = _probabilities(learn)
    return _table(predicted)


def _probabilities(learn) -> tuple[np.ndarray, np.ndarray]:
    "Those of every class [n, classes] for the validation data, and the right classes [n]."
    loader = None if hasattr(learn.dls.valid, "new") else learn.dls.valid  # fastai renews its own; torch's cannot be
    outputs, targets = learn.get_preds(dl=loader, act=noop)
    return torch.softmax(outputs.float(), 1).double().numpy(), targets.reshape(-1).long().numpy()


def _table(predicted: dict[str, tuple[np.ndarray, np.ndarray]]) -> pd.DataFrame:
    "Cross-entropy and accuracy of every model."
    rows = []
    for model, (probabilities, targets) in predicted.items():
        measures = classification_measures(np.log(np.maximum(probabilities, LEAST)), targets)
        rows.append((model, measures["loss"], measures["accuracy"]))
    return pd.DataFrame(rows, columns=NO_MODELS.columns)


def average(snapshots: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    "The mean of the weights; whole numbers (how many batches a batch norm has seen) are those of the last."
    last = snapshots[-1]
    return {
        name: torch.stack([s[name].double() for s in snapshots]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in last.items()
    }


def set_weights(learn, state: dict[str, torch.Tensor]) -> None:
    "Load weights that no training has visited: their batch-norm statistics are measured anew."
    learn.model.load_state_dict(state)
    measure_batchnorm(learn)
