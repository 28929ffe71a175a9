"""Which folders of a dataset are its splits (train, valid, test), and which are its classes.

A split that is taken for a class trains a model that looks good and knows nothing. So folders that are named like
splits, or that all hold the same folders, are recognised as splits or refused. They are never classes.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.store.manifest import FILE
from lrlab.recipes.kitchen.text import name_some

RECIPE = b'"recipe":'  # the first key of a results folder's manifest
NOT_DATA = {"__macosx", "lost+found", "$recycle.bin", "system volume information"}  # of archivers and file systems
NOT_DATA |= {"@eadir", "#recycle", "#snapshot", "@recycle", "@__thumb"}  # of network disks
SPLIT_WORDS = {
    "train": {"train", "training"},
    "valid": {"valid", "val", "validation", "validate", "dev", "development"},
    "test": {"test", "testing"},
}
FILLERS = {"set", "data", "dataset", "image", "images", "img", "imgs", "photos", "pictures", "split", "folder"}
PARTS = re.compile(r"(cv|fold|split|part|partition|subset|shard|chunk|batch)[\W_]*\d+|k[\W_]*\d", re.IGNORECASE)
IMAGES = {"jpeg", "input", "inputs"}  # and the fillers
TARGETS = {"mask", "masks", "label", "labels", "annotation", "annotations", "segmentation", "segmentations", "target"}
TARGETS |= {"targets", "trimap", "trimaps", "gt", "ground", "truth", "groundtruth", "segmentationclass", "depth"}


def subfolders(folder: Path) -> list[Path]:
    "The folders in `folder`, sorted, without hidden ones and those of results."
    return sorted(f for f in folder.iterdir() if is_shown(f.name) and f.is_dir() and not is_results(f))


def is_shown(name: str) -> bool:
    "Whether a folder of this name may hold data."
    return name.lower() not in NOT_DATA and name[0] != "."


def is_results(folder: Path) -> bool:
    """Whether lrlab wrote this folder, or all folders in it, and nothing else lies there: its figures are no data.

    So data may lie in the folder where a command is run, which writes to results/ there.
    """
    if (folder / FILE).is_file():
        return RECIPE in (folder / FILE).read_bytes()[: len(RECIPE) + 20]
    with os.scandir(folder) as entries:  # a class folder may be large, and its first image is answer enough
        shown = (entry for entry in entries if entry.name[0] != ".")
        found = (entry.is_dir(follow_symlinks=False) and is_results(Path(entry.path)) for entry in shown)
        return next(found, False) and all(found)


def find_splits(folder: Path) -> dict[str, Path]:
    """The folder of each split, with at least "train" and one more; empty if the folders of `folder` are classes.

    Raises UserError where the folders look like splits and it is not clear which is which.
    """
    folders = subfolders(folder)
    named = {f: split_name(f.name) for f in folders}
    by_split = {split: [f for f in folders if named[f] == split] for split in SPLIT_WORDS}
    trains, others = by_split["train"], [*by_split["valid"], *by_split["test"]]
    if trains and others and differ_in_split_only([*trains, *others]):
        for split, found in by_split.items():
            if len(found) > 1:
                names = " and ".join(f.name for f in found[:2])
                raise UserError(f"`data` {folder}: both {names}; which is for {split}?")
        return {split: _unwrap(found[0]) for split, found in by_split.items() if found}
    if len(folders) > 1:
        _refuse_what_are_no_classes(folder, folders, named)
    return {}


def split_name(name: str) -> str | None:
    """The split that a folder is named after, if its name holds the word of one split.

    >>> [split_name(name) for name in ("training_set", "seg_test", "dev", "cats", "train_test")]
    ['train', 'test', 'valid', None, None]
    """
    splits = {split for split, names in SPLIT_WORDS.items() if names & set(_words(name))}
    return splits.pop() if len(splits) == 1 else None


def rest_of_name(name: str) -> set[str]:
    """The words of a name that name no split.

    >>> rest_of_name("training_set"), rest_of_name("Test1"), rest_of_name("seg_test"), rest_of_name("test_tube")
    (set(), set(), {'seg'}, {'tube'})
    """
    return set(_words(name)) - FILLERS - set().union(*SPLIT_WORDS.values())


def differ_in_split_only(folders: Sequence[Path]) -> bool:
    "Whether the names differ in the split only: seg_train and seg_test do, train_station and test_tube do not."
    return len({frozenset(rest_of_name(f.name)) for f in folders}) == 1


def _words(name: str) -> list[str]:
    "The words of a name in lower case; `testset` is two of them."
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    return [part for word in words for part in re.sub(r"(?<=.)(set|data|images)$", r" \1", word).split()]


def refuse_targets(folder: Path) -> None:
    "Raise UserError where the folders in `folder` are images with their masks or other targets, not classes."
    names = [f.name for f in subfolders(folder)]
    if are_images_and_targets(names):
        raise UserError(
            f"`data` {folder}: {name_some(names)} are images and their targets; expected one folder per class"
        )


def are_images_and_targets(names: Sequence[str]) -> bool:
    """Whether some folders are named after images alone, and others after masks or other targets alone.

    >>> [are_images_and_targets(names) for names in (["train", "train_masks"], ["with_mask", "without_mask"])]
    [True, False]
    """
    rests = [rest_of_name(name.lower()) for name in names if _words(name)]
    targets = [rest for rest in rests if rest and rest <= TARGETS]
    return bool(targets) and any(rest <= IMAGES for rest in rests)


def _unwrap(folder: Path) -> Path:
    "The folder inside, of an archive that was unpacked into a folder of its own: `seg_train/seg_train/`."
    inside = subfolders(folder)
    return inside[0] if len(inside) == 1 and len(subfolders(inside[0])) > 1 else folder


def _refuse_what_are_no_classes(folder: Path, folders: Sequence[Path], named: dict[Path, str | None]) -> None:
    """Raise UserError for splits without a train among them, a `train` of classes beside folders that are no split,
    parts of one dataset (folds), and several versions of the same images.
    """
    names = name_some([f.name for f in folders])
    expected = "not like classes; expected train and valid with one folder per class in each, or one folder per class"
    if all(named.values()) and differ_in_split_only(folders):
        raise UserError(f"`data` {folder}: {names} are named like splits and {expected}")
    for train in (f for f in folders if named[f] == "train" and not rest_of_name(f.name)):
        if len(inside := subfolders(_unwrap(train))) > 1:
            holds = f"is {train.name} a class, or does it hold the classes ({name_some([f.name for f in inside])})?"
            raise UserError(f"`data` {folder}: {holds} Choose `data` {train}, or move the other folders away")
    if all(PARTS.fullmatch(f.name) for f in folders):
        raise UserError(f"`data` {folder}: {names} are named like parts of one dataset and {expected}")
    shared = set.intersection(*({f.name for f in subfolders(one)} for one in folders))
    if len(shared) > 1:
        raise UserError(
            f"`data` {folder}: {names} all hold the same folders ({name_some(sorted(shared))}). If those are the "
            f"classes, choose one, such as `data` {folders[0]}, or name two of them train and valid. If {names} are "
            "the classes, move their images out of the folders inside"
        )
