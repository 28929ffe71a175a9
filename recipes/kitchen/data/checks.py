"""What is odd about a dataset, in sentences: it still trains, but its accuracy may not mean what it seems to mean."""

import hashlib
from collections import defaultdict

import numpy as np
from joblib import Parallel, cpu_count, delayed

from lrlab.recipes.kitchen.data.image_folder import some

IMBALANCE = 10  # times as many training images in the largest class as in the smallest one are worth a remark
FEW = 40  # validation images: one of them is 2.5 points of accuracy


def remarks(image_set) -> tuple[list[str], str]:
    "Sentences about the `ImageSet`; and a fingerprint of its pixels, labels and split, 16 hexadecimal digits."
    digests = _digests(image_set.images)
    found = [
        *_duplicates(image_set, digests),
        *_contradictions(image_set, digests),
        *_imbalance(image_set),
        *_thin_validation(image_set),
    ]
    whole = hashlib.blake2b(b"".join(digests) + image_set.labels.tobytes(), digest_size=8)
    for part, rows in image_set.splits.items():
        whole.update(part.encode() + np.asarray(rows, np.int64).tobytes())
    return found, whole.hexdigest()


def _digests(images: np.ndarray) -> list[bytes]:
    "One digest per image of what the model is shown; hashlib releases the interpreter lock, so threads help."

    def digest(rows: np.ndarray) -> list[bytes]:
        return [hashlib.blake2b(images[row].tobytes(), digest_size=16).digest() for row in rows]

    parts = np.array_split(np.arange(len(images)), max(1, len(images) // 2000))
    hashed = Parallel(n_jobs=min(cpu_count(), 16), prefer="threads")(delayed(digest)(rows) for rows in parts)
    return [one for part in hashed for one in part]


def _duplicates(image_set, digests: list[bytes]) -> list[str]:
    trained = {digests[row]: row for row in image_set.splits["train"]}
    found = []
    for part in ("valid", "test"):
        rows = image_set.splits.get(part, ())
        twice = [row for row in rows if digests[row] in trained]
        if twice:
            example = f"{image_set.files[twice[0]]} is {image_set.files[trained[digests[twice[0]]]]}"
            name = {"valid": "validation", "test": "test"}[part]
            found.append(
                f"{len(twice)} of {len(rows)} {name} images are also training images ({example}): "
                "accuracy on them is memory, not learning"
            )
    return found


def _contradictions(image_set, digests: list[bytes]) -> list[str]:
    labels: dict[bytes, set[int]] = defaultdict(set)
    example: dict[bytes, str] = {}
    for row in np.concatenate(list(image_set.splits.values())):
        labels[digests[row]].add(int(image_set.labels[row]))
        example.setdefault(digests[row], image_set.files[row])
    twofold = [digest for digest, classes in labels.items() if len(classes) > 1]
    if not twofold:
        return []
    return [f"{len(twofold)} images are in more than one class, with the same pixels ({example[twofold[0]]})"]


def _imbalance(image_set) -> list[str]:
    counts = image_set.class_counts("train")
    small, large = min(counts, key=counts.get), max(counts, key=counts.get)
    if counts[large] < IMBALANCE * max(counts[small], 1):
        return []
    return [
        f"the classes are far from equal, from {counts[small]} training images ({small}) to {counts[large]} ({large}): "
        f"always answering with the most frequent class is right in {image_set.majority():.1%}"
    ]


def _thin_validation(image_set) -> list[str]:
    counts = image_set.class_counts("valid")
    untested = [name for name, count in counts.items() if not count]
    found = [f"no validation images of {some(untested)}: nothing is known about them"] if untested else []
    n = len(image_set.splits["valid"])
    if n < FEW:
        found.append(f"only {n} validation images: one of them is {1 / n:.1%} of accuracy")
    return found
