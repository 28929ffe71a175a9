"""A user's folder of images: which file belongs to which class and split. Only `load_folder` opens an image."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from lrlab.recipes.kitchen.data.decode import SUFFIXES
from lrlab.recipes.kitchen.data.image_set import Card, ImageSet
from lrlab.recipes.kitchen.data.listing import WHOLE, Listing, load_listing
from lrlab.recipes.kitchen.data.split_folders import (
    find_splits,
    is_results,
    is_shown,
    refuse_targets,
    rest_of_name,
    split_name,
    subfolders,
)
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import name_some, plural, printable, typed_path

HEIF_SUFFIXES = {".heic", ".heif", ".hif"}
BESIDE_IMAGES = set(  # files that may lie beside images and are none; files of all other kinds are named
    ".txt .md .csv .tsv .xlsx .json .jsonl .xml .yaml .yml .toml .html .htm .pdf .log .db .ini .lnk .url .py .ipynb "
    ".sh .cache .zip .gz .tar .7z .rar .xmp .aae .mp4 .mov .avi".split()
)

FilesByClass = dict[str, list[Path]]


def load_folder(folder: Path, size: int, cache: bool = True, count: int | None = None) -> ImageSet:
    """The images of a folder with `train/` and `valid/`, or with one folder per class.

    Without a split, a quarter of each class is for validation: always the same images. `count`: see `load_listing`.
    """
    listing = list_folder(folder)
    card = Card(printable(folder.resolve().name), printable(folder.resolve()), "the owner's")
    return load_listing(printable(folder), listing, folder, card, None, size, cache, count)


def list_folder(folder: Path) -> Listing:
    """List the images of `folder`, with one folder per class, in splits or not.

    The images of a class may lie at any depth below its folder. Links are followed; hidden files are excluded. Raises
    UserError if this is no classification problem, or if a part of it cannot be read.
    """
    try:
        if not folder.is_dir():
            raise UserError(f"`data` {folder}: a file; expected a folder of images, with one folder per class")
        return list_splits(folder, *_splits(folder))
    except OSError as error:
        where = printable(error.filename or folder)
        raise UserError(f"`data` {folder}: {where} cannot be read ({error.strerror or error})") from error


def list_splits(folder: Path, splits: dict[str, Path], remarks: Sequence[str] = (), option: str = "data") -> Listing:
    "List the images of one folder per split, each with one folder per class. Errors name the `folder` and its option."
    subject = f"`{option}` {folder}"
    for where in splits.values():
        refuse_targets(where)
    found = {split: _files_by_class(where) for split, where in splits.items()}
    classes = tuple(sorted({c for by_class in found.values() for c, files in by_class.items() if files}))
    _check(subject, folder, splits, found, classes)
    rows = [(file, c, split) for split, by_class in found.items() for c in classes for file in by_class.get(c, ())]
    return Listing.of(subject, rows, [*remarks, *_excluded(splits, found, classes)])


def _splits(folder: Path) -> tuple[dict[str, Path], list[str]]:
    "The folder of each split (`WHOLE` if there is none), and remarks about folders that are excluded."
    splits = find_splits(folder)
    folders = subfolders(folder)
    if not splits:
        alone = len(folders) == 1 and split_name(folders[0].name) and not rest_of_name(folders[0].name)
        return {WHOLE: folders[0] if alone else folder}, []
    remarks = [
        f"{printable(f.name)} is excluded, because it is not one of the splits ({', '.join(splits)})"
        for f in folders
        if f not in splits.values() and f not in [s.parent for s in splits.values()] and any(images_below(f))
    ]
    if "test" in splits and not subfolders(splits["test"]):
        remarks.append(f"{splits['test'].name} is excluded, because it has no class folders")
        del splits["test"]
    return (splits if len(splits) > 1 else {WHOLE: splits["train"]}), remarks


def _files_by_class(folder: Path) -> FilesByClass:
    "The images of each folder in `folder`, by the name of the class as it can be printed."
    found: FilesByClass = {}
    raw_names: dict[str, str] = {}
    for subfolder in subfolders(folder):
        # An accented letter is one character on Linux and two on macOS, and train/ and valid/ may come from both.
        raw = unicodedata.normalize("NFC", subfolder.name)
        name = printable(raw)
        if raw_names.setdefault(name, raw) != raw:
            raise UserError(
                f"`data` {folder}: two class folders look the same in print, {raw!r} and {raw_names[name]!r}"
            )
        found[name] = found.get(name, []) + sorted(images_below(subfolder))
    return found


def images_if_any(folder: str) -> list[Path]:
    "The images below a folder by its name. None where there is no such folder: loading the data will say why."
    try:
        return list(images_below(typed_path(folder)))
    except (OSError, ValueError, RuntimeError):  # not there, a name that cannot be, no home folder
        return []


def images_below(folder: Path) -> Iterator[Path]:
    "The files at any depth that are called as images are."
    return (file for file in files_below(folder) if file.suffix.lower() in SUFFIXES)


def files_below(folder: Path) -> Iterator[Path]:
    """All files at any depth, through links, but for hidden ones and those of results folders.

    A link that leads back to a folder above is followed once.
    """
    seen = {str(parent) for parent in Path(os.path.realpath(folder)).parents}
    for where, folders, files in os.walk(folder, followlinks=True, onerror=_raise):
        real = os.path.realpath(where)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if is_shown(name) and not is_results(Path(where, name))]
        yield from (Path(where, name) for name in files if name[0] != ".")


def _raise(error: OSError):
    "os.walk skips what it cannot list, and half a class is worse than none."
    raise error


def _check(
    subject: str, folder: Path, splits: dict[str, Path], found: dict[str, FilesByClass], classes: tuple[str, ...]
) -> None:
    if not classes:
        raise UserError(f"{subject}: no images found; {_describe_contents(folder)}{_name_table(folder)}")
    if len(classes) == 1:
        inside = Path(os.path.commonpath([file.parent for by_class in found.values() for file in by_class[classes[0]]]))
        has_more = WHOLE in found and len(subfolders(inside)) > 1
        hint = f"; did you mean `data` {printable(inside)}?" if has_more else _name_table(folder)
        raise UserError(f"{subject}: only one class ({classes[0]}) has images; a classifier needs at least two{hint}")
    for split, by_class in found.items():
        if not any(by_class.values()):
            loose = " in class folders" if _loose_images(splits[split]) else ""
            raise UserError(f"{subject}: {splits[split]} has no images{loose}")
    if WHOLE in found and all(len(files) < 2 for files in found[WHOLE].values()):
        raise UserError(f"{subject}: one image per class leaves none for validation")


def _loose_images(folder: Path) -> list[Path]:
    "The images in the folder itself."
    return sorted(f for f in folder.iterdir() if f.name[0] != "." and f.suffix.lower() in SUFFIXES)


def _describe_contents(folder: Path) -> str:
    "What the folder holds instead of folders with images."
    if loose := len(_loose_images(folder)):
        advice = "put those of each class into a folder of their own, or name a table (`labels`) or a pattern of their "
        advice = "" if _name_table(folder) else f"; {advice}names (`label_re`)"
        return f"its {plural(loose, 'image lies', 'images lie')} outside class folders{advice}"
    for where in find_splits(folder).values() or subfolders(folder):
        if loose := len(_loose_images(where)):
            return f"{printable(where.name)} has {plural(loose, 'image')} outside class folders"
    others = Counter(file.suffix.lower() for file in files_below(folder))
    suffix, count = others.most_common(1)[0] if others else ("", 0)
    seen = f"it has {plural(count, f'{printable(suffix)} file')}; " if suffix else ""
    return f"{seen}expected one folder per class with {', '.join(sorted(SUFFIXES))} files"


def _name_table(folder: Path) -> str:
    "The end of an error where a table that may hold the labels lies in the folder; train.csv before others."
    tables = [f for f in folder.iterdir() if f.suffix.lower() in (".csv", ".tsv")] if folder.is_dir() else []
    tables.sort(key=lambda f: (split_name(f.stem) != "train", f.name))
    return f"; label them by a table: `labels` {tables[0]}" if tables else ""


def _excluded(splits: dict[str, Path], found: dict[str, FilesByClass], classes: tuple[str, ...]) -> list[str]:
    "A remark for each kind of folder or file that is excluded."
    remarks = []
    empty = sorted({c for by_class in found.values() for c in by_class} - set(classes))
    if empty:
        remarks.append(f"{name_some(empty)} {'has' if len(empty) == 1 else 'have'} no images and is no class")
    loose = [f for where in splits.values() for f in _loose_images(where)]
    if loose:
        names = name_some([f.name for f in loose], 1)
        remarks.append(f"excluded: {plural(len(loose), 'image')} outside the class folders ({names})")
    unknown = Counter(
        file.suffix.lower()
        for where in splits.values()
        for subfolder in subfolders(where)
        for file in files_below(subfolder)
        if file.suffix.lower() not in SUFFIXES | BESIDE_IMAGES and file.is_file()
    )
    for suffix, count in sorted(unknown.items()):
        plugin = " without the package pillow-heif" * (suffix in HEIF_SUFFIXES)
        because = f"lrlab cannot read this format here{plugin}" if suffix else "lrlab knows images by it"
        kind = plural(count, f"{printable(suffix)} file".strip()) + " without a suffix" * (not suffix)
        remarks.append(f"excluded: {kind}, because {because}")
    return remarks
