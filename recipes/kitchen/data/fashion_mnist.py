"""Fashion-MNIST, read by torchvision."""

import gzip
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from lrlab.recipes.kitchen.data.image_set import Card, ImageSet
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.machine.cache_folder import cache_root
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision
from lrlab.recipes.kitchen.store.files import replacing
from lrlab.recipes.kitchen.text import first_line

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist


def fashion_mnist(size: int, cache: bool = True) -> ImageSet:
    """60,000 images of 28 px to train on. The 10,000 test images are for validation.

    The files come from Debian's package dataset-fashion-mnist, or torchvision downloads them.
    """
    prepare_torchvision()
    from torchvision.datasets import FashionMNIST

    root = cache_root()
    _unpack_debian_files(root / "FashionMNIST" / "raw")
    try:
        train, valid = (FashionMNIST(root, train=is_train, download=True) for is_train in (True, False))
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        raise UserError(
            f"`data` fashion_mnist: the files in {root / 'FashionMNIST'} are missing or damaged, and could not be "
            f"downloaded ({first_line(error)}); apt-get install dataset-fashion-mnist, or delete that folder and try "
            "again"
        ) from error
    pixels = np.concatenate([train.data.numpy(), valid.data.numpy()])
    if size != pixels.shape[1]:
        resized = (Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR) for image in pixels)
        pixels = np.stack([np.asarray(image) for image in resized])
    labels = np.concatenate([train.targets.numpy(), valid.targets.numpy()]).astype(np.int64)
    splits = {"train": np.arange(len(train)), "valid": np.arange(len(train), len(pixels))}
    names = tuple(f"image {i}" for i in range(len(pixels)))
    card = Card("Fashion-MNIST", "Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747", "MIT")
    classes = tuple(FashionMNIST.classes)
    return ImageSet("fashion_mnist", pixels[..., None], labels, classes, splits, names, "horizontal", card)


def _unpack_debian_files(folder: Path) -> None:
    "Put the files of Debian's package where torchvision looks for them, each one whole or not at all."
    for packed in DEBIAN_FOLDER.glob("*-ubyte*"):
        target = folder / packed.name.removesuffix(".gz")
        if target.exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        opened = gzip.open if packed.suffix == ".gz" else open
        try:
            with replacing(target) as part, part.open("wb") as draft, opened(packed, "rb") as source:
                shutil.copyfileobj(source, draft)
        except (OSError, EOFError) as error:
            raise UserError(f"`data` fashion_mnist: {packed} cannot be unpacked to {folder} ({error})") from error
