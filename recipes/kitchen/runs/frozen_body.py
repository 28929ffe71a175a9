"""Training a head on a frozen body: what the body makes of the images is computed once, not in every epoch.

That gives the same result as running the body every time if, and only if, the body cannot change: its weights are
frozen, its batch norms and dropouts are in evaluation mode, and the images are not augmented. A head stage here is so.
"""

from collections.abc import Iterator

import torch
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy
from fastai.torch_core import set_seed
from fastcore.basics import chunked

from lrlab.recipes.kitchen.learner.precision import autocast
from lrlab.recipes.kitchen.learner.quick_learner import QuickLearner


class TensorDL(DataLoader):
    "A fastai DataLoader over two tensors, a batch by one index, in the order that fastai's loaders draw."

    def __init__(self, x: torch.Tensor, y: torch.Tensor, bs: int, shuffle: bool):
        super().__init__(dataset=range(len(x)), bs=bs, shuffle=shuffle, drop_last=shuffle, num_workers=0)
        self.x, self.y = x, y

    def create_batches(self, samples):
        for rows in chunked(samples, self.bs, self.drop_last):
            yield self.x[rows], self.y[rows]


def body_batches(learn, split: int, mirrored: bool = False) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """What the body makes of the images of a split (0 train, 1 valid), unaugmented and in order, and the labels.

    `mirrored` turns every image from left to right first. The body is in evaluation mode while a batch is computed.
    """
    loader = learn.dls.loaders[split]
    transforms = [t for t in loader.after_batch.fs if getattr(t, "split_idx", None) != 0]  # without augmentation
    body, was_training = learn.model[0], learn.model[0].training
    for x, y in loader.new(shuffle=False, drop_last=False, after_batch=transforms):
        x = x.as_subclass(torch.Tensor)
        body.eval()
        try:
            with torch.no_grad(), autocast(learn.precision, learn.dls.device):
                outputs = body(x.flip(-1) if mirrored else x)
        finally:
            body.train(was_training)
        yield outputs, y.as_subclass(torch.Tensor)


def body_outputs(learn, split: int) -> tuple[torch.Tensor, torch.Tensor]:
    "All batches of `body_batches` in one."
    outputs, labels = zip(*body_batches(learn, split), strict=True)
    return torch.cat(outputs), torch.cat(labels)


def head_learner(learn, seed: int) -> QuickLearner:
    "A Learner of `learn`'s own head alone, on the body's outputs; what it trains is trained in `learn`'s model."
    (x, y), (valid_x, valid_y) = body_outputs(learn, 0), body_outputs(learn, 1)
    set_seed(seed)
    bs = learn.dls.train.bs
    loaders = TensorDL(x, y, bs, shuffle=True), TensorDL(valid_x, valid_y, 2 * bs, shuffle=False)
    dls = DataLoaders(*loaders, device=learn.dls.device)
    loss = CrossEntropyLossFlat()
    optimizer = {"opt_func": learn.opt_func, "wd": learn.wd}
    return QuickLearner(dls, learn.model[1], loss, metrics=accuracy, precision=learn.precision, **optimizer)
