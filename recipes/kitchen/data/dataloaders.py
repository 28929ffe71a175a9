"""fastai DataLoaders that serve whole batches from the decoded images, at the cost of one array index a batch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

# Not fastai.vision.all: that imports torchvision, which takes as long as all the rest.
from fastai.data.core import Datasets, TfmdDL
from fastai.data.transforms import Categorize, CategoryMap, IntToFloatTensor, Normalize, ToTensor
from fastai.torch_basics import DisplayedTransform, TensorCategory, TensorImage, Transform
from fastai.vision.core import PILImage, PILImageBW, imagenet_stats
from fastcore.basics import chunked

from lrlab.recipes.kitchen.data.decode import read_image
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import UserError

DEFAULT_BS = 64


class Pixels:
    """The images as tensors: [n, channels, height, width] uint8 in channels_last order, and their labels.

    On a GPU they lie there as a whole if they take at most `SHARE` of its free memory, else they come batch by batch.
    """

    SHARE = 0.5

    def __init__(self, image_set: ImageSet, device: torch.device):
        self.image_set, self.device = image_set, device
        self.resident = None
        if device.type != "cpu" and image_set.images.nbytes <= self.SHARE * free_memory(device):
            self.resident = tuple(
                torch.from_numpy(np.array(a)).to(device) for a in (image_set.images, image_set.labels)
            )

    def batch(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        "Images and labels of `rows`, on the device."
        if self.resident:
            rows = torch.from_numpy(rows).to(self.device, non_blocking=True)
            images, labels = (tensor[rows] for tensor in self.resident)
        else:
            both = self.image_set.images[rows], self.image_set.labels[rows]
            images, labels = (torch.from_numpy(array).to(self.device) for array in both)
        # [n, h, w, c] seen as [n, c, h, w] is what torch calls channels_last: no copy here, none in the model
        return images.permute(0, 3, 1, 2), labels


def free_memory(device: torch.device) -> float:
    "Bytes of the device's own memory that nobody uses."
    return torch.cuda.mem_get_info(device)[0]


def train_device() -> torch.device:
    "The GPU if there is one, else the CPU."
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class RowToImage(Transform):
    "A row of the decoded images, or a new image file, as a fastai image."

    input_types = (int, np.integer, str, Path)  # what `learn.predict` may be given

    def __init__(self, image_set: ImageSet):
        self.image_set = image_set
        self._pixels: Pixels | None = None

    def pixels_on(self, device: torch.device | None) -> Pixels:
        "All images for whole batches; kept, because training and validation share them."
        device = device or torch.device("cpu")
        if self._pixels is None or self._pixels.device != device:
            self._pixels = Pixels(self.image_set, device)
        return self._pixels

    def encodes(self, item):
        if isinstance(item, (int, np.integer)):
            pixels = self.image_set.images[item]
        else:
            pixels = read_image(item, self.image_set.size, self.image_set.channels)
        return PILImageBW.create(pixels[..., 0]) if self.image_set.channels == 1 else PILImage.create(np.array(pixels))


class RowToLabel(Transform):
    "The class name of a row of the decoded images."

    def __init__(self, image_set: ImageSet):
        self.image_set = image_set

    def encodes(self, row):
        return self.image_set.classes[self.image_set.labels[row]]


class BatchTransform(DisplayedTransform):
    """Base of batch transforms that change the images of a batch alone: `images` gets them as a plain tensor.

    fastai looks for a method for the images and for the labels, of every transform at every batch; that, and its tensor
    subclasses, take as long as the work itself.
    """

    def __call__(self, x, split_idx=None, **_):
        if self.split_idx not in (None, split_idx):
            return x
        if isinstance(x, torch.Tensor):
            return self.images(x.as_subclass(torch.Tensor)).as_subclass(type(x))
        images, *rest = x
        return (self(images, split_idx), *rest)


class BatchFlips(BatchTransform):
    """Random flips of each image of a training batch: none, left-right, or all eight symmetries of the square.

    The same draws as fastai's `Flip` and `Dihedral`, by indexing instead of resampling: a sixth of the time.
    """

    split_idx, order = 0, 5  # training only; before the conversion to float, on a quarter of the bytes

    def __init__(self, kind: str = "horizontal"):
        self.kind = kind

    def images(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.kind == "none" else turned(x, dihedral=self.kind == "dihedral")


def turned(x: torch.Tensor, dihedral: bool) -> torch.Tensor:
    "A batch [n, channels, height, width] with random left-right flips, or all eight symmetries of the square."
    images = _half_of(x.permute(0, 2, 3, 1), lambda images: images.flip(2))  # as they lie in memory
    if dihedral:
        images = _half_of(images, lambda images: images.flip(1))
        images = _half_of(images, lambda images: images.transpose(1, 2))
    return images.permute(0, 3, 1, 2)


def _half_of(images: torch.Tensor, turn: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    "Every image turned or not, by a coin: whole images are copied, which is faster than `torch.where`."
    n = len(images)
    coins = (torch.rand(n) < 0.5).to(images.device)
    return torch.cat([images, turn(images)]).index_select(0, torch.arange(n, device=images.device) + n * coins)


class ToFloat(BatchTransform):
    "Bytes to floats in 0..1, as fastai's `IntToFloatTensor`; with `colour` grey is repeated three times, uncopied."

    order = IntToFloatTensor.order

    def __init__(self, colour: bool = False):
        self.colour = colour

    def images(self, x: torch.Tensor) -> torch.Tensor:
        x = x.float().div_(255)
        return x.expand(-1, 3, -1, -1) if self.colour and x.shape[1] == 1 else x

    def decodes(self, x: TensorImage):
        return x.clamp(0, 1)


class Normalized(BatchTransform, Normalize):
    "fastai's `Normalize`, of the images alone."

    def images(self, x: torch.Tensor) -> torch.Tensor:
        return x.sub(self.mean).div_(self.std)


class BatchDL(TfmdDL):
    "A fastai DataLoader over rows of `ImageSet` that indexes a whole batch at once; new files go the usual way."

    parts = 1  # batches that come from one draw of `parts * bs` images: a whole number of draws, see memory.py

    def __len__(self):
        return super().__len__() // self.parts * self.parts

    def create_batches(self, samples):
        rows = np.array(self.dataset.items)
        if rows.dtype.kind != "i":  # a test_dl of files
            yield from super().create_batches(samples)
            return
        labelled = len(self.dataset.tls) > 1
        pixels = self.dataset.tls[0].tfms.fs[0].pixels_on(self.device)
        whole = chunked(samples, self.parts * self.bs, self.drop_last)
        for positions in (part for batch in whole for part in np.array_split(batch, self.parts)):
            images, labels = pixels.batch(rows[positions])
            yield (TensorImage(images), TensorCategory(labels)) if labelled else (TensorImage(images),)


def make_dataloaders(
    image_set: ImageSet, bs: int = DEFAULT_BS, colour: bool = False, pretrained: bool = False, device=None
):
    """DataLoaders of the training and validation rows (and the test rows as a third, if there are any).

    `colour` repeats grey images three times; `pretrained` normalizes with ImageNet's statistics instead of our own.
    Less data than one batch of the default size make one batch of what there is; a larger batch that the data cannot
    fill was asked for and is a UserError. `device`: default the GPU, if there is one.
    """
    images = len(image_set.splits["train"])
    if bs > max(images, DEFAULT_BS):
        raise UserError(f"`bs` {bs}: there are only {images} training images")
    categorize = Categorize(vocab=CategoryMap(list(image_set.classes), sort=False), sort=False)
    rows = list(range(len(image_set.labels)))
    splits = [image_set.splits[name].tolist() for name in ("train", "valid", "test") if name in image_set.splits]
    datasets = Datasets(rows, [[RowToImage(image_set)], [RowToLabel(image_set), categorize]], splits=splits)
    stats = imagenet_stats if pretrained and colour else image_set.pixel_stats
    tfms = [BatchFlips(image_set.flips), ToFloat(colour), Normalized.from_stats(*stats, cuda=False)]
    return datasets.dataloaders(
        bs=min(bs, len(splits[0])),
        val_bs=2 * bs,
        dl_type=BatchDL,
        after_item=[ToTensor()],
        after_batch=tfms,
        num_workers=0,
        device=device or train_device(),
    )
