"""Images whose labels stand in a table, in the names of their files, or in one folder for each split."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from lrlab.recipes.kitchen.data.decode import SUFFIXES
from lrlab.recipes.kitchen.data.image_folder import images_below, list_splits
from lrlab.recipes.kitchen.data.image_set import Card, ImageSet
from lrlab.recipes.kitchen.data.label_table import (
    YES,
    Columns,
    Table,
    choose_columns,
    read_split,
    read_table,
    without_header,
)
from lrlab.recipes.kitchen.data.listing import WHOLE, Listing, load_listing
from lrlab.recipes.kitchen.data.split_folders import differ_in_split_only, split_name
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.image_source import ImageSource, check_pattern
from lrlab.recipes.kitchen.text import name_some, printable, shorten

MOST_MISSING = 0.5  # of the rows, before their files are taken to be elsewhere
MOST_CLASSES = 0.5  # of the images, before labels are taken for numbers or names that are no classes
SEVERAL_AT_ONCE = 3  # times as many combinations of words as words: the words are the labels

Found = dict[Path, tuple[str, str]]  # file -> its label and its split, or WHOLE


def load_source(source: ImageSource, size: int, cache: bool) -> ImageSet:
    "The images of `source`. Raises UserError for a table, a pattern or a folder that does not label them."
    if source.train:
        splits = {
            name: _folder(getattr(source, name), name) for name in ("train", "valid", "test") if getattr(source, name)
        }
        if "valid" not in splits:
            splits["valid"] = splits.pop("test")
        root = splits["train"]
        return _load(source, list_splits(root, splits), Path(root.anchor), root, size, cache)
    if source.labels:
        table, columns = find_table(source.labels)
        root = _folder(source.data, "data") if source.data else table.parent
        return _load(source, list_table(table, columns, root), root, root, size, cache)
    root = _folder(str(source.data), "data")
    return _load(source, list_by_pattern(root, check_pattern(str(source.label_re))), root, root, size, cache)


def _load(source: ImageSource, listing: Listing, root: Path, shown: Path, size: int, cache: bool) -> ImageSet:
    title, where = printable(shown.resolve().name), printable(shown.resolve())
    card = Card(title, where, "the owner's", options=_absolute(source))
    return load_listing(printable(source), listing, root, card, None, size, cache)


def _absolute(source: ImageSource) -> dict[str, str]:
    "The options of the source, with paths that hold in any working directory."
    options = source.given()
    for name in {"train", "valid", "test"} & set(options):
        options[name] = printable(_folder(options[name], name))
    if source.labels:
        table, columns = find_table(source.labels)
        options["labels"] = printable(f"{table}:{','.join(columns)}" if columns else table)
    return options


def _folder(name: str, argument: str) -> Path:
    path = Path(name).expanduser().absolute()
    if not path.is_dir():
        raise UserError(f"`{argument}` {name}: {'a file, not' if path.exists() else 'there is no'} such folder")
    return path


def find_table(text: str) -> tuple[Path, list[str]]:
    "The table and the columns of `labels.csv:file,label`; no columns where they are to be recognised."
    path = Path(text).expanduser()
    if path.is_file():
        return path.absolute(), []
    file, colon, columns = text.rpartition(":")
    if colon and Path(file).expanduser().is_file():
        named = [column.strip() for column in columns.split(",")]
        if len(named) == 2 and all(named):
            return Path(file).expanduser().absolute(), named
        raise UserError(f"`labels` {text}: expected two columns after the colon, such as {file}:file,label")
    raise UserError(f"`labels` {text}: there is no such file")


def list_table(file: Path, asked: Sequence[str], root: Path) -> Listing:
    """The images that the table labels; `asked` names its columns of files and of labels, or nothing.

    A column is_valid or split is honoured. Raises UserError if the table does not fit the folder, or holds no classes.
    """
    files = FileIndex(root)
    if not files.paths:
        raise UserError(f"`labels` {file}: there are no images below {root}; name their folder with `data`")
    table = without_header(read_table(file), files.has)
    columns = choose_columns(table, files.has, asked)
    splits = read_split(table, columns.split) if columns.split else [WHOLE] * len(table.rows)
    labels = _labels(table, columns)
    found, remarks = _matched(table, zip(table.column(columns.file), labels, splits, strict=True), files, columns)
    if columns.split is None:
        found = _with_folder_splits(root, found)
    elif not {"train"} < {split for _, split in found.values()}:
        raise UserError(f"`labels` {file}: column {columns.split} names no images to train on, or none to validate on")
    _check_classes(f"`labels` {file}: {columns.labels[0]}", found, f"`labels` {file.name}:file,label")
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
        file's. Another suffix is accepted where no image has the one of the name.
        """
        parts = [part for part in re.split(r"[/\\]", _key(name.strip())) if part not in ("", ".")]
        if not parts:
            return []
        *above, last = parts
        stem = PurePosixPath(last).stem if PurePosixPath(last).suffix in SUFFIXES else None
        for candidates in (self._by_name.get(last), self._by_stem.get(last), self._by_stem.get(stem or "")):
            agreement = {path: self._agreement(path, above) for path in candidates or ()}
            best = max(agreement.values(), default=-1)
            if best >= 0:
                return _same_case([path for path, n in agreement.items() if n == best], name)
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


def _same_case(paths: list[Path], name: str) -> list[Path]:
    "Of several images, those that are written as in `name`."
    written = PurePosixPath(name.strip().replace("\\", "/")).name
    same = [path for path in paths if unicodedata.normalize("NFC", path.name).startswith(written)]
    return same if len(paths) > 1 and same else paths


def _matched(
    table: Table, cells: Iterable[tuple[str, str, str]], files: FileIndex, columns: Columns
) -> tuple[Found, list[str]]:
    "The image of every row that has one and a label, and remarks on the other rows."
    found: Found = {}
    missing, unlabelled = [], 0
    for name, label, split in cells:
        paths = _in_split_of_table(files.find(name), table.file, files.root)
        if not paths:
            missing.append(name)
        elif len(paths) > 1:
            shown = " or ".join(printable(path.relative_to(files.root)) for path in paths[:2])
            raise UserError(f"`labels` {table.file}: {printable(name)} may be {shown}; choose one folder as `data`")
        elif not label:
            unlabelled += 1
        else:
            known = found.setdefault(paths[0], (label, split))
            _check_repeated(table, name, known, (label, split))
    _check_missing(table, columns, missing, files)
    repeated = len(table.rows) - len(missing) - unlabelled - len(found)
    counts = {
        f"rows of {table.file.name} name no image and are excluded ({name_some(missing)})": len(missing),
        f"rows of {table.file.name} have no label and are excluded": unlabelled,
        f"rows of {table.file.name} repeat an image": repeated,
        f"images are not in {table.file.name} and are excluded": len(set(files.paths) - set(found)),
    }
    return found, [f"{count} {what}" for what, count in counts.items() if count]


def _check_repeated(table: Table, name: str, known: tuple[str, str], new: tuple[str, str]) -> None:
    if known[0] != new[0]:
        raise UserError(
            f"`labels` {table.file}: {printable(name)} has two labels, {known[0]} and {new[0]}; images with several "
            "labels need your own Learner (`learner`)"
        )
    if known[1] != new[1]:
        raise UserError(f"`labels` {table.file}: {printable(name)} is both in {known[1]} and in {new[1]}")


def _check_missing(table: Table, columns: Columns, missing: list[str], files: FileIndex) -> None:
    example = printable(files.paths[0].relative_to(files.root))
    if len(missing) == len(table.rows):
        begins = printable(next(filter(None, missing), ""))
        raise UserError(
            f"`labels` {table.file}: no column names images below {files.root}; {columns.file} begins with {begins}, "
            f"and an image there is {example}"
        )
    if len(missing) > MOST_MISSING * len(table.rows):
        raise UserError(
            f"`labels` {table.file}: {len(missing)} of {len(table.rows)} rows name no image below {files.root} "
            f"({name_some(missing, 2)}); name the folder of the images with `data`"
        )


def _in_split_of_table(paths: list[Path], table: Path, root: Path) -> list[Path]:
    "Of images with one name, those in the split that the table is named after: train.csv is about train/1.jpg."
    split = split_name(table.stem)
    same = [path for path in paths if split in map(split_name, path.relative_to(root).parts[:-1])] if split else []
    return same if len(paths) > 1 and same else paths


def _labels(table: Table, columns: Columns) -> list[str]:
    "The label of every row, empty if it has none. Raises UserError if a row has several."
    if len(columns.labels) > 1:
        return [_only_yes(table, columns.labels, row) for row in table.rows]
    column = columns.labels[0]
    labels = [printable(re.sub(r"^(-?\d+)\.0$", r"\1", cell)) for cell in table.column(column)]
    separator = separator_of_labels(labels)
    if separator:
        example = shorten(next(label for label in labels if separator in label))
        raise UserError(
            f"`labels` {table.file}: {column} holds several labels for an image ({example}); such images need your own "
            "Learner (`learner`)"
        )
    return labels


def _only_yes(table: Table, columns: Sequence[str], row: list[str]) -> str:
    chosen = [name for name in columns if row[table.columns.index(name)].lower() in YES]
    if len(chosen) > 1:
        raise UserError(
            f"`labels` {table.file}: an image has several labels, {chosen[0]} and {chosen[1]}; such images need your "
            "own Learner (`learner`)"
        )
    return printable(chosen[0]) if chosen else ""


def separator_of_labels(labels: Sequence[str]) -> str | None:
    """What separates several labels in one cell; None if every cell is one label.

    A bar or a semicolon always does. A comma or a space may belong to a name (golden retriever): it separates labels
    if each of the parts is a label by itself too, or if few words make many combinations.

    >>> separator_of_labels(["cat", "dog", "cat dog"]), separator_of_labels(["red apple", "red pear", "kiwi"])
    (' ', None)
    """
    distinct = set(labels)
    for separator in "|;, ":
        parts = [{word.strip() for word in label.split(separator)} - {""} for label in distinct]
        combined = [words for words in parts if len(words) > 1]
        words = set().union(*combined)
        many = len(words) * SEVERAL_AT_ONCE < len(combined)
        if combined and (separator in "|;" or many or words <= distinct):
            return separator
    return None


def _with_folder_splits(root: Path, found: Found) -> Found:
    "The split of every image from its first folder, if those folders differ in the split only, as train/ and val/."
    top_of = {path: Path(path.relative_to(root).parts[0]) for path in found}
    split_of = {top: split_name(top.name) for top in set(top_of.values()) if top.name}
    named = {split for split in split_of.values() if split}
    if len(named) < len(set(split_of.values())) or not {"train"} < named or not differ_in_split_only(list(split_of)):
        return found
    return {path: (label, str(split_of[top_of[path]])) for path, (label, _) in found.items()}


def _check_classes(subject: str, found: Found, advice: str) -> None:
    "Raise UserError where the labels are one class alone, or numbers and names that are no classes."
    counts = Counter(label for label, _ in found.values())
    if len(counts) < 2:
        raise UserError(f"{subject} holds {len(counts)} class; a classifier needs at least two")
    if len(counts) > MOST_CLASSES * len(found):
        raise UserError(
            f"{subject} holds {len(counts)} different values for {len(found)} images, which are no classes; name the "
            f"columns: {advice}"
        )


def _listing(subject: str, found: Found, remarks: Sequence[str]) -> Listing:
    "Raises UserError if a class has no training images. Test images alone are what there is to validate on."
    labels, splits = map(list, zip(*found.values(), strict=True))
    classes = tuple(sorted(set(labels), key=_order))
    trained = {label for label, split in found.values() if split in ("train", WHOLE)}
    untrained = [name for name in classes if name not in trained]
    if untrained:
        raise UserError(f"{subject}: class {untrained[0]} has no training images")
    if "valid" not in splits:
        splits = ["valid" if split == "test" else split for split in splits]
    return Listing(list(found), labels, splits, classes, tuple(remarks))


def _order(label: str) -> tuple[int, int, str]:
    "Numbers by their size, then words."
    return (0, int(label), label) if label.isdecimal() and len(label) < 10 else (1, 0, label)


def list_by_pattern(root: Path, pattern: re.Pattern) -> Listing:
    "The images whose name, or path below `root`, the pattern matches; its first group is the label."
    found: Found = {}
    others = []
    for file in FileIndex(root).paths:
        path = file.relative_to(root).as_posix()
        match = pattern.search(file.name) or pattern.search(path)
        if match and match[1]:
            found[file] = printable(match[1]), WHOLE
        else:
            others.append(path)
    shown = f"`label_re` {pattern.pattern}"
    if not found:
        example = f", such as {printable(others[0])}" if others else ""
        raise UserError(f"{shown}: it matches none of the {len(others)} images below {root}{example}")
    counts = Counter(label for label, _ in found.values())
    if len(counts) < 2:
        raise UserError(
            f"{shown}: every image has the label {next(iter(counts))}; a classifier needs at least two classes"
        )
    if max(counts.values()) == 1:
        raise UserError(
            f"{shown}: every image has a label of its own, such as {next(iter(counts))}; one class needs several"
        )
    excluded = f"{len(others)} images do not match the pattern and are excluded ({name_some(others)})"
    return _listing(shown, _with_folder_splits(root, found), (excluded,) if others else ())
