"""Which images `lrlab best` trains on, which it decides by, and which nothing sees before the final test."""

from dataclasses import replace
from typing import Any

import numpy as np

from lrlab.recipes.kitchen.data.catalog import DATASETS, load, split_count
from lrlab.recipes.kitchen.data.image_folder import images_if_any, list_folder
from lrlab.recipes.kitchen.data.image_set import ImageSet, stratified_sample, stratified_split
from lrlab.recipes.kitchen.data.listing import WHOLE
from lrlab.recipes.kitchen.image_source import ImageSource
from lrlab.recipes.kitchen.text import show_share, typed_path

TEST_SHARE = 0.2  # of images that bring no test part
VALID_SHARE = 0.15  # of the rest
MOST_SPLITS = 3  # train, valid, test
KEPT_SHARE = 0.5  # of the validation images that the final training leaves out


def count_images(data: str | ImageSource) -> int:
    "About how many images there are, without decoding a file. Where there are none, loading them will say why."
    if isinstance(data, ImageSource):
        return sum(len(images_if_any(folder)) for folder in data.folders)
    name, part = split_count(str(data))
    if name in DATASETS:
        return sum(map(len, load(data).splits.values()))  # small images, decoded once for all recipes
    count = len(images_if_any(name))
    return count if part is None else min(count, MOST_SPLITS * part)


def count_for_training(data: str | ImageSource, n_images: int, seed: int) -> int:
    "How many images of a folder `put_aside` leaves for training, without decoding one; of other data, all of them."
    folder = typed_path(str(data))
    if isinstance(data, ImageSource) or data in DATASETS or not folder.is_dir():
        return n_images
    listing = list_folder(folder)
    labels = np.array(listing.labels)[np.isin(listing.splits, ["train", WHOLE])]
    for share in (TEST_SHARE,) * (not listing.has_split) + (VALID_SHARE,) * ("test" not in listing.splits):
        labels = labels[stratified_split(labels, share, seed)["train"]]
    return len(labels)


def put_aside(images: ImageSet, seed: int) -> tuple[ImageSet, str]:
    """The images in three parts: `test`, which only the final test sees, `valid`, which decides, and `train`.

    Also returns where the test images come from. A test part of the data's own is kept. Else the validation part of the
    data's own is the test. Else a fifth of every class is.
    """
    splits: dict[str, Any] = dict(images.splits)
    if images.has_own_split and "test" in splits:
        return images, "the test part that the data bring"
    if images.has_own_split:
        parts = _split(images, splits["train"], VALID_SHARE, seed)
        return replace(images, splits={**parts, "test": splits["valid"]}), "the validation part that the data bring"
    outer = _split(images, np.sort(np.concatenate(list(splits.values()))), TEST_SHARE, seed)
    parts = _split(images, outer["train"], VALID_SHARE, seed)
    where = f"{show_share(TEST_SHARE, 0)} of every class, put aside at the start"
    return replace(images, splits={**parts, "test": outer["valid"]}, strata=None), where


def in_order(images: ImageSet) -> ImageSet:
    "With the rows of every split in an order in which any first rows have every class, and each in its share."
    return replace(images, splits={name: rows[_order(images.labels[rows])] for name, rows in images.splits.items()})


def _order(labels: np.ndarray) -> np.ndarray:
    """Positions of the labels [n], dealt so that every class advances at the same pace.

    >>> _order(np.array([0, 0, 0, 0, 1, 1])).tolist()
    [0, 4, 1, 2, 5, 3]
    """
    progress = np.empty(len(labels))
    for label in np.unique(labels):
        positions = np.flatnonzero(labels == label)
        progress[positions] = np.arange(len(positions)) / len(positions)
    return np.argsort(progress, kind="stable")


def take_first(images: ImageSet, n_train: int, n_valid: int) -> ImageSet:
    "The first images of the training and validation parts, and the same share of the test images as of the former."
    train, test = images.splits["train"], images.splits["test"]
    n_test = max(round(len(test) * n_train / len(train)), len(images.classes))
    first = {"train": train[:n_train], "valid": images.splits["valid"][:n_valid], "test": test[:n_test]}
    return replace(images, splits=first)


def with_validation_images(images: ImageSet, seed: int) -> ImageSet:
    """For the final training: half of the validation images join the training images, the other half remains.

    The only validation image of a class remains too: the temperature needs it, and the validation cannot be empty.
    """
    rows = images.splits["valid"]
    kept = rows[stratified_sample(images.labels[rows], KEPT_SHARE, seed)]
    train = np.union1d(images.splits["train"], np.setdiff1d(rows, kept))
    return replace(images, splits=images.splits | {"train": train, "valid": kept})


def _split(images: ImageSet, rows: np.ndarray, share: float, seed: int) -> dict[str, np.ndarray]:
    "A share of every stratum of `rows` as `valid`, the rest as `train`."
    strata = images.labels if images.strata is None else images.strata
    parts = stratified_split(strata[rows], share, seed)
    return {name: rows[positions] for name, positions in parts.items()}
