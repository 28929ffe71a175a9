"""Images whose labels stand in a table, in the names of their files, or in one folder for each split."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import permutations
from pathlib import Path, PurePosixPath

from lrlab.recipes.kitchen.data.decode import SUFFIXES
from lrlab.recipes.kitchen.data.image_folder import images_below, list_splits
from lrlab.recipes.kitchen.data.image_set import Card, ImageSet
from lrlab.recipes.kitchen.data.label_table import (
    NEED_OWN_LEARNER,
    Table,
    bad_table,
    choose_columns,
    decimal_number,
    other_labels,
    read_labels,
    read_split,
    read_table,
)
from lrlab.recipes.kitchen.data.listing import SPLITS, WHOLE, Listing, load_listing
from lrlab.recipes.kitchen.data.split_folders import differ_in_split_only, split_name
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.image_source import ImageSource, check_pattern
from lrlab.recipes.kitchen.text import name_some, plural, printable, typed_path

MOST_MISSING = 0.5  # of the rows, before their files are taken to be elsewhere
MOST_CLASSES = 0.5  # of the images, before labels are taken for numbers or names that are no classes

Found = dict[Path, tuple[str, str]]  # file -> its label and its split, or WHOLE


def load_source(source: ImageSource, size: int, cache: bool, count: int | None = None) -> ImageSet:
    "The images of `source`. Raises UserError for a table, a pattern or a folder that does not label them."
    options = source.given()  # with paths that hold in any working directory
    if source.train:
        folders = {name: _folder(options[name], name) for name in SPLITS if name in options}
        _refuse_nested(folders)
        options |= {name: printable(folder) for name, folder in folders.items()}
        shown = folders["train"]
        root, listing = Path(shown.anchor), list_splits(shown, folders, option="train")
    elif source.labels:
        table, columns = find_table(source.labels)
        options["labels"] = printable(f"{table}:{','.join(columns)}" if columns else table)
        root = shown = _folder(source.data, "data") if source.data else table.parent
        listing = list_table(table, columns, root)
    else:
        root = shown = _folder(str(source.data), "data")
        listing = list_by_pattern(root, check_pattern(str(source.label_re)))
    card = Card(printable(shown.resolve().name), printable(shown.resolve()), "the owner's", options=options)
    return load_listing(printable(source), listing, root, card, None, size, cache, count)


def _folder(name: str, argument: str) -> Path:
    path = typed_path(name).absolute()
    if not path.is_dir():
        raise UserError(f"`{argument}` {name}: {'a file, not' if path.exists() else 'there is no'} such folder")
    return path


def _refuse_nested(folders: dict[str, Path]) -> None:
    "Raise UserError for a split that is another one, or lies within it, where it would be a class."
    for (name, inner), (other, outer) in permutations(folders.items(), 2):
        if inner.resolve() == outer.resolve():
            raise UserError(f"`{name}` {inner}: the same folder as `{other}`; expected one for each")
        if inner.resolve().is_relative_to(outer.resolve()):
            raise UserError(f"`{name}` {inner}: lies in `{other}`, where every folder is a class; move it out of there")


def find_table(text: str) -> tuple[Path, list[str]]:
    "The table and the columns of `labels.csv:file,label`; no columns where they are to be recognised."
    path = typed_path(text)
    if path.is_file():
        return path.absolute(), []
    file, colon, columns = text.rpartition(":")
    if not colon or not typed_path(file).is_file():
        raise UserError(f"`labels` {text}: there is no such file")
    named = [column.strip() for column in columns.split(",")]
    if len(named) != 2 or not all(named):
        raise UserError(f"`labels` {text}: expected two columns after the colon, such as {file}:file,label")
    return typed_path(file).absolute(), named


def list_table(file: Path, asked: Sequence[str], root: Path) -> Listing:
    """The images that the table labels; `asked` names its columns of files and of labels, or nothing.

    A column is_valid or split is honoured. Raises UserError if the table does not fit the folder, or holds no classes.
    """
    files = FileIndex(root)
    if not files.paths:
        raise bad_table(file, f"there are no images below {root}; name their folder with `data`")
    table = read_table(file, files.has)
    columns = choose_columns(table, files.has, asked)
    names = table.column(columns.file)
    splits = read_split(table, columns.split) if columns.split else [WHOLE] * len(names)
    found, remarks = _match(table, zip(names, read_labels(table, columns), splits, strict=True), files)
    if columns.split is None:
        found = _with_folder_splits(root, found)
    elif not {"train"} < {split for _, split in found.values()}:
        raise table.error(f"column {columns.split} names no images to train on, or none to validate on")
    count, held = len({label for label, _ in found.values()}), f"{columns.labels[0]} holds"
    if count < 2:
        raise table.error(f"{held} {count} class; a classifier needs at least two")
    decimal = None if asked else decimal_number({label for label, _ in found.values()})
    if decimal or count > MOST_CLASSES * len(found):
        values = f"numbers such as {decimal}" if decimal else f"{count} different values for {len(found)} images"
        raise table.error(
            f"{held} {values}, which are no classes"
            + (f"; name the columns: `labels` {file.name}:file,label" if not asked else "")
            + ". To predict numbers, make your own Learner (`learner`)"
        )
    if not asked:
        remarks += [
            f"the column {columns.labels[0]} holds the labels; for {other}, name {file.name}:{columns.file},{other}"
            for other in other_labels(table, columns)
        ]
    return _listing(f"`labels` {file}", found, remarks)


class FileIndex:
    "The images below a folder, found by a path, a name, or a name without its suffix, in any case."

    def __init__(self, root: Path):
        self.root = root
        self.paths = sorted(images_below(root))
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            self._by_name[_key(path.name)].append(path)
            self._by_stem[_key(path.stem)].append(path)

    def find(self, name: str) -> list[Path]:
        """The images that a table may mean by `name`.

        Its folders may begin above the root, or be missing at the front; those that are there must not contradict the
        file's. Another suffix is accepted where no image has the one of the name. Of several images, those that are
        written as in `name`.
        """
        written = PurePosixPath(unicodedata.normalize("NFC", name.strip().replace("\\", "/")))
        *above, last = [part for part in _key(str(written)).split("/") if part not in ("", ".")] or [""]
        stem = PurePosixPath(last).stem if PurePosixPath(last).suffix in SUFFIXES else ""
        for candidates in (self._by_name.get(last), self._by_stem.get(last), self._by_stem.get(stem)):
            agreement = {path: self._agreement(path, above) for path in candidates or ()}
            best = max(agreement.values(), default=-1)
            if best >= 0:
                paths = [path for path, n in agreement.items() if n == best]
                return [p for p in paths if unicodedata.normalize("NFC", p.name).startswith(written.name)] or paths
        return []

    def has(self, name: str) -> bool:
        return bool(self.find(name))

    def _agreement(self, path: Path, above: Sequence[str]) -> int:
        "How many folders of a name and of a file agree, counted from the end; -1 if they contradict each other."
        folders = [_key(part) for part in path.relative_to(self.root).parts[:-1]]
        n = min(len(above), len(folders))
        return n if list(above[len(above) - n :]) == folders[len(folders) - n :] else -1


def _key(text: str) -> str:
    "Names are compared in one case, and with an accented letter as one character."
    return unicodedata.normalize("NFC", text).casefold()


def _match(table: Table, rows: Iterable[tuple[str, str, str]], files: FileIndex) -> tuple[Found, list[str]]:
    "The image of every row (name, label, split) that has one and a label, and remarks on the other rows."
    found: Found = {}
    missing, unlabelled, named_after = [], [], split_name(table.file.stem)
    for name, label, split in rows:
        paths = files.find(name)
        if named_after:  # train.csv is about train/1.jpg, where test/1.jpg is there too
            paths = [p for p in paths if named_after in map(split_name, p.relative_to(files.root).parts[:-1])] or paths
        if not paths:
            missing.append(name)
        elif len(paths) > 1:
            shown = " or ".join(printable(path.relative_to(files.root)) for path in paths[:2])
            raise table.error(f"{printable(name)} may be {shown}; choose one folder as `data`")
        elif not label:
            unlabelled.append(paths[0])
        else:
            known_label, known_split = found.setdefault(paths[0], (label, split))
            if known_label != label:
                raise table.error(f"{printable(name)} has two labels, {known_label} and {label}; {NEED_OWN_LEARNER}")
            if known_split != split:
                raise table.error(f"{printable(name)} is both in {known_split} and in {split}")
    _check_missing(table, missing, files)
    repeated = len(table.rows) - len(missing) - len(unlabelled) - len(found)
    counts = [
        (len(missing), "row", f"of {table.file.name} without an image ({name_some(missing)})"),
        (len(unlabelled), "row", f"of {table.file.name} without a label"),
        (repeated, "row", f"of {table.file.name} with the image of another row"),
        (len({*files.paths} - {*found, *unlabelled}), "image", f"without a row in {table.file.name}"),
    ]
    return found, [f"excluded: {plural(count, noun)} {which}" for count, noun, which in counts if count]


def _check_missing(table: Table, missing: list[str], files: FileIndex) -> None:
    "Raise UserError if most rows, or all of them, name no image."
    if len(missing) == len(table.rows):
        example, begins = files.paths[0].relative_to(files.root), next(filter(None, missing), "")
        raise table.error(
            f"no column names images below {files.root}; the names begin with {printable(begins)}, and an image there "
            f"is {printable(example)}"
        )
    if len(missing) > MOST_MISSING * len(table.rows):
        raise table.error(
            f"{len(missing)} of {len(table.rows)} rows name no image below {files.root} ({name_some(missing, 2)}); "
            "name the folder of the images with `data`"
        )


def _with_folder_splits(root: Path, found: Found) -> Found:
    "The split of every image from its first folder, if those folders differ in the split only, as train/ and val/."
    top_of = {path: Path(path.relative_to(root).parts[0]) for path in found}
    split_of = {top: split_name(top.name) for top in set(top_of.values()) if top.name}
    named = {split for split in split_of.values() if split}
    if len(named) < len(set(split_of.values())) or not {"train"} < named or not differ_in_split_only(list(split_of)):
        return found
    return {path: (label, str(split_of[top_of[path]])) for path, (label, _) in found.items()}


def _listing(subject: str, found: Found, remarks: Sequence[str]) -> Listing:
    rows = ((file, label, split) for file, (label, split) in found.items())
    return Listing.of(subject, rows, remarks, _order)


def _order(label: str) -> tuple[int, int, str]:
    "Numbers by their size, then words."
    return (0, int(label), label) if label.isdecimal() and len(label) < 10 else (1, 0, label)


def list_by_pattern(root: Path, pattern: re.Pattern) -> Listing:
    "The images whose name, or path below `root`, the pattern matches; its first group is the label."
    found: Found = {}
    others = []
    for file in sorted(images_below(root)):
        path = file.relative_to(root).as_posix()
        match = pattern.search(file.name) or pattern.search(path)
        if match and match[1]:
            found[file] = printable(match[1]), WHOLE
        else:
            others.append(path)
    shown = f"`label_re` {pattern.pattern}"
    if not found:
        example = f", such as {printable(others[0])}" if others else ""
        raise UserError(f"{shown}: it matches no image below {root}{example}")
    counts = Counter(label for label, _ in found.values())
    first = next(iter(counts))
    if len(counts) < 2:
        raise UserError(f"{shown}: every image has the label {first}; a classifier needs at least two classes")
    if max(counts.values()) == 1:
        raise UserError(f"{shown}: every image has a label of its own, such as {first}; one class needs several")
    excluded = f"excluded: {plural(len(others), 'image')} that the pattern does not match ({name_some(others)})"
    return _listing(shown, _with_folder_splits(root, found), (excluded,) if others else ())
