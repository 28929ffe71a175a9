"""A user's folder of images -> which file belongs to which class and to which part of the split. Opens no image."""

import difflib
import os
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lrlab.recipes.kitchen.data.decode import SUFFIXES
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import printable

SPLITS = {"train": ("train", "training"), "valid": ("valid", "val", "validation"), "test": ("test", "testing")}
NOT_CLASSES = {"__MACOSX", "@eaDir", "lost+found"}  # what archivers, network disks and file systems leave behind

FilesByClass = dict[str, list[Path]]


@dataclass(frozen=True)
class Listing:
    "The images of a folder. `files[i]` belongs to class `labels[i]` and to `parts[i]` of the split ('all': no split)."

    files: list[Path]
    labels: list[str]
    parts: list[str]
    classes: tuple[str, ...]
    remarks: list[str]  # what was left out


def listing(folder: Path) -> Listing:
    """The images of `folder`: `train/` and `valid/` or `test/` with one folder per class each, or one folder per class.

    Images of a class may lie at any depth below its folder. Links are followed, loops once; hidden files are left
    out. Raises UserError when this is not a classification problem, or when a part of it cannot be read.
    """
    try:
        return _listing(folder)
    except OSError as error:
        where = printable(error.filename or folder)
        raise UserError(f"`data` {folder}: {where} cannot be read ({error.strerror or error})") from error


def _listing(folder: Path) -> Listing:
    if not folder.is_dir():
        raise UserError(f"`data` {folder}: a file; expected a folder of images, with one folder per class")
    found = {part: _by_class(where) for part, where in _parts(folder).items()}
    classes = tuple(sorted({c for by_class in found.values() for c, files in by_class.items() if files}))
    _check(folder, found, classes)
    rows = [(file, c, part) for part, by_class in found.items() for c in classes for file in by_class.get(c, ())]
    files, labels, parts = map(list, zip(*rows, strict=True))
    return Listing(files, labels, parts, classes, _left_out(folder, found, classes))


def _parts(folder: Path) -> dict[str, Path]:
    "The folders of the split by name; `all` where there is none."
    parts: dict[str, Path] = {}
    for part, names in SPLITS.items():
        found = [f for f in _subfolders(folder) if f.name.lower() in names]
        if len(found) > 1:
            raise UserError(f"`data` {folder}: both {found[0].name} and {found[1].name}; which is for {part}?")
        parts |= {part: found[0]} if found else {}
    if "train" not in parts:
        return {"all": folder}
    if len(parts) == 1:  # train/ alone is split here, unless it is a class, of vehicles for instance
        return {"all": parts["train"] if len(_subfolders(folder)) == 1 else folder}
    if "valid" not in parts:  # a test folder alone is what there is to validate on
        parts["valid"] = parts.pop("test")
    return parts


def _subfolders(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.name not in NOT_CLASSES and f.name[0] != "." and f.is_dir())


def _by_class(folder: Path) -> FilesByClass:
    "The images of each first-level folder, under the name of the class as it can be printed."
    found: FilesByClass = {}
    names: dict[str, str] = {}
    for subfolder in _subfolders(folder):
        # An accented letter is one character on Linux and two on macOS: train/ and valid/ may come from both.
        raw = unicodedata.normalize("NFC", subfolder.name)
        name = printable(raw)
        if names.setdefault(name, raw) != raw:
            raise UserError(f"`data` {folder}: two class folders look the same in print, {raw!r} and {names[name]!r}")
        found[name] = found.get(name, []) + sorted(_images_below(subfolder))
    return found


def _images_below(folder: Path):
    seen = {str(parent) for parent in Path(os.path.realpath(folder)).parents}  # a link upwards is a loop
    for where, subfolders, files in os.walk(folder, followlinks=True, onerror=_raise):
        real = os.path.realpath(where)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = [s for s in subfolders if s[0] != "." and s not in NOT_CLASSES]
        yield from (Path(where, name) for name in files if _is_image(name))


def _is_image(name: str) -> bool:
    return name[0] != "." and os.path.splitext(name)[1].lower() in SUFFIXES


def _raise(error: OSError):
    "os.walk leaves out silently what it cannot list; half a class is worse than none."
    raise error


def _check(folder: Path, found: dict[str, FilesByClass], classes: tuple[str, ...]) -> None:
    if not classes:
        raise UserError(f"`data` {folder}: no images found; {_instead(folder)}")
    if len(classes) == 1:
        inside = _subfolders(folder / classes[0]) if (folder / classes[0]).is_dir() else []
        hint = f"; did you mean `data` {folder / classes[0]}?" if len(inside) > 1 else ""
        raise UserError(
            f"`data` {folder}: only one class ({classes[0]}) has images; a classifier needs at least two{hint}"
        )
    for part in ("train", "valid"):
        if part in found and not any(found[part].values()):
            raise UserError(f"`data` {folder}: the {part} folder has no images")
    untrained = [c for c in classes if "train" in found and not found["train"].get(c)]
    if untrained:
        near = difflib.get_close_matches(untrained[0], [c for c in classes if c not in untrained], n=1)
        hint = f"; is it {near[0]}?" if near else ""
        raise UserError(f"`data` {folder}: class {untrained[0]} has no training images{hint}")
    if all(len(files) < 2 for files in found.get("all", {"": ["several"] * 2}).values()):
        raise UserError(f"`data` {folder}: one image per class leaves none for validation")


def _instead(folder: Path) -> str:
    "What the folder holds instead of folders with images."
    loose = sum(_is_image(f.name) for f in folder.iterdir())
    if loose:
        return f"its {loose} images lie outside class folders; put those of each class into a folder of their own"
    others = Counter(os.path.splitext(name)[1].lower() for _, _, names in os.walk(folder) for name in names)
    suffix, count = others.most_common(1)[0] if others else ("", 0)
    seen = f"it has {count} {printable(suffix)} files; " if suffix else ""
    return f"{seen}expected one folder per class with {', '.join(sorted(SUFFIXES))} files"


def _left_out(folder: Path, found: dict[str, FilesByClass], classes: tuple[str, ...]) -> list[str]:
    remarks = []
    empty = sorted({c for by_class in found.values() for c in by_class} - set(classes))
    if empty:
        remarks.append(f"{some(empty)} {'has' if len(empty) == 1 else 'have'} no images and is no class")
    loose = [f for where in _parts(folder).values() for f in sorted(where.iterdir()) if _is_image(f.name)]
    if loose:
        remarks.append(f"{len(loose)} images outside the class folders are left out ({printable(loose[0].name)}, ...)")
    return remarks


def some(names: list[str], most: int = 3) -> str:
    'The first few names and how many more: "a, b, c and 7 more".'
    more = len(names) - most
    return ", ".join(map(printable, names[:most])) + (f" and {more} more" if more > 0 else "")
