"""Where the photos come from: a name or a folder -> `Photos`, decoded, labelled and split."""

import difflib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from lrlab.recipes.kitchen.decode import SUFFIXES, photos_array
from lrlab.recipes.kitchen.errors import UserError

SPLIT_SEED = 42  # the split is part of the data: the same for every run, whatever its seed
VALID_SHARE = 0.25
MOST_UNREADABLE = 0.05


@dataclass(frozen=True)
class Photos:
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


@lru_cache(maxsize=4)
def load(name: str = "solar", size: int | None = None, cache: bool = True) -> Photos:
    """Photos by the name of a dataset or from a folder of images; `size` in pixels (default: the dataset's own).

    Raises UserError when there is no such dataset or folder, or when it cannot be used for classification.
    """
    if name in DATASETS:
        make, default_size = DATASETS[name]
        return make(size or default_size, cache)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        near = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"--data {name}: no such folder, and not one of the datasets {', '.join(DATASETS)}{hint}")
    return from_folder(folder, size or 64, cache)


def solar(size: int, cache: bool = True) -> Photos:
    "2,624 electroluminescence photos of solar cells (Deitsch et al. 2019), defective if the defect probability > 0.5."
    try:
        import elpv_dataset
    except ImportError as error:
        raise UserError("--data solar needs the package elpv-dataset: pip install 'lrlab[solar]'") from error
    root = Path(elpv_dataset.__file__).parent / "data"
    with open(root / "labels.csv", encoding="utf-8") as table:
        rows = [line.split() for line in table if line.strip()]
    files = [root / row[0] for row in rows]
    labels = np.array([float(row[1]) > 0.5 for row in rows], np.int64)
    cell_type = [row[2] for row in rows]
    images, unreadable = photos_array(files, size, cache)
    if unreadable:
        position, reason = next(iter(unreadable.items()))
        raise UserError(f"--data solar: {files[position]} cannot be read ({reason}); reinstall elpv-dataset")
    card = {
        "title": "Solar cells (elpv-dataset)",
        "source": "Deitsch et al., Solar Energy 185 (2019); label: defect probability > 0.5",
        "licence": "CC BY-NC-SA 4.0",
    }
    strata = [f"{label}{kind}" for label, kind in zip(labels, cell_type, strict=True)]
    names = tuple(row[0] for row in rows)
    classes = ("functional", "defective")
    return Photos("solar", images, labels, classes, stratified_split(strata), names, "dihedral", card)


def digits(size: int, cache: bool = True) -> Photos:
    "scikit-learn's 1,797 handwritten digits of 8x8 pixels, enlarged to `size`."
    from PIL import Image
    from sklearn.datasets import load_digits

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
    return Photos("digits", images, labels, classes, stratified_split(labels), names, "none", card)


DATASETS: dict[str, tuple[Callable[[int, bool], Photos], int]] = {"solar": (solar, 64), "digits": (digits, 16)}


def from_folder(folder: Path, size: int, cache: bool = True) -> Photos:
    """Photos of a folder with `train/` and `valid/` (or `val/`, `test/`), each with one folder per class, or of a
    folder with one folder per class, split here: stratified, a quarter for validation, always the same way.
    """
    parts = {name: _subfolder(folder, *aliases) for name, aliases in _SPLIT_FOLDERS.items()}
    if parts["train"] and (parts["valid"] or parts["test"]):
        if not parts["valid"]:  # a test folder alone is what there is to validate on
            parts["valid"], parts["test"] = parts["test"], None
        found = {name: _files_by_class(part) for name, part in parts.items() if part}
    else:
        found = {"all": _files_by_class(folder)}
    classes = tuple(sorted({c for by_class in found.values() for c, files in by_class.items() if files}))
    _check_classes(folder, found, classes)

    rows = [(file, c, part) for part, by_class in found.items() for c in classes for file in by_class.get(c, ())]
    images, unreadable = photos_array([file for file, _, _ in rows], size, cache)
    _check_unreadable(folder, rows, unreadable)
    keep = np.array([i for i in range(len(rows)) if i not in unreadable])
    labels = np.array([classes.index(c) for _, c, _ in rows], np.int64)
    if "all" in found:
        splits = {name: keep[part] for name, part in stratified_split(labels[keep]).items()}
    else:
        splits = {name: np.array([i for i in keep if rows[i][2] == name]) for name in found}
    names = tuple(str(file.relative_to(folder)) for file, _, _ in rows)
    card = {"title": folder.resolve().name, "source": str(folder.resolve()), "licence": "the owner's"}
    if unreadable:
        card["unreadable"] = {names[i]: reason for i, reason in unreadable.items()}
    return Photos(str(folder), images, labels, classes, splits, names, "horizontal", card)


def stratified_split(strata: Sequence, share: float = VALID_SHARE, seed: int = SPLIT_SEED) -> dict[str, np.ndarray]:
    "Rows for training and validation: of every stratum `share` goes to validation, at least one image if it has two."
    rng = np.random.default_rng(seed)
    strata = np.asarray(strata)
    valid = []
    for stratum in np.unique(strata):
        rows = rng.permutation(np.flatnonzero(strata == stratum))
        valid.extend(rows[: max(round(len(rows) * share), int(len(rows) > 1))])
    valid = np.sort(np.array(valid, int))
    return {"train": np.setdiff1d(np.arange(len(strata)), valid), "valid": valid}


_SPLIT_FOLDERS = {"train": ("train", "training"), "valid": ("valid", "val", "validation"), "test": ("test", "testing")}


def _subfolder(folder: Path, *names: str) -> Path | None:
    return next((f for f in sorted(folder.iterdir()) if f.is_dir() and f.name.lower() in names), None)


def _files_by_class(folder: Path) -> dict[str, list[Path]]:
    "Images of each first-level folder, at any depth below it; hidden files left out, link loops followed once."
    return {f.name: sorted(_images_below(f)) for f in sorted(folder.iterdir()) if f.is_dir() and f.name[0] != "."}


def _images_below(folder: Path):
    seen = set()
    for where, subfolders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(where)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = [s for s in subfolders if not s.startswith(".")]
        for name in files:
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield Path(where, name)


def _check_classes(folder: Path, found: dict, classes: tuple[str, ...]) -> None:
    if not classes:
        raise UserError(f"--data {folder}: no images found; expected one folder per class with {_suffix_list()} files")
    if len(classes) == 1:
        raise UserError(f"--data {folder}: only one class ({classes[0]}) has images; a classifier needs at least two")
    for part in ("train", "valid"):
        if part in found and not any(found[part].values()):
            raise UserError(f"--data {folder}: the {part} folder has no images")
    untrained = [c for c in classes if "train" in found and not found["train"].get(c)]
    if untrained:
        raise UserError(f"--data {folder}: class {untrained[0]} has no training images")


def _check_unreadable(folder: Path, rows: list, unreadable: dict[int, str]) -> None:
    if not unreadable:
        return
    position, reason = next(iter(unreadable.items()))
    example = f"{rows[position][0]}: {reason}"
    if len(unreadable) > MOST_UNREADABLE * len(rows):
        raise UserError(
            f"--data {folder}: {len(unreadable)} of {len(rows)} images cannot be read, more than "
            f"{MOST_UNREADABLE:.0%} ({example})"
        )
    left = Counter((part, c) for i, (_, c, part) in enumerate(rows) if i not in unreadable)
    for _, c, part in (rows[i] for i in unreadable):
        if not left[part, c]:
            raise UserError(f"--data {folder}: no image of class {c} can be read ({example})")


def _suffix_list() -> str:
    return ", ".join(sorted(SUFFIXES))
