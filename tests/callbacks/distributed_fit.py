"""One of two processes of a distributed fit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
import torch.distributed as dist
from fastai.basics import DataLoaders, TfmdDL, noop, set_seed
from fastai.callback.progress import ProgressCallback
from fastai.callback.training import GradientAccumulation
from fastai.distributed import DistributedDL
from fastai.test_utils import synth_learner
from torch.utils.data import TensorDataset

from lrlab.callbacks import HyperHistory, PolynomialDecay, StopOnDivergence


class GlooDL(DistributedDL):
    "fastai's, with a broadcast that needs no GPU."

    def _broadcast(self, t, rank):
        t = torch.tensor(t)
        dist.broadcast(t, rank)
        return t.tolist()


def learner(rank: int, items: int, drop_last: bool, lr: float = 1e-3):
    set_seed(rank)  # the processes differ; the broadcast order and the averaged gradients must not
    x = torch.linspace(-1, 1, items)[:, None]
    options = [{"shuffle": True, "drop_last": drop_last}, {}]
    loaders = [TfmdDL(TensorDataset(x, 2 * x), bs=16, num_workers=0, **kwargs) for kwargs in options]
    learn = synth_learner(data=DataLoaders(*[GlooDL(dl, rank, 2) for dl in loaders]), lr=lr)
    learn.model = torch.nn.parallel.DistributedDataParallel(learn.model)
    learn.remove_cbs(ProgressCallback)
    learn.logger = noop
    return learn


class NaNOnRank1(StopOnDivergence):
    "Sees a loss that is not finite in one process only."

    def after_loss(self):
        if self._steps is not None and dist.get_rank() == 1 and self._steps.next == 3:
            self.learn.loss = self.learn.loss * torch.nan
        super().after_loss()


def main(rank: int, folder: Path) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2"}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/init", rank=rank, world_size=2)
    runs = []
    for items, drop_last, n_acc in [(100, False, 0), (100, True, 0), (50, True, 0), (100, False, 40)]:
        learn, history = learner(rank, items, drop_last), HyperHistory()
        cbs = [GradientAccumulation(n_acc)] if n_acc else []
        learn.fit_schedule(3, PolynomialDecay(), 1.0e-3, cbs=[history, StopOnDivergence(), *cbs])
        weights = [p.item() for p in learn.model.parameters()]
        runs.append({"lrs": history.to_df().lr.tolist(), "weights": weights})
    learn, stop = learner(rank, 100, False), NaNOnRank1()
    learn.fit(3, cbs=stop)
    runs.append({"diverged": stop.diverged, "step": stop.step})
    (folder / f"{rank}.json").write_text(json.dumps(runs))
    dist.destroy_process_group()
