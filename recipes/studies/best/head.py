"""The head on the frozen body: what the body makes of the images is computed once, and a head trains in seconds."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from fastai.data.core import DataLoaders
from fastai.metrics import accuracy
from fastai.torch_core import set_seed
from torch import nn

from lrlab.callbacks import OneCycle
from lrlab.recipes.kitchen.learner.precision import autocast
from lrlab.recipes.kitchen.learner.quick_learner import PlainCrossEntropy, QuickLearner
from lrlab.recipes.kitchen.runs.frozen_body import TensorDL
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.recording import Recording
from lrlab.recipes.kitchen.store.tables import RunResult
from lrlab.recipes.kitchen.workloads import using_threads

Split = tuple[torch.Tensor, torch.Tensor]  # [n, features] of images, and their labels [n]


@dataclass
class Features:
    "What the body and the pooling make of the images, and the head that takes it, as it was at first."

    train: Split
    valid: Split
    head: nn.Sequential
    bs: int

    def new_head(self) -> nn.Sequential:
        return copy.deepcopy(self.head)

    def moved(self, rows: torch.Tensor) -> "Features":
        "With the validation images where `rows` [n] is True among the training images instead."
        (x, y), (valid_x, valid_y) = self.train, self.valid
        train = torch.cat([x, valid_x[rows]]), torch.cat([y, valid_y[rows]])
        return Features(train, (valid_x[~rows], valid_y[~rows]), self.head, self.bs)


def compute_features(learn: Any, mirror: bool, tell: Callable[[float], None] = lambda share: None) -> Features:
    """The features of the training and validation images of a Learner. `mirror`: of mirrored training images too.

    `tell(share)` is called after every batch.
    """
    pooling, head = split_head(learn.model[1])
    total = sum(len(learn.dls.loaders[split]) for split in (0, 1))
    done = iter(range(1, 2 * total + 1))
    learn.model.eval()
    parts = []
    for split, is_mirrored in ((0, mirror), (1, False)):
        outputs: list[torch.Tensor] = []
        labels: list[torch.Tensor] = []
        for x, y in _plain_batches(learn, split):
            for view in (x, x.flip(-1)) if is_mirrored else (x,):
                with torch.no_grad(), autocast(learn.precision, x.device):
                    outputs.append(pooling(learn.model[0](view)).float())
                labels.append(y)
            tell(next(done) / total)
        parts.append((torch.cat(outputs), torch.cat(labels)))
    return Features(parts[0], parts[1], copy.deepcopy(head), learn.dls.train.bs)


def split_head(head: nn.Sequential) -> tuple[nn.Sequential, nn.Sequential]:
    "The layers in front that have no weights, such as the pooling, and the rest."
    first = next(i for i, layer in enumerate(head) if list(layer.parameters()))
    return head[:first], head[first:]


def _plain_batches(learn: Any, split: int) -> Iterator[Split]:
    "The images of a split in order, without augmentation."
    loader = learn.dls.loaders[split]
    transforms = [t for t in loader.after_batch.fs if getattr(t, "split_idx", None) != 0]
    for x, y in loader.new(shuffle=False, drop_last=False, after_batch=transforms):
        yield x.as_subclass(torch.Tensor), y.as_subclass(torch.Tensor)


def train_head(run: Run, features: Features) -> tuple[nn.Sequential, RunResult]:
    "A new head, trained on the features, and the run."
    recording = Recording()
    set_seed(run.seed)
    bs = features.bs
    loaders = TensorDL(*features.train, bs, shuffle=True), TensorDL(*features.valid, 4 * bs, shuffle=False)
    dls = DataLoaders(*loaders, device=features.train[0].device)
    learn = QuickLearner(dls, features.new_head(), PlainCrossEntropy(), metrics=accuracy)
    with using_threads(1), learn.no_bar(), learn.no_logging():  # more would wait for each other at so little work
        learn.fit_schedule(run.epochs, OneCycle(), lr_max=run.lr_max.to_fastai(), cbs=recording.callbacks())
    return learn.model, recording.result(run)
