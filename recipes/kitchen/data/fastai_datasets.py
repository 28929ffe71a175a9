"""fastai's image datasets by name, through `untar_data`: their labels and their own splits.

What is already in `$FASTAI_HOME` is not downloaded again.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from lrlab.recipes.kitchen.data.decode import SUFFIXES
from lrlab.recipes.kitchen.data.image_folder import load_folder
from lrlab.recipes.kitchen.data.image_set import Card, ImageSet
from lrlab.recipes.kitchen.data.listing import WHOLE, Listing, load_listing
from lrlab.recipes.kitchen.data.split_folders import SPLIT_WORDS
from lrlab.recipes.kitchen.errors import UserError

Labelled = list[tuple[Path, str, str]]  # file, class, split

WORDNET = {
    **{"n01440764": "tench", "n02102040": "English springer", "n02979186": "cassette player", "n03000684": "chain saw"},
    **{"n03028079": "church", "n03394916": "French horn", "n03417042": "garbage truck", "n03425413": "gas pump"},
    **{"n03445777": "golf ball", "n03888257": "parachute"},
}


def pets(root: Path) -> Labelled:
    "`images/Great_Pyrenees_173.jpg`: the breed is the name without its number. No split of its own."
    files = sorted(f for f in (root / "images").glob("*.jpg") if not f.name.startswith("."))
    return [(file, re.sub(r"_\d+$", "", file.stem), WHOLE) for file in files]


def flowers(root: Path) -> Labelled:
    "`train.txt`, `valid.txt` and `test.txt` hold a file and the number of its species on every line."
    return [
        (root / line.split()[0], f"species {int(line.split()[1]):03}", part)
        for part in ("train", "valid", "test")
        for line in (root / f"{part}.txt").read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]


def split_folders(root: Path, label: Callable[[Path], str] = lambda file: file.parent.name) -> Labelled:
    "`train/`, and `valid/`, `val/` or `test/`; the class is the folder that the file lies in."
    split_of = {word: split for split, words in SPLIT_WORDS.items() for word in words}
    folders = [f for f in sorted(root.iterdir()) if f.is_dir() and f.name in split_of]
    files = [(f, split_of[folder.name]) for folder in folders for f in sorted(folder.rglob("*"))]
    return [(f, label(f), split) for f, split in files if f.suffix.lower() in SUFFIXES and f.parent not in folders]


def wordnet(file: Path) -> str:
    "Imagenette's folders are WordNet numbers."
    return WORDNET.get(file.parent.name, file.parent.name)


class Entry(NamedTuple):
    "How the files of a dataset are labelled, its default size in pixels, and which flips keep the label."

    label: Callable[[Path], Labelled]
    size: int
    flips: str


LABELLED: dict[str, Entry] = {
    "pets": Entry(pets, 128, "horizontal"),
    "flowers": Entry(flowers, 128, "horizontal"),
    "mnist": Entry(split_folders, 28, "none"),
    "mnist_sample": Entry(split_folders, 28, "none"),
    "mnist_tiny": Entry(split_folders, 28, "none"),
    "cifar": Entry(split_folders, 32, "horizontal"),
    "cifar_100": Entry(split_folders, 32, "horizontal"),
    **{
        f"{name}{size}": Entry(partial(split_folders, label=wordnet), 128, "horizontal")
        for name in ("imagenette", "imagewoof")
        for size in ("", "_160", "_320")
    },
}
# These are read like a folder of the user's.
UNLABELLED = ("caltech_101", "cars", "food", "imagewang", "imagewang_160", "imagewang_320", "mnist_var_size_tiny")
DEFAULT_SIZE = 64  # pixels, of the unlabelled ones


def load_fastai(name: str, size: int, cache: bool = True) -> ImageSet:
    "Load a dataset by its name in fastai's `URLs`, in lower case, from `$FASTAI_HOME` or from the network."
    url, root = _fetch(name)
    if name not in LABELLED:
        return load_folder(root, size, cache)
    label, _, flips = LABELLED[name]
    advice = "delete it to download it again"
    try:
        labelled = label(root)
    except (OSError, IndexError, ValueError) as error:
        raise UserError(f"`data` {name}: {root} is not laid out as expected ({error}); {advice}") from error
    classes = tuple(sorted({c for _, c, _ in labelled}))
    if len(classes) < 2:
        raise UserError(f"`data` {name}: {root} holds {len(labelled)} labelled images; {advice}")
    files, labels, splits = map(list, zip(*labelled, strict=True))
    listing = Listing(files, labels, _with_validation(splits), classes)
    return load_listing(name, listing, root, Card(name, url, "the dataset's own"), flips, size, cache)


def _with_validation(splits: list[str]) -> list[str]:
    "The dataset's own split. A test set without a validation set is for validation; without both there is no split."
    if "train" not in splits or not {"valid", "test"} & set(splits):
        return [WHOLE] * len(splits)
    return splits if "valid" in splits else ["valid" if split == "test" else split for split in splits]


def _fetch(name: str) -> tuple[str, Path]:
    "The URL of a dataset and its folder, downloaded if it is not there."
    from fastai.data.external import URLs

    from lrlab.recipes.kitchen.data.archives import untar

    url = getattr(URLs, name.upper())
    try:
        return url, untar(url)
    except Exception as error:  # the network, the disk, an archive that is cut short
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"`data` {name}: not in $FASTAI_HOME, and it could not be downloaded ({reason}); "
            "solar and digits need no network"
        ) from error
