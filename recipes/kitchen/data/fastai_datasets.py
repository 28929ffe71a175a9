"""fastai's image datasets by name, through `untar_data`: their labels and their own splits.

What is already in `$FASTAI_HOME` is not downloaded again.
"""

import re
from collections.abc import Callable
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


def split_folders(root: Path) -> Labelled:
    "`train/`, and `valid/`, `val/` or `test/`; the class is the folder that the file lies in, or its WordNet number."
    split_of = {word: split for split, words in SPLIT_WORDS.items() for word in words}
    folders = [f for f in sorted(root.iterdir()) if f.is_dir() and f.name in split_of]
    files = [(f, split_of[folder.name]) for folder in folders for f in sorted(folder.rglob("*"))]
    files = [(f, split) for f, split in files if f.suffix.lower() in SUFFIXES and f.parent not in folders]
    return [(f, WORDNET.get(f.parent.name, f.parent.name), split) for f, split in files]


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
        f"{name}{size}": Entry(split_folders, 128, "horizontal")
        for name in ("imagenette", "imagewoof")
        for size in ("", "_160", "_320")
    },
}
# These are read like a folder of the user's.
UNLABELLED = ("caltech_101", "cars", "food", "imagewang", "imagewang_160", "imagewang_320", "mnist_var_size_tiny")
DEFAULT_SIZE = 64  # pixels, of the unlabelled ones


def load_fastai(name: str, size: int, cache: bool = True, count: int | None = None) -> ImageSet:
    "Load a dataset by its name in fastai's `URLs`, in lower case, from `$FASTAI_HOME` or from the network."
    from fastai.data.external import URLs

    from lrlab.recipes.kitchen.data.archives import untar

    url = getattr(URLs, name.upper())
    try:
        root = untar(url)
    except UserError as error:
        raise UserError(f"`data` {name}: {error}; solar and digits need no network") from error
    if name not in LABELLED:
        return load_folder(root, size, cache, count)
    label, _, flips = LABELLED[name]
    advice = "delete it to download it again"
    try:
        labelled = label(root)
    except (OSError, IndexError, ValueError) as error:
        raise UserError(f"`data` {name}: {root} is not laid out as expected ({error}); {advice}") from error
    if len({label for _, label, _ in labelled}) < 2:
        raise UserError(f"`data` {name}: {root} holds {len(labelled)} labelled images; {advice}")
    listing = Listing.of(f"`data` {name}", labelled)
    return load_listing(name, listing, root, Card(name, url, "the dataset's own"), flips, size, cache, count)
