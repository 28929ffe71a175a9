"""Images whose labels stand in a table, in the names of their files, or in one folder for each split."""

import csv
import io
import re
from collections import Counter, defaultdict
from pathlib import Path

import pandas as pd

from lrlab.recipes.kitchen.data.decode import SUFFIXES
from lrlab.recipes.kitchen.data.image_folder import files_below, list_splits
from lrlab.recipes.kitchen.data.image_set import Card, ImageSet
from lrlab.recipes.kitchen.data.listing import WHOLE, Listing, load_listing
from lrlab.recipes.kitchen.data.split_folders import split_name
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.image_source import ImageSource, check_pattern
from lrlab.recipes.kitchen.text import name_some, printable

FILE_WORDS = ("file", "filename", "file_name", "image", "image_name", "image_file", "fname", "path", "filepath", "img")
MORE_FILE_WORDS = ("image_path", "image_id", "id", "name", "photo", "picture")
LABEL_WORDS = ("label", "labels", "class", "classes", "category", "target", "species", "breed", "diagnosis", "y", "tag")
SPLIT_WORDS = ("is_valid", "split", "set", "subset", "fold", "part", "valid")
DELIMITERS = ",;\t|"
SEVERAL = "|;,"  # between the labels of one image
MOST_MISSING = 0.5  # of the rows, before their files are taken to be elsewhere
MOST_CLASSES = 0.5  # of the images, before labels are taken for numbers or names that are no classes


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
    card = Card(printable(shown.resolve().name), printable(shown.resolve()), "the owner's")
    return load_listing(printable(source), listing, root, card, "horizontal", size, cache)


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


def read_table(file: Path) -> pd.DataFrame:
    "A table of text, whatever its separator. Raises UserError if it is none."
    try:
        raw = file.read_bytes()
        text = raw.decode("utf-8-sig") if _is_utf8(raw) else raw.decode("latin-1")
        head = "\n".join(text.splitlines()[:20])
        found = {d: head.splitlines()[0].count(d) for d in DELIMITERS} if head else {}
        separator = max(found, key=lambda d: found[d]) if any(found.values()) else ","
        table = pd.read_csv(
            io.StringIO(text), sep=separator, dtype=str, skipinitialspace=True, quoting=csv.QUOTE_MINIMAL
        )
    except (OSError, ValueError, pd.errors.ParserError, csv.Error) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"`labels` {file}: cannot be read as a table ({reason})") from error
    table.columns = [str(column).strip() for column in table.columns]
    if len(table.columns) < 2 or table.empty:
        raise UserError(f"`labels` {file}: expected a header and rows with a column of files and a column of labels")
    return table


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return True


def list_table(file: Path, columns: list[str], root: Path) -> Listing:
    "The images that the table labels. A column is_valid or split is honoured."
    table = read_table(file)
    for column in columns:
        if column not in table.columns:
            raise UserError(f"`labels` {file}: there is no column {column}; it has {', '.join(table.columns)}")
    files = FileIndex(root)
    file_column = columns[0] if columns else _file_column(file, table, files)
    rest = [column for column in table.columns if column != file_column]
    split_column = next((c for c in rest if c.lower() in SPLIT_WORDS and _splits(table[c])), None)
    rest = [column for column in rest if column != split_column]
    label_column = columns[1] if columns else _named(rest, LABEL_WORDS) or rest[0]
    rows, remarks = _matched(table, file_column, label_column, files, file)
    _check_labels(file, label_column, rows)
    splits = [WHOLE] * len(rows)
    if split_column:
        of_row = _splits(table[split_column])
        splits = [of_row[position] for position, _, _ in rows]
        if "train" not in splits or len(set(splits)) < 2:
            raise UserError(
                f"`labels` {file}: column {split_column} names no images to train on, or none to validate on"
            )
        if "valid" not in splits:
            splits = ["valid" if split == "test" else split for split in splits]
    labels = [label for _, _, label in rows]
    return Listing([path for _, path, _ in rows], labels, splits, tuple(sorted(set(labels))), tuple(remarks))


class FileIndex:
    "The images below a folder, found by a path, a name, or a name without its suffix."

    def __init__(self, root: Path):
        self.root = root
        self.paths = sorted(file for file in files_below(root) if file.suffix.lower() in SUFFIXES)
        self.by_end: dict[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            parts = path.relative_to(root).parts
            for start in range(len(parts)):
                end = "/".join(parts[start:])
                self.by_end[end].append(path)
                self.by_end[end[: -len(path.suffix)]].append(path)

    def find(self, name: str) -> Path | None:
        "The image that a table calls `name`; None if there is none, or several."
        end = name.strip().replace("\\", "/").removeprefix("./")
        direct = Path(end) if Path(end).is_absolute() else self.root / end
        if direct.suffix.lower() in SUFFIXES and direct.is_file():
            return direct
        parts = end.strip("/").split("/")
        for start in range(len(parts)):  # a path may begin above the folder
            found = self.by_end.get("/".join(parts[start:]), [])
            if len(found) == 1:
                return found[0]
        return None


def _named(columns: list[str], words: tuple[str, ...]) -> str | None:
    plain = {column.lower().replace(" ", "_"): column for column in reversed(columns)}
    return next((plain[word] for word in words if word in plain), None)


def _file_column(file: Path, table: pd.DataFrame, files: FileIndex) -> str:
    "The column whose values are files: of those with a usual name first, the one that names most of them."
    if not files.paths:
        raise UserError(f"`labels` {file}: there are no images below {files.root}; name their folder with `data`")
    head = table.head(200)
    hits = {c: sum(files.find(str(value)) is not None for value in head[c].dropna()) for c in table.columns}
    best = max(table.columns, key=lambda c: (hits[c], c.lower() in (*FILE_WORDS, *MORE_FILE_WORDS)))
    if hits[best]:
        return best
    named = _named(list(table.columns), (*FILE_WORDS, *MORE_FILE_WORDS)) or table.columns[0]
    example = next(iter(table[named].dropna()), "")
    raise UserError(
        f"`labels` {file}: no column names images below {files.root}; {named} begins with {printable(example)}, and an "
        f"image there is {printable(files.paths[0].relative_to(files.root))}"
    )


def _matched(
    table: pd.DataFrame, file_column: str, label_column: str, files: FileIndex, file: Path
) -> tuple[list[tuple[int, Path, str]], list[str]]:
    "Position, file and label of every row that has both, and remarks on the others."
    label_of: dict[Path, tuple[int, str]] = {}
    missing, unlabelled, repeated = [], 0, 0
    for position, (name, label) in enumerate(zip(table[file_column], table[label_column], strict=True)):
        path = None if pd.isna(name) else files.find(str(name))
        if path is None:
            missing.append(str(name))
        elif pd.isna(label) or not str(label).strip():
            unlabelled += 1
        else:
            text = printable(re.sub(r"^(-?\d+)\.0$", r"\1", str(label).strip()))
            known = label_of.setdefault(path, (position, text))
            repeated += known[0] != position
            if known[1] != text:
                raise UserError(
                    f"`labels` {file}: {printable(name)} has two labels, {known[1]} and {text}; images with several "
                    "labels need your own Learner (`learner`)"
                )
    if len(missing) > MOST_MISSING * len(table):
        raise UserError(
            f"`labels` {file}: {len(missing)} of {len(table)} rows name no image below {files.root} "
            f"({name_some(missing, 2)}); name the folder of the images with `data`"
        )
    counts = {
        f"rows of {file.name} name no image and are excluded ({name_some(missing)})": len(missing),
        f"rows of {file.name} have no label and are excluded": unlabelled,
        f"rows of {file.name} repeat an image": repeated,
        f"images are not in {file.name} and are excluded": len(set(files.paths) - set(label_of)),
    }
    remarks = [f"{count} {what}" for what, count in counts.items() if count]
    return [(position, path, text) for path, (position, text) in label_of.items()], remarks


def _check_labels(file: Path, column: str, rows: list[tuple[int, Path, str]]) -> None:
    "Raise UserError where the labels are several per image, numbers to predict, or one class alone."
    labels = [label for _, _, label in rows]
    counts = Counter(labels)
    for mark in SEVERAL:
        joined = [label for label in counts if mark in label]
        words = {word.strip() for label in joined for word in label.split(mark)}
        if joined and (words & set(counts) or len(words) < sum(len(label.split(mark)) for label in joined)):
            raise UserError(
                f"`labels` {file}: {column} holds several labels for an image ({printable(joined[0])}); such images "
                "need your own Learner (`learner`)"
            )
    if len(counts) < 2:
        raise UserError(f"`labels` {file}: {column} holds {len(counts)} class; a classifier needs at least two")
    if len(counts) > MOST_CLASSES * len(labels):
        raise UserError(
            f"`labels` {file}: {column} holds {len(counts)} different values for {len(labels)} images, which are no "
            f"classes; name the columns: `labels` {file.name}:file,label"
        )
    alone = [label for label, count in counts.items() if count == 1]
    if len(alone) == len(counts):
        raise UserError(f"`labels` {file}: one image per class leaves none for validation")


def _splits(values: pd.Series) -> list[str]:
    "The split of every row; none unless the column's values are yes and no for validation, or words for splits."
    words = values.fillna("").str.strip().str.lower()
    yes, no = {"true", "1", "1.0", "yes", "t", "y"}, {"false", "0", "0.0", "no", "f", "n", ""}
    if set(words) <= yes | no and values.name and "valid" in str(values.name).lower():
        return ["valid" if word in yes else "train" for word in words]
    found = [split_name(word) or "" for word in words]
    return found if all(found) else []


def list_by_pattern(root: Path, pattern: re.Pattern) -> Listing:
    "The images whose name, or path below `root`, the pattern matches; its first group is the label."
    files, labels, others = [], [], []
    for file in FileIndex(root).paths:
        path = file.relative_to(root).as_posix()
        match = pattern.search(file.name) or pattern.search(path)
        if match and match[1]:
            files.append(file)
            labels.append(printable(match[1]))
        else:
            others.append(path)
    shown = f"`label_re` {pattern.pattern}"
    if not files:
        example = f", such as {printable(others[0])}" if others else ""
        raise UserError(f"{shown}: it matches none of the {len(others)} images below {root}{example}")
    counts = Counter(labels)
    if len(counts) < 2:
        raise UserError(f"{shown}: every image has the label {labels[0]}; a classifier needs at least two classes")
    if max(counts.values()) == 1:
        raise UserError(f"{shown}: every image has a label of its own, such as {labels[0]}; one class needs several")
    excluded = f"{len(others)} images do not match the pattern and are excluded ({name_some(others)})"
    return Listing(files, labels, [WHOLE] * len(files), tuple(sorted(counts)), (excluded,) if others else ())
