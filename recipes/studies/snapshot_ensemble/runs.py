"""One run with restarts, its snapshots, their ensemble and their average; one cosine and one constant run beside it."""

import pandas as pd
import torch

from lrlab.callbacks import Constant, CosineDecay, CosineRestarts, SnapshotEnsemble
from lrlab.callbacks.averaging import measure_batchnorm
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.runs.plan import Run, plan_runs
from lrlab.recipes.kitchen.runs.recording import Recording
from lrlab.recipes.kitchen.store.tables import RunResult
from lrlab.recipes.kitchen.workloads import ImageWorkload

NO_MODELS = pd.DataFrame(columns=["model", "valid_loss", "accuracy"])


def plan(lr_max: float, epochs: int, cycles: int, seeds: list[int]) -> list[Run]:
    "Three runs of equal length for every seed."
    schedules = {
        "sgdr": CosineRestarts(cycle_len=epochs / cycles, cycle_mult=1),
        "cosine": CosineDecay(),
        "constant": Constant(),
    }
    return plan_runs(schedules, lr_max, seeds, epochs)


def train(run: Run, image_set: ImageSet, workload: ImageWorkload) -> RunResult:
    "Train one run. `models.csv` has the validation scores of each model that it gives."
    recording = Recording()
    ensemble = SnapshotEnsemble() if run.arm == "sgdr" else None
    learn = workload.learner(run.seed, image_set)
    with learn.no_bar(), learn.no_logging():
        workload.warm_up_head(learn)
        cbs = [*recording.callbacks(), *([ensemble] if ensemble else [])]
        learn.fit_schedule(run.epochs, run.schedule, lr_max=run.lr_max.to_fastai(), cbs=cbs)
        if recording.why_diverged:
            models = NO_MODELS
        else:
            models = _scores(learn, ensemble) if ensemble else _final(learn)
    return recording.result(run, extra={"models.csv": models})


def _final(learn) -> pd.DataFrame:
    loss, accuracy = learn.validate()
    return pd.DataFrame({"model": ["final"], "valid_loss": [loss], "accuracy": [accuracy]})


def _scores(learn, ensemble: SnapshotEnsemble) -> pd.DataFrame:
    "Every snapshot alone, the mean of their predictions, and the mean of their weights with new batch-norm statistics."
    rows, snapshots = [], ensemble.snapshots
    for number, snapshot in enumerate(snapshots, 1):
        learn.model.load_state_dict(snapshot)
        rows.append((f"snapshot {number}", *learn.validate()))
    preds, targets = ensemble.ensemble_preds(learn)
    loss = torch.nn.functional.nll_loss(preds.clamp_min(1e-12).log(), targets.long()).item()
    rows.append(("ensemble", loss, (preds.argmax(1) == targets).float().mean().item()))
    set_weights(learn, average(snapshots))
    rows.append(("average", *learn.validate()))
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
