"""A list of labelled image files -> `ImageSet`: decoded, without the files that cannot be read, and split."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lrlab.recipes.kitchen.data.decode import decode_images
from lrlab.recipes.kitchen.data.image_set import Card, ImageSet, called_a_part, sample_splits, stratified_split
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import did_you_mean, listed, name_some, plural, printable, show_share

MAX_UNREADABLE = 0.05  # of all files: beyond this share, the rest does not stand for the dataset
SPLITS = ("train", "valid", "test")
WHOLE = "all"  # the split of every file of a dataset that has no split


@dataclass(frozen=True)
class Listing:
    "Image files. `files[i]` belongs to the class `labels[i]` and to the split `splits[i]` (`WHOLE`: there is none)."

    files: list[Path]
    labels: list[str]
    splits: list[str]
    classes: tuple[str, ...]
    remarks: tuple[str, ...] = ()  # what was excluded

    @classmethod
    def of(
        cls, subject: str, rows: Iterable[tuple[Path, str, str]], remarks: Sequence[str] = (), order: Any = None
    ) -> "Listing":
        """Of the file, the class and the split of every image; test images alone are what there is to validate on.

        `order` is the sort key of the classes. Raises UserError, about `subject`, for a class without training images.
        """
        rows = list(rows)
        files, labels, splits = map(list, zip(*rows, strict=True))
        classes = sorted(set(labels), key=order)
        trained = {label for _, label, split in rows if split in ("train", WHOLE)}
        untrained = [name for name in classes if name not in trained]
        if untrained:
            hint = did_you_mean(untrained[0], sorted(trained))
            where = listed(sorted({split.replace("valid", "validation") for _, c, split in rows if c == untrained[0]}))
            raise UserError(f"{subject}: class {untrained[0]} has no training images, only {where} images{hint}")
        if "valid" not in splits:
            splits = ["valid" if split == "test" else split for split in splits]
        return cls(files, labels, splits, tuple(classes), tuple(remarks))

    @property
    def has_split(self) -> bool:
        return WHOLE not in self.splits

    def positions(self) -> np.ndarray:
        "The position in `classes` of the label of each file."
        position = {label: i for i, label in enumerate(self.classes)}
        return np.array([position[label] for label in self.labels], np.int64)

    def split(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        "Which of these rows belong to each split: as listed, or a quarter of each class to validate."
        if self.has_split:
            split_of = np.array(self.splits)[rows]
            return {split: rows[split_of == split] for split in SPLITS if split in self.splits}
        return {split: rows[own] for split, own in stratified_split(self.positions()[rows]).items()}

    def part(self, splits: dict[str, np.ndarray]) -> "Listing":
        "The files of these splits alone."
        rows = sorted((row, split) for split, own in splits.items() for row in own)
        kept = [row for row, _ in rows]
        files, labels = [self.files[row] for row in kept], [self.labels[row] for row in kept]
        return replace(self, files=files, labels=labels, splits=[split for _, split in rows])


def load_listing(
    name: str,
    listing: Listing,
    root: Path,
    card: Card,
    flips: str | None,
    size: int,
    cache: bool = True,
    count: int | None = None,
) -> ImageSet:
    """Decode the files of a listing to `size` pixels and split them.

    With `count`, about so many files of each split, which are chosen before any is decoded. Raises UserError if too
    many files cannot be read, or all files of a class.
    """
    if count is not None:
        whole = listing.split(np.arange(len(listing.files)))
        part = listing.part(sample_splits(name, whole, listing.positions(), count))
        images = load_listing(name, part, root, card, flips, size, cache)
        images = images if listing.has_split else replace(images, strata=images.labels)
        return called_a_part(images, count, whole)
    pixels, unreadable = decode_images(listing.files, size, cache)
    _check_unreadable(name, listing, unreadable)
    labels = listing.positions()
    splits = listing.split(np.array([i for i in range(len(listing.files)) if i not in unreadable]))
    if not len(splits.get("valid", ())):
        raise UserError(f"`data` {name}: no readable image is left for validation")
    files = tuple(printable(file.relative_to(root)) for file in listing.files)
    reasons = {files[i]: reason for i, reason in unreadable.items()}
    warnings = [*listing.remarks]
    if reasons:
        named = name_some([f"{file} ({reason})" for file, reason in reasons.items()])
        warnings.append(f"excluded: {plural(len(reasons), 'unreadable image')} of {len(files):,}: {named}")
    card = replace(card, unreadable=reasons, warnings=tuple(warnings))
    strata = None if listing.has_split else labels
    return ImageSet(name, pixels, labels, listing.classes, splits, files, flips, card, strata)


def _check_unreadable(name: str, listing: Listing, unreadable: dict[int, str]) -> None:
    files = listing.files
    if len(unreadable) > MAX_UNREADABLE * len(files):
        i, reason = next(iter(unreadable.items()))
        raise UserError(
            f"`data` {name}: {len(unreadable)} of {len(files)} images cannot be read, more than "
            f"{show_share(MAX_UNREADABLE, 0)} ({printable(files[i])}: {reason})"
        )
    groups = list(zip(listing.splits, listing.labels, strict=True))
    readable = {groups[i] for i in range(len(files)) if i not in unreadable}
    for i, reason in unreadable.items():
        if groups[i] not in readable:
            example = f"{printable(files[i])}: {reason}"
            raise UserError(f"`data` {name}: no image of class {listing.labels[i]} can be read ({example})")
