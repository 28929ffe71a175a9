"""fastai DataLoaders that serve whole batches of decoded images, at the cost of one array index per batch."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

# Not fastai.vision.all: that imports torchvision, which takes as long as all the rest.
from fastai.data.core import DataLoaders, Datasets, TfmdDL
from fastai.data.transforms import Categorize, CategoryMap, IntToFloatTensor, Normalize, ToTensor
from fastai.torch_basics import DisplayedTransform, TensorCategory, TensorImage, Transform
from fastai.vision.core import PILImage, PILImageBW, imagenet_stats
from fastcore.basics import chunked

from lrlab.recipes.kitchen.data.decode import read_image
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision
from lrlab.recipes.kitchen.text import plural

DEFAULT_BS = 64
MIN_STEPS = 8  # per epoch, for which the default batch size is reduced
GPU_SHARE = 0.5  # of a GPU's free memory that the images may take


def default_batch_size(n_train: int) -> int:
    """64, or less so that an epoch has at least 8 steps: a power of 2, and at least the 2 that batch norm needs.

    >>> [default_batch_size(n) for n in (10_000, 512, 500, 36, 9)]
    [64, 64, 32, 4, 2]
    """
    fits = min(DEFAULT_BS, max(n_train // MIN_STEPS, 2))
    return 2 ** (fits.bit_length() - 1)


def check_batch_size(bs: int, n_train: int) -> None:
    "Raise UserError for a batch above 64 that so many training images cannot fill."
    if bs > max(n_train, DEFAULT_BS):
        raise UserError(f"`bs` {bs}: there are only {plural(n_train, 'training image')}")


class Pixels:
    """The images as tensors: [n, channels, height, width] uint8 in channels_last order, and their labels.

    On a GPU they are kept there as a whole if there is room, else they are copied batch by batch.
    """

    def __init__(self, images: ImageSet, device: torch.device):
        self.images, self.device = images, device
        self.resident = None
        if device.type != "cpu" and images.images.nbytes <= GPU_SHARE * free_memory(device):
            arrays = images.images, images.labels
            self.resident = tuple(torch.from_numpy(np.array(array)).to(device) for array in arrays)

    def batch(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        "Images and labels of `rows`, on the device."
        if self.resident:
            rows = torch.from_numpy(rows).to(self.device, non_blocking=True)
            images, labels = (tensor[rows] for tensor in self.resident)
        else:
            arrays = self.images.images[rows], self.images.labels[rows]
            images, labels = (torch.from_numpy(array).to(self.device) for array in arrays)
        # [n, h, w, c] seen as [n, c, h, w] is what torch calls channels_last: nothing is copied.
        return images.permute(0, 3, 1, 2), labels


def free_memory(device: torch.device) -> float:
    "Bytes of the GPU's own memory that are free."
    return torch.cuda.mem_get_info(device)[0]


def train_device() -> torch.device:
    "The GPU if there is one, else the CPU."
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class RowToImage(Transform):
    """A row of an ImageSet, or a new image file, as a fastai image.

    A pickled one reads files only: a Learner that is exported predicts new images and does not carry the old ones.
    """

    input_types = (int, np.integer, str, Path)  # what `learn.predict` accepts

    def __init__(self, images: ImageSet):
        self.rows: np.ndarray | None = images.images
        self.size, self.channels = images.size, images.channels

    def __getstate__(self) -> dict:
        return vars(self) | {"rows": None}

    def __deepcopy__(self, memo: dict) -> "RowToImage":
        return self

    def encodes(self, item):
        if isinstance(item, (int, np.integer)):
            pixels = self.rows[item]  # type: ignore[index]  # None in an exported Learner, which has no rows
        else:
            pixels = read_image(item, self.size, self.channels)
        return PILImageBW.create(pixels[..., 0]) if self.channels == 1 else PILImage.create(np.array(pixels))


class RowToLabel(Transform):
    "The class name of a row of an ImageSet."

    def __init__(self, images: ImageSet):
        self.labels, self.classes = images.labels, images.classes

    def encodes(self, row):
        return self.classes[self.labels[row]]


class BatchTransform(DisplayedTransform):
    """Base of batch transforms that change only the images: `images` gets them as a plain tensor.

    fastai's own dispatch looks for a method for the images and one for the labels, for every transform and batch. That,
    and its tensor subclasses, take as long as the work itself.
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

    Like fastai's `Flip` and `Dihedral`, but by indexing instead of resampling, which takes a sixth of the time.
    """

    split_idx, order = 0, 5  # only in training; before the conversion to float, on a quarter of the bytes

    def __init__(self, kind: str = "horizontal"):
        self.kind = kind

    def images(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.kind == "none" else random_flips(x, dihedral=self.kind == "dihedral")


def augmentation(aug: str | None, flips: str | None) -> list[Transform]:
    """The random changes of every training batch, by their name on the command line.

    `flips` are those that are known to keep the label, and None chooses them; where nothing is known, nothing is
    changed, because a flipped digit, word or traffic sign is another one. "flips" are left-right ones, or all eight
    symmetries where they are known to keep the label. "fastai" is fastai's `aug_transforms`, without flips where they
    are known to change the label.
    """
    if aug == "fastai":
        prepare_torchvision()
        from fastai.vision.augment import aug_transforms

        return list(aug_transforms(do_flip=flips != "none", flip_vert=flips == "dihedral"))
    if aug == "flips" and flips != "dihedral":
        flips = "horizontal"
    return [BatchFlips("none" if aug == "none" else flips or "none")]


def random_flips(x: torch.Tensor, dihedral: bool) -> torch.Tensor:
    "A batch [n, channels, height, width] with random left-right flips, or all eight symmetries of the square."
    images = _half_of(x.permute(0, 2, 3, 1), lambda images: images.flip(2))  # in their order in memory
    if dihedral:
        images = _half_of(images, lambda images: images.flip(1))
        images = _half_of(images, lambda images: images.transpose(1, 2))
    return images.permute(0, 3, 1, 2)


def _half_of(images: torch.Tensor, turn: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    "Apply `turn` to each image with probability 1/2. Whole images are copied, which is faster than `torch.where`."
    n = len(images)
    coins = (torch.rand(n) < 0.5).to(images.device)
    return torch.cat([images, turn(images)]).index_select(0, torch.arange(n, device=images.device) + n * coins)


class ToFloat(BatchTransform):
    "Bytes to floats in 0..1, as fastai's `IntToFloatTensor`. `colour` repeats a grey channel three times, uncopied."

    order = IntToFloatTensor.order

    def __init__(self, colour: bool = False):
        self.colour = colour

    def images(self, x: torch.Tensor) -> torch.Tensor:
        x = x.float().div_(255)
        return x.expand(-1, 3, -1, -1) if self.colour and x.shape[1] == 1 else x

    def decodes(self, x: TensorImage):
        return x.clamp(0, 1)


class Normalized(BatchTransform, Normalize):
    "fastai's `Normalize`, for the images only."

    def images(self, x: torch.Tensor) -> torch.Tensor:
        return x.sub(self.mean).div_(self.std)


class BatchDL(TfmdDL):
    "A fastai DataLoader that indexes a whole batch of `pixels` at once. New files go the usual way."

    def __init__(self, dataset, pixels: Pixels | None = None, **kwargs):
        self.pixels = pixels
        super().__init__(dataset, **kwargs)

    def new(self, dataset=None, cls=None, **kwargs):
        "Like fastai's. The loader of an empty dataset, as in an exported Learner, has no pixels."
        if cls is None:
            kwargs.setdefault("pixels", self.pixels if dataset is None or len(dataset) else None)
        return super().new(dataset, cls, **kwargs)

    def create_batches(self, samples) -> Iterator[tuple]:
        rows = np.array(self.dataset.items)
        if rows.dtype.kind != "i":  # a test_dl of files
            yield from super().create_batches(samples)
            return
        labelled = len(self.dataset.tls) > 1
        for positions in chunked(samples, self.bs, self.drop_last):
            images, labels = self.pixels.batch(rows[positions])
            yield (TensorImage(images), TensorCategory(labels)) if labelled else (TensorImage(images),)


def make_dataloaders(
    images: ImageSet,
    bs: int | None = None,
    colour: bool = False,
    pretrained: bool = False,
    aug: str | None = None,
) -> DataLoaders:
    """DataLoaders of the training and validation images, and of the test images if there are any.

    `colour` repeats grey images three times. `pretrained` normalizes with ImageNet's statistics instead of the
    dataset's own. `bs` defaults to `default_batch_size`. Up to a batch size of 64, too few images are one batch; a
    larger batch that they cannot fill is a UserError. `aug` is that of `augmentation`.
    """
    n_train = len(images.splits["train"])
    bs = bs or default_batch_size(n_train)
    check_batch_size(bs, n_train)
    categorize = Categorize(vocab=CategoryMap(list(images.classes), sort=False), sort=False)
    rows = list(range(len(images.labels)))
    splits = [images.splits[name].tolist() for name in ("train", "valid", "test") if name in images.splits]
    datasets = Datasets(rows, [[RowToImage(images)], [RowToLabel(images), categorize]], splits=splits)
    stats = imagenet_stats if pretrained and colour else images.pixel_stats
    device = train_device()
    return datasets.dataloaders(
        bs=min(bs, n_train),
        val_bs=2 * bs,
        dl_type=BatchDL,
        pixels=Pixels(images, device),
        after_item=[ToTensor()],
        after_batch=[
            *augmentation(aug, images.flips),
            ToFloat(colour),
            Normalized.from_stats(*stats, cuda=False),
        ],
        num_workers=0,
        device=device,
    )
