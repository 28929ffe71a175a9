"""fastai DataLoaders that serve whole batches from the decoded photos, at the cost of one array index a batch."""

from pathlib import Path

import numpy as np
import torch
from fastcore.basics import chunked

from lrlab.recipes.kitchen import vision  # noqa: F401  (prepares torchvision for the next line)

from fastai.vision.all import (  # isort: skip
    CategoryMap,
    Categorize,
    Datasets,
    DisplayedTransform,
    IntToFloatTensor,
    Normalize,
    PILImage,
    PILImageBW,
    TensorCategory,
    TensorImage,
    TfmdDL,
    ToTensor,
    Transform,
    imagenet_stats,
)

from lrlab.recipes.kitchen.data import Photos
from lrlab.recipes.kitchen.decode import read_photo
from lrlab.recipes.kitchen.errors import UserError

DEFAULT_BS = 64


class RowToImage(Transform):
    "A row of the decoded photos, or a new image file, as a fastai image."

    input_types = (int, np.integer, str, Path)  # what `learn.predict` may be given

    def __init__(self, photos: Photos):
        self.photos = photos

    def encodes(self, item):
        if isinstance(item, (int, np.integer)):
            pixels = self.photos.images[item]
        else:
            pixels = read_photo(item, self.photos.size, self.photos.channels)
        return PILImageBW.create(pixels[..., 0]) if self.photos.channels == 1 else PILImage.create(np.array(pixels))


class RowToLabel(Transform):
    "The class name of a row of the decoded photos."

    def __init__(self, photos: Photos):
        self.photos = photos

    def encodes(self, row):
        return self.photos.classes[self.photos.labels[row]]


class BatchFlips(DisplayedTransform):
    """Random flips of each image of a training batch: none, left-right, or all eight symmetries of the square.

    The same draws as fastai's `Flip` and `Dihedral`, by indexing instead of resampling: a seventh of the time.
    """

    split_idx, order = 0, 5  # training only; before the conversion to float, on a quarter of the bytes

    def __init__(self, kind: str = "horizontal"):
        self.kind = kind

    def encodes(self, x: TensorImage):
        if self.kind == "none":
            return x
        x = _where(_coins(x), x.flip(-1), x)
        if self.kind == "dihedral":
            x = _where(_coins(x), x.flip(-2), x)
            x = _where(_coins(x), x.transpose(-1, -2), x)
        return x


def _coins(x):
    return (torch.rand(len(x)) < 0.5).to(x.device).view(-1, 1, 1, 1)


def _where(coins, a, b):
    return torch.where(coins, a, b)


class GreyToColour(DisplayedTransform):
    "Repeats the one grey channel three times, without copying, for models trained on colour photos."

    order = 15

    def encodes(self, x: TensorImage):
        return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x


class BatchDL(TfmdDL):
    "A fastai DataLoader over rows of `Photos` that indexes a whole batch at once; new files go the usual way."

    parts = 1  # batches that come from one draw of `parts * bs` images: a whole number of draws, see memory.py

    def __len__(self):
        return super().__len__() // self.parts * self.parts

    def create_batches(self, samples):
        photos = self.dataset.tls[0].tfms.fs[0].photos
        rows = np.array(self.dataset.items)
        if rows.dtype.kind != "i":  # a test_dl of files
            yield from super().create_batches(samples)
            return
        labelled = len(self.dataset.tls) > 1
        whole = chunked(samples, self.parts * self.bs, self.drop_last)
        for positions in (part for batch in whole for part in np.array_split(batch, self.parts)):
            batch = rows[positions]
            # [n, h, w, c] seen as [n, c, h, w] is what torch calls channels_last: no copy here, none in the model
            images = TensorImage(torch.from_numpy(photos.images[batch]).permute(0, 3, 1, 2))
            yield (images, TensorCategory(torch.from_numpy(photos.labels[batch]))) if labelled else (images,)


def make_dataloaders(photos: Photos, bs: int = DEFAULT_BS, colour: bool = False, pretrained: bool = False, device=None):
    """DataLoaders of the training and validation rows (and the test rows as a third, if there are any).

    `colour` repeats grey images three times; `pretrained` normalizes with ImageNet's statistics instead of our own.
    Less data than one batch of the default size make one batch of what there is; a larger batch that the data cannot
    fill was asked for and is a UserError.
    """
    images = len(photos.splits["train"])
    if bs > max(images, DEFAULT_BS):
        raise UserError(f"--bs {bs}: there are only {images} training images")
    categorize = Categorize(vocab=CategoryMap(list(photos.classes), sort=False), sort=False)
    rows = list(range(len(photos.labels)))
    splits = [photos.splits[name].tolist() for name in ("train", "valid", "test") if name in photos.splits]
    datasets = Datasets(rows, [[RowToImage(photos)], [RowToLabel(photos), categorize]], splits=splits)
    stats = imagenet_stats if pretrained and colour else pixel_stats(photos)
    tfms = [BatchFlips(photos.flips), IntToFloatTensor(), Normalize.from_stats(*stats, cuda=False)]
    if colour and photos.channels == 1:
        tfms.append(GreyToColour())
    return datasets.dataloaders(
        bs=min(bs, len(splits[0])),
        val_bs=2 * bs,
        dl_type=BatchDL,
        after_item=[ToTensor()],
        after_batch=tfms,
        num_workers=0,
        device=device or torch.device("cpu"),
    )


def pixel_stats(photos: Photos, most: int = 2000) -> tuple[list[float], list[float]]:
    "Mean and standard deviation per channel of (up to `most`, evenly spaced) training images, in 0..1."
    rows = photos.splits["train"]
    sample = photos.images[rows[:: max(1, len(rows) // most)]].reshape(-1, photos.channels) / np.float32(255)
    return sample.mean(0, np.float64).tolist(), np.maximum(sample.std(0, dtype=np.float64), 1e-3).tolist()
