"""`ImageSet`: labelled images of one size, split into training, validation and perhaps test images."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.options import number

SPLIT_SEED = 42  # of the split that describes data without one of their own; every run splits them by its own seed
VALID_SHARE = 0.25
STATS_IMAGES = 2000  # training images that the mean and standard deviation of the pixels are computed from


@dataclass(frozen=True)
class Card:
    "What is known about a dataset. `unreadable` maps the name of a file to the reason why it cannot be read."

    title: str = ""
    source: str = ""
    licence: str = ""
    warnings: tuple[str, ...] = ()
    unreadable: dict[str, str] = field(default_factory=dict)
    of: dict[str, int] | None = None  # of a part of a dataset: how many images the whole has in each split
    fingerprint: str | None = None  # of the pixels, labels and split: 16 hexadecimal digits
    options: dict[str, str] = field(default_factory=dict)  # of `build`, beside `data`: where labels and split come from


@dataclass(frozen=True)
class ImageSet:
    "Labelled images, in memory or memory-mapped, and the rows of each split."

    name: str
    images: np.ndarray  # uint8 [n, size, size, channels]
    labels: np.ndarray  # int64 [n], positions in `classes`
    classes: tuple[str, ...]
    splits: dict[str, np.ndarray]  # "train", "valid" and perhaps "test" -> rows
    files: tuple[str, ...]  # where each row came from
    flips: str | None = None  # which flips keep the label: "none", "horizontal" or "dihedral"; None: unknown
    card: Card = field(default_factory=Card)
    strata: np.ndarray | None = None  # [n] of data without a split of their own: what every split keeps in its shares

    @property
    def has_own_split(self) -> bool:
        "Whether the data came with a split, or one was chosen for good."
        return self.strata is None

    def split_by(self, seed: int, folds: int | None = None) -> "ImageSet":
        """Another split of the training and validation images, the same for the same seed; a given split is kept.

        Over many seeds every image is validated on, so that an interval over seeds also covers which images are
        validated on (Bouthillier et al. 2021, arXiv:2103.03098). The parts keep their sizes, every stratum its share.
        With `folds`, the seeds from 0 on take the folds of a cross-validation: each image is validated on once.
        """
        if self.strata is None:
            return self
        rows = np.sort(np.concatenate([self.splits["train"], self.splits["valid"]]))
        strata, share = self.strata[rows], len(self.splits["valid"]) / len(rows)
        found = fold_split(strata, folds, seed) if folds else stratified_split(strata, share, seed)
        return replace(self, splits=self.splits | {name: rows[part] for name, part in found.items()})

    @property
    def size(self) -> int:
        return self.images.shape[1]

    @property
    def channels(self) -> int:
        return self.images.shape[3]

    @cached_property
    def pixel_stats(self) -> tuple[list[float], list[float]]:
        "Mean and standard deviation per channel, in 0..1, of a sample of the training images."
        rows = self.splits["train"]
        step = -(-len(rows) // STATS_IMAGES)
        sample = self.images[rows[::step]].reshape(-1, self.channels) / np.float32(255)
        return sample.mean(0, np.float64).tolist(), np.maximum(sample.std(0, dtype=np.float64), 1e-3).tolist()

    def class_counts(self, split: str) -> dict[str, int]:
        "Images per class in one split."
        counts = np.bincount(self.labels[self.splits[split]], minlength=len(self.classes))
        return dict(zip(self.classes, counts.tolist(), strict=True))

    def majority(self, split: str = "valid") -> float:
        "The accuracy of always answering the most frequent class."
        return max(self.class_counts(split).values()) / len(self.splits[split])

    def describe(self) -> dict:
        "What config.json and the report say about the data; JSON types."
        return {
            "name": self.name,
            **{key: value for key, value in asdict(self.card).items() if value},
            "warnings": list(self.card.warnings),
            "classes": len(self.classes),
            "images": {split: len(rows) for split, rows in self.splits.items()},
            "counts": {split: self.class_counts(split) for split in self.splits},
            "size": self.size,
            "channels": self.channels,
            "majority": self.majority(),
            **({} if self.has_own_split else {"split": "by seed"}),
        }


def part_of(images: ImageSet, count: int) -> ImageSet:
    "About `count` images of each split, by `sample_splits`."
    splits = sample_splits(images.name, images.splits, images.labels, count)
    return called_a_part(replace(images, splits=splits), count, images.splits)


def sample_splits(name: str, splits: dict[str, np.ndarray], labels: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """About `count` rows of each split: every class keeps its share, and at least one row. Always the same ones.

    Raises UserError, about the dataset `name`, if there are fewer than one for each class.
    """
    classes = len(np.unique(labels))
    if count < classes:
        raise UserError(f"`data` {name}:{count}: expected at least one image for each of {classes} classes")
    return {
        split: rows if len(rows) <= count else rows[stratified_sample(labels[rows], count / len(rows))]
        for split, rows in splits.items()
    }


def called_a_part(images: ImageSet, count: int, whole: dict[str, np.ndarray]) -> ImageSet:
    "The images under the name and the title of a part. `whole`: the rows of each split of the whole dataset."
    sizes = {split: len(rows) for split, rows in whole.items()}
    card = replace(images.card, title=f"{images.card.title}, a part of it", of=sizes)
    return replace(images, name=f"{images.name}:{count}", card=card)


def stratified_sample(labels: np.ndarray, share: float, seed: int = SPLIT_SEED) -> np.ndarray:
    "Positions of a share of the labels; every class keeps its share, and at least one position."
    sampled = stratified_split(labels, share, seed)["valid"]
    missed = np.flatnonzero(~np.isin(labels, labels[sampled]))
    return np.union1d(sampled, missed)


def stratified_split(
    strata: Sequence | np.ndarray, share: float = VALID_SHARE, seed: int = SPLIT_SEED
) -> dict[str, np.ndarray]:
    """Rows for training and validation. `share` of every stratum is for validation, at least one row if it has two.

    >>> {name: len(rows) for name, rows in stratified_split(["cat"] * 8 + ["dog"] * 4).items()}
    {'train': 9, 'valid': 3}
    """
    share = number(0.0, 1.0)(share, "share")
    rng = np.random.default_rng(seed)
    stratum_of = np.asarray(strata)
    chosen: list[int] = []
    for stratum in np.unique(stratum_of):
        rows = rng.permutation(np.flatnonzero(stratum_of == stratum))
        chosen.extend(rows[: max(round(len(rows) * share), int(len(rows) > 1))])
    valid = np.sort(np.array(chosen, dtype=np.int64))
    return {"train": np.setdiff1d(np.arange(len(stratum_of)), valid), "valid": valid}


def fold_split(strata: Sequence | np.ndarray, folds: int, seed: int) -> dict[str, np.ndarray]:
    """Rows for training and validation: fold `seed` of `folds`. Later seeds take the folds of another shuffle.

    The rows of every stratum are dealt to the folds in turns, so that sizes differ by at most one.

    >>> [fold_split(["cat"] * 4 + ["dog"] * 2, 3, seed)["valid"].tolist() for seed in range(3)]
    [[0, 3], [2, 4], [1, 5]]
    """
    turn, fold = divmod(seed, folds)
    rng, stratum_of = np.random.default_rng(SPLIT_SEED + turn), np.asarray(strata)
    order = [rng.permutation(np.flatnonzero(stratum_of == stratum)) for stratum in np.unique(stratum_of)]
    valid = np.sort(np.concatenate(order)[fold::folds])
    return {"train": np.setdiff1d(np.arange(len(stratum_of)), valid), "valid": valid}
