"""fastai's image datasets by name, through `untar_data`, and Fashion-MNIST: their labels, their own splits.

Importing this module registers them in `data.DATASETS`. What is already in `$FASTAI_HOME` is not downloaded again.
"""

import gzip
import re
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from fastai.data.external import URLs
from PIL import Image

from lrlab.recipes.kitchen.data.archives import untar
from lrlab.recipes.kitchen.data.decode import SUFFIXES, decode_images
from lrlab.recipes.kitchen.data.image_set import (
    DATASETS,
    ImageSet,
    check_unreadable,
    from_folder,
    left_out,
    stratified_split,
)
from lrlab.recipes.kitchen.errors import UserError

Listed = list[tuple[Path, str, str]]  # file, class, part of the split ("all": none is known)

FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
WORDNET = {
    **{"n01440764": "tench", "n02102040": "English springer", "n02979186": "cassette player", "n03000684": "chain saw"},
    **{"n03028079": "church", "n03394916": "French horn", "n03417042": "garbage truck", "n03425413": "gas pump"},
    **{"n03445777": "golf ball", "n03888257": "parachute"},
}


def pets(root: Path) -> Listed:
    "`images/Great_Pyrenees_173.jpg`: the breed is the name without its number. No split of its own."
    files = sorted(f for f in (root / "images").glob("*.jpg") if not f.name.startswith("."))
    return [(file, re.sub(r"_\d+$", "", file.stem), "all") for file in files]


def flowers(root: Path) -> Listed:
    "`train.txt`, `valid.txt` and `test.txt` hold a file and the number of its species on every line."
    return [
        (root / line.split()[0], f"species {int(line.split()[1]):03}", part)
        for part in ("train", "valid", "test")
        for line in (root / f"{part}.txt").read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]


def split_folders(root: Path, label: Callable[[Path], str] = lambda file: file.parent.name) -> Listed:
    "`train/`, and `valid/`, `val/` or `test/`; the class is the folder that the file lies in."
    parts = {"train": "train", "training": "train", "valid": "valid", "val": "valid", "test": "test", "testing": "test"}
    folders = [f for f in sorted(root.iterdir()) if f.is_dir() and f.name in parts]
    files = [(f, parts[folder.name]) for folder in folders for f in sorted(folder.rglob("*"))]
    return [(f, label(f), part) for f, part in files if f.suffix.lower() in SUFFIXES and f.parent not in folders]


def wordnet(file: Path) -> str:
    "Imagenette's folders are WordNet numbers."
    return WORDNET.get(file.parent.name, file.parent.name)


# name of the dataset -> how its files are labelled, default size, which flips keep the label
KNOWN: dict[str, tuple[Callable[[Path], Listed], int, str]] = {
    "pets": (pets, 128, "horizontal"),
    "flowers": (flowers, 128, "horizontal"),
    "mnist": (split_folders, 28, "none"),
    "mnist_sample": (split_folders, 28, "none"),
    "mnist_tiny": (split_folders, 28, "none"),
    "cifar": (split_folders, 32, "horizontal"),
    "cifar_100": (split_folders, 32, "horizontal"),
    **{
        f"{name}{size}": (partial(split_folders, label=wordnet), 128, "horizontal")
        for name in ("imagenette", "imagewoof")
        for size in ("", "_160", "_320")
    },
}
OTHERS = ("caltech_101", "cars", "food", "imagewang", "imagewang_160", "imagewang_320", "mnist_var_size_tiny")


def fastai_images(name: str, size: int, cache: bool = True) -> ImageSet:
    "An image dataset of fastai's by the name it has in `URLs`, in lower case; found in `$FASTAI_HOME` or downloaded."
    root = _fetched(name)
    if name not in KNOWN:
        return from_folder(root, size, cache)
    label, _, flips = KNOWN[name]
    try:
        listed = label(root)
    except (OSError, IndexError, ValueError) as error:
        again = "delete it, and it is fetched again"
        raise UserError(f"`data` {name}: {root} is not laid out as expected ({error}); {again}") from error
    classes = tuple(sorted({c for _, c, _ in listed}))
    if len(classes) < 2:
        raise UserError(
            f"`data` {name}: {root} holds {len(listed)} labelled images; delete it, and it is fetched again"
        )
    files = [file for file, _, _ in listed]
    images, unreadable = decode_images(files, size, cache)
    check_unreadable(name, files, unreadable)
    place = {c: i for i, c in enumerate(classes)}
    labels = np.array([place[c] for _, c, _ in listed], np.int64)
    keep = np.array([i for i in range(len(files)) if i not in unreadable])
    parts = np.array([part for _, _, part in listed])
    names = tuple(str(file.relative_to(root)) for file in files)
    card = {"title": name, "source": getattr(URLs, name.upper()), "licence": "the dataset's own"}
    card |= left_out(names, unreadable)
    return ImageSet(name, images, labels, classes, _splits(parts, labels, keep), names, flips, card)


def _splits(parts: np.ndarray, labels: np.ndarray, keep: np.ndarray) -> dict[str, np.ndarray]:
    "The dataset's own split; a test set alone is what there is to validate on; no split at all: ours, stratified."
    own = {part: keep[parts[keep] == part] for part in ("train", "valid", "test") if (parts[keep] == part).any()}
    if "valid" not in own and "test" in own:
        own["valid"] = own.pop("test")
    if {"train", "valid"} <= set(own):
        return own
    return {part: keep[rows] for part, rows in stratified_split(labels[keep]).items()}


def _fetched(name: str) -> Path:
    try:
        return untar(getattr(URLs, name.upper()))  # looked through before it is unpacked
    except Exception as error:  # the network, the disk, an archive cut short
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"`data` {name}: not in $FASTAI_HOME, and it could not be downloaded ({reason}); "
            "solar and digits need no network"
        ) from error


def fashion_mnist(size: int, cache: bool = True, folder: Path | None = None) -> ImageSet:
    """Fashion-MNIST: 60,000 training images and, to validate on, its 10,000 test images of 28 px.

    The IDX files are looked for in `folder`, in the folder of Debian's package dataset-fashion-mnist, and where
    torchvision keeps them, which downloads them otherwise.
    """
    folder = folder or (DEBIAN_FASHION if DEBIAN_FASHION.is_dir() else _torchvision_fashion())
    images, labels = [], []
    for part in ("train", "t10k"):
        images.append(read_idx(folder, f"{part}-images-idx3-ubyte"))
        labels.append(read_idx(folder, f"{part}-labels-idx1-ubyte"))
    pixels = np.concatenate(images)
    if size != pixels.shape[1]:
        resized = [np.asarray(Image.fromarray(x).resize((size, size), Image.Resampling.BILINEAR)) for x in pixels]
        pixels = np.stack(resized)
    n = len(images[0])
    splits = {"train": np.arange(n), "valid": np.arange(n, len(pixels))}
    names = tuple(f"image {i}" for i in range(len(pixels)))
    card = {"title": "Fashion-MNIST", "source": "Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747", "licence": "MIT"}
    every = np.concatenate(labels).astype(np.int64)
    return ImageSet("fashion_mnist", pixels[..., None], every, FASHION, splits, names, "horizontal", card)


def read_idx(folder: Path, name: str) -> np.ndarray:
    "An IDX file of bytes, gzipped or not (LeCun): two zeros, type 8, the number of axes, their lengths, the values."
    file = next((f for f in (folder / f"{name}.gz", folder / name) if f.is_file()), None)
    if file is None:
        raise UserError(f"`data` fashion_mnist: {folder / name} is not there")
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        kind, axes = struct.unpack(">HBB", content[:4])[1:]
        shape = struct.unpack(f">{axes}I", content[4 : 4 + 4 * axes])
        if kind != 8:
            raise ValueError(f"values of type {kind} instead of bytes")
        return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise UserError(f"`data` fashion_mnist: {file} is damaged ({error})") from error


def _torchvision_fashion() -> Path:
    from lrlab.recipes.kitchen.data.pixel_cache import cache_root
    from lrlab.recipes.kitchen.models import torchvision_compat as vision  # noqa: F401  (prepares torchvision for the next import)

    from torchvision.datasets import FashionMNIST  # isort: skip

    try:
        return Path(FashionMNIST(cache_root(), download=True).raw_folder)
    except (OSError, RuntimeError) as error:
        raise UserError(
            "`data` fashion_mnist: neither Debian's package dataset-fashion-mnist is installed nor could torchvision "
            f"download it ({str(error).splitlines()[0]}); apt-get install dataset-fashion-mnist"
        ) from error


DATASETS["fashion_mnist"] = (fashion_mnist, 28)
DATASETS.update({name: (partial(fastai_images, name), size) for name, (_, size, _) in KNOWN.items()})
DATASETS.update({name: (partial(fastai_images, name), 64) for name in OTHERS})
