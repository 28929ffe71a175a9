"""Every dataset that has a name, in one table; and `load`, which takes such a name or a folder."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

from lrlab.recipes.kitchen.data.bundled import digits, solar
from lrlab.recipes.kitchen.data.checks import check_images
from lrlab.recipes.kitchen.data.fashion_mnist import fashion_mnist
from lrlab.recipes.kitchen.data.fastai_datasets import DEFAULT_SIZE, LABELLED, UNLABELLED, load_fastai
from lrlab.recipes.kitchen.data.image_folder import load_folder
from lrlab.recipes.kitchen.data.image_set import ImageSet, part_of
from lrlab.recipes.kitchen.data.labels import load_source
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.image_source import ImageSource
from lrlab.recipes.kitchen.options import number
from lrlab.recipes.kitchen.stage import print_note
from lrlab.recipes.kitchen.text import did_you_mean, typed_path


class Dataset(NamedTuple):
    "How to load a dataset or a part of it: `load(size, cache, count)`, and its default size in pixels."

    load: Callable[[int, bool, int | None], ImageSet]
    size: int


def _whole(load: Callable[[int, bool], ImageSet]) -> Callable[[int, bool, int | None], ImageSet]:
    "Of a small dataset, which is loaded whole even where a part is asked for."

    def load_part(size: int, cache: bool, count: int | None) -> ImageSet:
        images = load(size, cache)
        return images if count is None else part_of(images, count)

    return load_part


DATASETS: dict[str, Dataset] = {
    "solar": Dataset(_whole(solar), 64),
    "digits": Dataset(_whole(digits), 16),
    "fashion_mnist": Dataset(_whole(fashion_mnist), 28),
    **{name: Dataset(partial(load_fastai, name), entry.size) for name, entry in LABELLED.items()},
    **{name: Dataset(partial(load_fastai, name), DEFAULT_SIZE) for name in UNLABELLED},
}
FOLDER_SIZE = 64  # pixels


def load(name: str | ImageSource = "solar", size: int | None = None, cache: bool = True) -> ImageSet:
    """Load a dataset by its name, or a folder of images. `size` is in pixels; every dataset has a default.

    "cifar:2000" is about 2,000 images of each split. What is odd about the images is in `card.warnings`, and printed
    once. Raises UserError if there is no such dataset or folder, or if its images cannot be classified.

    >>> images = load("digits")
    >>> images.images.shape, len(images.classes)
    ((1797, 16, 16, 1), 10)
    """
    if size is not None:
        size = number(8, 2048)(size, "size")
    source, count = split_count((name.data or "") if isinstance(name, ImageSource) else str(name))
    if isinstance(name, ImageSource):
        images = _checked(load_source(replace(name, data=source or None), size or FOLDER_SIZE, cache, count))
    elif source in DATASETS:
        images = _load_dataset(source, size, cache, count)
    else:
        images = _checked(load_folder(_find_folder(source), size or FOLDER_SIZE, cache, count))
    for warning in images.card.warnings:
        _print_note_once(images.name, warning)
    return images


_print_note_once = lru_cache(maxsize=256)(print_note)  # images may be loaded many times


def split_count(name: str) -> tuple[str, int | None]:
    """A dataset or folder, and how many images of each split to take at most (None: all).

    >>> split_count("cifar:2000"), split_count("cifar")
    (('cifar', 2000), ('cifar', None))
    """
    source, colon, count = name.rpartition(":")
    if not (colon and source and count.isdecimal() and len(count) < 10) or os.path.exists(name):
        return name, None
    return source, int(count)


@lru_cache(maxsize=4)
def _load_dataset(name: str, size: int | None, cache: bool, count: int | None) -> ImageSet:
    dataset = DATASETS[name]
    return _checked(dataset.load(size or dataset.size, cache, count))


def _checked(images: ImageSet) -> ImageSet:
    warnings, fingerprint = check_images(images)
    card = replace(images.card, warnings=(*images.card.warnings, *warnings), fingerprint=fingerprint)
    return replace(images, card=card)


def _find_folder(name: str) -> Path:
    folder = typed_path(name)
    try:
        if folder.exists():
            return folder
        reason = "no such folder"
    except (OSError, ValueError) as error:  # a name too long, a null character
        reason = getattr(error, "strerror", None) or str(error)
    hint = did_you_mean(name, DATASETS)
    raise UserError(f"`data` {name}: {reason}, and not one of the datasets {', '.join(DATASETS)}{hint}")
