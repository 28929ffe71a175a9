"""Where the images come from: a name or a folder -> `ImageSet`, decoded, labelled and split."""

import difflib
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from lrlab.recipes.kitchen.data.checks import remarks
from lrlab.recipes.kitchen.data.decode import decode_images
from lrlab.recipes.kitchen.data.image_folder import Listing, listing, some
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.machine.optional_packages import needed
from lrlab.recipes.kitchen.options import check_range
from lrlab.recipes.kitchen.text import printable

SPLIT_SEED = 42  # the split is part of the data: the same for every run, whatever its seed
VALID_SHARE = 0.25
MOST_ENLARGED = 512  # pixels of a side of the digits
MOST_UNREADABLE = 0.05


@dataclass(frozen=True)
class ImageSet:
    """Labelled images in memory (or memory-mapped), split into rows for training, validation and perhaps testing."""

    name: str
    images: np.ndarray  # uint8 [n, size, size, channels]
    labels: np.ndarray  # int64 [n], positions in `classes`
    classes: tuple[str, ...]
    splits: dict[str, np.ndarray]  # "train", "valid" and perhaps "test" -> rows
    files: tuple[str, ...]  # where each row came from
    flips: str = "horizontal"  # which flips keep the label: "none", "horizontal" or "dihedral"
    card: dict = field(default_factory=dict)  # title, source, licence, note, warnings

    @property
    def size(self) -> int:
        return self.images.shape[1]

    @property
    def channels(self) -> int:
        return self.images.shape[3]

    @cached_property
    def pixel_stats(self) -> tuple[list[float], list[float]]:
        "Mean and standard deviation per channel of (up to 2,000) training images, in 0..1."
        rows = self.splits["train"]
        sample = self.images[rows[:: -(-len(rows) // 2000)]].reshape(-1, self.channels) / np.float32(255)
        return sample.mean(0, np.float64).tolist(), np.maximum(sample.std(0, dtype=np.float64), 1e-3).tolist()

    def class_counts(self, split: str) -> dict[str, int]:
        "Images per class in one split."
        counts = Counter(self.labels[self.splits[split]].tolist())
        return {name: counts.get(i, 0) for i, name in enumerate(self.classes)}

    def describe(self) -> dict:
        "What config.json and the report say about the data; JSON types."
        return {
            "name": self.name,
            **self.card,
            "classes": len(self.classes),
            "images": {split: len(rows) for split, rows in self.splits.items()},
            "counts": {split: self.class_counts(split) for split in self.splits},
            "size": self.size,
            "channels": self.channels,
            "majority": self.majority(),
        }

    def majority(self, split: str = "valid") -> float:
        "The accuracy of always answering the most frequent class."
        return max(self.class_counts(split).values()) / len(self.splits[split])


def load(name: str = "solar", size: int | None = None, cache: bool = True) -> ImageSet:
    """Images by the name of a dataset or from a folder of images; `size` in pixels (default: the dataset's own).

    `cifar:2000` is about 2,000 images of each part of the split. What is odd about them is in `card["warnings"]`, and
    printed once. Raises UserError when there is no such dataset or folder, or when it cannot be classified.
    """
    name = str(name)
    if size is not None:
        check_range("size", size, 8, 2048)
    source, most = limited(name)
    if source in DATASETS:
        image_set = _packaged(source, size, cache, most)
    else:
        image_set = _examined(from_folder(_folder(source), size or 64, cache), most)
    for warning in image_set.card["warnings"]:
        _tell(f"Note on {image_set.name}: {warning}.")
    return image_set


def limited(name: str) -> tuple[str, int | None]:
    """A dataset or folder, and how many images of each part of its split to take at most (None: all).

    >>> limited("cifar:2000"), limited("cifar")
    (('cifar', 2000), ('cifar', None))
    """
    source, colon, most = name.rpartition(":")
    if not (colon and source and most.isdecimal() and len(most) < 10) or os.path.exists(name):
        return name, None
    return source, int(most)


@lru_cache(maxsize=4)
def _packaged(name: str, size: int | None, cache: bool, most: int | None) -> ImageSet:
    make, default_size = DATASETS[name]
    return _examined(make(size or default_size, cache), most)


def _examined(image_set: ImageSet, most: int | None) -> ImageSet:
    image_set = image_set if most is None else part_of(image_set, most)
    found, fingerprint = remarks(image_set)
    card = {**image_set.card, "warnings": [*image_set.card.get("warnings", ()), *found], "fingerprint": fingerprint}
    return replace(image_set, card=card)


@lru_cache(maxsize=256)
def _tell(line: str) -> None:
    "Once per process, on stderr: the answer of a recipe is on stdout."
    print(line, file=sys.stderr)


def _folder(name: str) -> Path:
    try:
        folder = Path(name).expanduser()
        if folder.exists():
            return folder
        reason = "no such folder"
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a null character, no home folder
        reason = getattr(error, "strerror", None) or str(error)
    near = difflib.get_close_matches(name, DATASETS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UserError(f"`data` {name}: {reason}, and not one of the datasets {', '.join(DATASETS)}{hint}")


def solar(size: int, cache: bool = True) -> ImageSet:
    "2,624 electroluminescence images of solar cells (Deitsch et al. 2019), defective if the defect probability > 0.5."
    root = Path(str(needed("elpv_dataset", "`data` solar").__file__)).parent / "data"
    with open(root / "labels.csv", encoding="utf-8") as table:
        rows = [line.split() for line in table if line.strip()]
    files = [root / row[0] for row in rows]
    labels = np.array([float(row[1]) > 0.5 for row in rows], np.int64)
    cell_type = [row[2] for row in rows]
    images, unreadable = decode_images(files, size, cache)
    if unreadable:
        position, reason = next(iter(unreadable.items()))
        raise UserError(f"`data` solar: {files[position]} cannot be read ({reason}); reinstall elpv-dataset")
    card = {
        "title": "Solar cells (elpv-dataset)",
        "source": "Deitsch et al., Solar Energy 185 (2019); label: defect probability > 0.5",
        "licence": "CC BY-NC-SA 4.0",
    }
    strata = [f"{label}{kind}" for label, kind in zip(labels, cell_type, strict=True)]
    names = tuple(row[0] for row in rows)
    classes = ("functional", "defective")
    return ImageSet("solar", images, labels, classes, stratified_split(strata), names, "dihedral", card)


def digits(size: int, cache: bool = True) -> ImageSet:
    "scikit-learn's 1,797 handwritten digits of 8x8 pixels, enlarged to `size`."
    from PIL import Image
    from sklearn.datasets import load_digits

    if size > MOST_ENLARGED:  # they are made in memory, and there is nothing to see that 8 pixels do not show
        raise UserError(f"`size` {size}: the digits have 8 pixels of a side; expected at most {MOST_ENLARGED}")
    raw = load_digits()
    small = (raw.images * (255 / 16)).round().astype(np.uint8)
    resized = [np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)) for image in small]
    card = {
        "title": "Handwritten digits (scikit-learn)",
        "source": "Alpaydin & Kaynak, UCI Optical Recognition of Handwritten Digits, 1998",
        "licence": "CC BY 4.0",
    }
    labels = raw.target.astype(np.int64)
    names = tuple(f"digit {i}" for i in range(len(labels)))
    classes = tuple(str(i) for i in range(10))
    images = np.stack(resized)[..., None]
    return ImageSet("digits", images, labels, classes, stratified_split(labels), names, "none", card)


DATASETS: dict[str, tuple[Callable[[int, bool], ImageSet], int]] = {"solar": (solar, 64), "digits": (digits, 16)}


def from_folder(folder: Path, size: int, cache: bool = True) -> ImageSet:
    """Images of a folder with `train/` and `valid/` (or `val/`, `test/`), each with one folder per class, or of a
    folder with one folder per class, split here: stratified, a quarter for validation, always the same way.
    """
    found = listing(folder)
    images, unreadable = decode_images(found.files, size, cache)
    check_unreadable(str(folder), found.files, unreadable)
    _check_classes(folder, found, unreadable)
    keep = np.array([i for i in range(len(found.files)) if i not in unreadable])
    position = {name: i for i, name in enumerate(found.classes)}
    labels = np.array([position[label] for label in found.labels], np.int64)
    if "all" in found.parts:
        splits = {name: keep[rows] for name, rows in stratified_split(labels[keep]).items()}
    else:
        splits = {part: keep[[found.parts[i] == part for i in keep]] for part in dict.fromkeys(found.parts)}
    if not len(splits["valid"]):
        raise UserError(f"`data` {folder}: no readable image is left for validation")
    names = tuple(printable(file.relative_to(folder)) for file in found.files)
    title, source = printable(folder.resolve().name), printable(folder.resolve())
    card: dict = {"title": title, "source": source, "licence": "the owner's"}
    lost = left_out(names, unreadable)
    card |= lost | {"warnings": [*found.remarks, *lost.get("warnings", ())]}
    return ImageSet(printable(folder), images, labels, found.classes, splits, names, "horizontal", card)


def part_of(image_set: ImageSet, most: int) -> ImageSet:
    "About `most` images of each part of the split: of every class its share, at least one, always the same."
    if most < len(image_set.classes):
        raise UserError(
            f"`data` {image_set.name}:{most}: expected at least one image for each of {len(image_set.classes)} classes"
        )
    splits = {
        name: rows if len(rows) <= most else rows[share_of_every_class(image_set.labels[rows], most / len(rows))]
        for name, rows in image_set.splits.items()
    }
    whole = {name: len(rows) for name, rows in image_set.splits.items()}
    card = image_set.card | {"title": f"{image_set.card['title']}, a part of it", "of": whole}
    return replace(image_set, name=f"{image_set.name}:{most}", splits=splits, card=card)


def share_of_every_class(labels: np.ndarray, share: float) -> np.ndarray:
    "Positions of a share of the labels, stratified; of a class that would get none, the one that there is."
    picked = stratified_split(labels, share)["valid"]
    alone = np.flatnonzero(~np.isin(labels, labels[picked]))
    return np.union1d(picked, alone)


def stratified_split(
    strata: Sequence | np.ndarray, share: float = VALID_SHARE, seed: int = SPLIT_SEED
) -> dict[str, np.ndarray]:
    "Rows for training and validation: of every stratum `share` goes to validation, at least one image if it has two."
    check_range("share", share, 0.0, 1.0)
    rng = np.random.default_rng(seed)
    of = np.asarray(strata)
    picked: list[int] = []
    for stratum in np.unique(of):
        rows = rng.permutation(np.flatnonzero(of == stratum))
        picked.extend(rows[: max(round(len(rows) * share), int(len(rows) > 1))])
    valid = np.sort(np.array(picked, dtype=np.int64))
    return {"train": np.setdiff1d(np.arange(len(of)), valid), "valid": valid}


def left_out(names: Sequence[str], unreadable: dict[int, str]) -> dict:
    "What the card of a dataset says of images that cannot be read: `unreadable`, and a sentence in `warnings`."
    if not unreadable:
        return {}
    reasons = {names[i]: reason for i, reason in unreadable.items()}
    listed = some([f"{name} ({reason})" for name, reason in reasons.items()])
    warning = f"{len(unreadable)} of {len(names)} images cannot be read and are left out: {listed}"
    return {"unreadable": reasons, "warnings": [warning]}


def check_unreadable(data: str, files: Sequence[Path], unreadable: dict[int, str]) -> None:
    "Raise UserError where too many of `files` cannot be read for the rest to stand for them."
    if len(unreadable) > MOST_UNREADABLE * len(files):
        position, reason = next(iter(unreadable.items()))
        raise UserError(
            f"`data` {data}: {len(unreadable)} of {len(files)} images cannot be read, more than "
            f"{MOST_UNREADABLE:.0%} ({printable(files[position])}: {reason})"
        )


def _check_classes(folder: Path, found: Listing, unreadable: dict[int, str]) -> None:
    left = {(found.parts[i], found.labels[i]) for i in range(len(found.files)) if i not in unreadable}
    for i, reason in unreadable.items():
        if (found.parts[i], found.labels[i]) not in left:
            example = f"{printable(found.files[i])}: {reason}"
            raise UserError(f"`data` {folder}: no image of class {found.labels[i]} can be read ({example})")
