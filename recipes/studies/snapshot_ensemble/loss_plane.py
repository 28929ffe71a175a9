"""The validation loss on the plane through three snapshots, and where two training runs went, seen on that plane.

Garipov et al. 2018 (arXiv:1802.10026), figure 1: points w1 + x u + y v, u along w2 - w1 and v across it towards w3.
Batch-norm statistics are measured anew at every point, as for any average of weights.
"""

from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import torch
from fastai.callback.core import Callback
from torch.nn.modules.batchnorm import _BatchNorm

from lrlab.callbacks import SnapshotEnsemble
from lrlab.callbacks.averaging import measure_batchnorm
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.workloads import Workload

RESOLUTION = 9  # points on a side
STATISTICS_BATCHES = 4  # training batches for the batch-norm statistics of a point
MARGIN = 0.5  # of the snapshots' extent, on every side of it


class Path(Callback):
    "The weights after every epoch, as vectors."

    run_valid = False

    def before_fit(self):
        self.points = [_vector(self.learn.model)]

    def after_epoch(self):
        self.points.append(_vector(self.learn.model))


def measure(cyclic: Run, constant: Run, data: Any, workload: Workload) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The plane (x, y, valid_loss) and the paths (schedule, epoch, x, y, away) of two runs from the same weights.

    `away` is a point's distance from the plane; the unit of all is the distance between the first two of the three
    snapshots. Trains both runs again, because a results folder keeps no weights.
    """
    paths, snapshots = {}, SnapshotEnsemble(keep=3)
    for run in (cyclic, constant):
        learn, path = workload.learner(run.seed, data), Path()
        with learn.no_bar(), learn.no_logging():
            workload.warm_up_head(learn)
            cbs = [path, *([snapshots] if run is cyclic else [])]
            learn.fit_schedule(run.epochs, run.schedule, lr_max=run.lr_max.to_fastai(), cbs=cbs)
        paths[run.arm] = torch.stack(path.points)
    corners = []
    for snapshot in snapshots.snapshots:
        learn.model.load_state_dict(snapshot)
        corners.append(_vector(learn.model))
    origin, axes, unit = basis(*corners)
    rows = []
    for name, points in {**paths, "snapshot": torch.stack(corners)}.items():
        flat = (points - origin) @ axes.T
        away = (points - origin - flat @ axes).norm(dim=1)
        table = torch.cat([flat, away[:, None]], dim=1) / unit
        rows += [(name, epoch, *point) for epoch, point in enumerate(table.tolist())]
    table = pd.DataFrame(rows, columns=["schedule", "epoch", "x", "y", "away"])
    plane = _losses(learn, origin, axes * unit, table[table.schedule == "snapshot"])
    return plane, table


def basis(first: torch.Tensor, second: torch.Tensor, third: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, float]:
    "The plane's origin, its two orthonormal axes [2, n] and the distance from the first to the second point."
    u, v = second - first, third - first
    unit = u.norm()
    u = u / unit
    v = v - (v @ u) * u
    return first, torch.stack([u, v / v.norm()]), unit.item()


@torch.no_grad()
def _losses(learn, origin: torch.Tensor, axes: torch.Tensor, corners: pd.DataFrame) -> pd.DataFrame:
    "The validation loss on a square grid around the snapshots."
    extent = max(np.ptp(corners.x), np.ptp(corners.y)) * (0.5 + MARGIN)
    centre = [(corners[c].min() + corners[c].max()) / 2 for c in ("x", "y")]
    xs, ys = (np.linspace(c - extent, c + extent, RESOLUTION) for c in centre)
    train, valid = list(islice(learn.dls.train, STATISTICS_BATCHES)), list(learn.dls.valid)
    norms_alone = [isinstance(module, _BatchNorm) for module in learn.model.modules()]  # no dropout while measuring
    rows = []
    with learn.no_bar(), learn.no_logging():
        for y in ys:
            for x in xs:
                _put(origin + x * axes[0] + y * axes[1], learn.model)
                measure_batchnorm(learn, norms_alone, train)
                rows.append((x, y, float(learn.validate(dl=valid)[0])))
    return pd.DataFrame(rows, columns=["x", "y", "valid_loss"])


def _vector(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def _put(vector: torch.Tensor, model: torch.nn.Module) -> None:
    start = 0
    for p in model.parameters():
        p.copy_(vector[start : start + p.numel()].reshape(p.shape))
        start += p.numel()
