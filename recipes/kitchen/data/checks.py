"""Warnings about a dataset. It can be trained on, but its accuracy may not mean what it seems to mean."""

import hashlib
from collections import defaultdict

import numpy as np

from lrlab.recipes.kitchen.data.decode import in_threads
from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.text import name_some, percent, plural

MAX_IMBALANCE = 10  # times as many training images in the largest class as in the smallest one
MIN_VALID_IMAGES = 40  # with fewer validation images, one of them is more than 2.5 points of accuracy


def check_images(images: ImageSet) -> tuple[list[str], str]:
    "Warnings about the images; and a fingerprint of the pixels, labels and split: 16 hexadecimal digits."
    digests = _digests(images.images)
    warnings = [
        *_duplicates(images, digests),
        *_contradictions(images, digests),
        *_imbalance(images),
        *_few_validation_images(images),
    ]
    fingerprint = hashlib.blake2b(b"".join(digests) + images.labels.tobytes(), digest_size=8)
    for split, rows in images.splits.items():
        fingerprint.update(split.encode() + np.asarray(rows, np.int64).tobytes())
    return warnings, fingerprint.hexdigest()


def _digests(pixels: np.ndarray) -> list[bytes]:
    "One digest per image of the pixels that the model sees."

    def digest(rows: np.ndarray) -> list[bytes]:
        return [hashlib.blake2b(pixels[row].tobytes(), digest_size=16).digest() for row in rows]

    blocks = np.array_split(np.arange(len(pixels)), max(1, len(pixels) // 2000))
    return [one for block in in_threads(digest, blocks, at_once=1) for one in block]


def _duplicates(images: ImageSet, digests: list[bytes]) -> list[str]:
    if not images.has_own_split:  # every recipe and seed splits them anew
        first: dict[bytes, int] = {}
        twice = [row for row in _all_rows(images) if first.setdefault(digests[row], row) != row]
        if not twice:
            return []
        example = f"{images.files[twice[0]]} is {images.files[first[digests[twice[0]]]]}"
        of = f"of {len(first) + len(twice):,} images"
        return [
            f"{plural(len(twice), f'{of} is a copy of another', f'{of} are copies of others')} ({example}): where one "
            "copy is trained on and another validated on, accuracy is memory, not learning"
        ]
    trained = {digests[row]: row for row in images.splits["train"]}
    warnings = []
    for split, name in (("valid", "validation"), ("test", "test")):
        rows = images.splits.get(split, ())
        seen = [row for row in rows if digests[row] in trained]
        if seen:
            of = f"of {plural(len(rows), f'{name} image')}"
            example = f"{images.files[seen[0]]} is {images.files[trained[digests[seen[0]]]]}"
            warnings.append(
                f"{plural(len(seen), f'{of} is also a training image', f'{of} are also training images')} ({example}): "
                "accuracy on them is memory, not learning"
            )
    return warnings


def _all_rows(images: ImageSet) -> np.ndarray:
    return np.concatenate(list(images.splits.values()))


def _contradictions(images: ImageSet, digests: list[bytes]) -> list[str]:
    labels: dict[bytes, set[int]] = defaultdict(set)
    example: dict[bytes, str] = {}
    for row in _all_rows(images):
        labels[digests[row]].add(int(images.labels[row]))
        example.setdefault(digests[row], images.files[row])
    ambiguous = [digest for digest, classes in labels.items() if len(classes) > 1]
    if not ambiguous:
        return []
    many = plural(len(ambiguous), "image is", "images are")
    return [f"{many} in more than one class, with the same pixels ({example[ambiguous[0]]})"]


def _imbalance(images: ImageSet) -> list[str]:
    counts, what = images.class_counts("train"), "training image"
    if not images.has_own_split:
        counts, what = {name: counts[name] + n for name, n in images.class_counts("valid").items()}, "image"
    fewest, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[most] < MAX_IMBALANCE * max(counts[fewest], 1):
        return []
    return [
        f"the classes are far from equal, from {plural(counts[fewest], what)} ({fewest}) to {counts[most]:,} ({most}): "
        f"always answering with the most frequent class is right in {percent(images.majority())} %"
    ]


def _few_validation_images(images: ImageSet) -> list[str]:
    untested = [name for name, count in images.class_counts("valid").items() if not count]
    warnings = [f"no validation images of {name_some(untested)}: nothing is known about them"] if untested else []
    n = len(images.splits["valid"])
    if n < MIN_VALID_IMAGES:
        few = f"{plural(n, 'validation image')}:"
        if not images.has_own_split:
            few = f"{len(_all_rows(images))} images: where {plural(n, 'is', 'are')} validated on,"
        warnings.append(f"only {few} one of them is {percent(1 / n)} % of accuracy")
    return warnings
