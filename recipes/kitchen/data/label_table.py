"""A table of file names and labels as text (csv, tsv): its cells, and which column holds what.

Tables come with every separator, encoding and header. What is recognised is used; what is not is asked about.
"""

import csv
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lrlab.recipes.kitchen.data.split_folders import split_name
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import did_you_mean, name_some, printable, shorten

SEPARATORS = (",", ";", "\t", "|")  # and spaces, where there is none of these
TRIED = 20  # rows that tell the separator
SAMPLED = 200  # rows that tell which column holds the file names
LEAST_FOUND = 0.05  # of the sampled rows name an image, in a column of file names
# Headers in lower case, letters and digits alone; the best first.
FILES = tuple(
    "filename file filepath imagefile imagefilename imagepath imagename path filenames image images img imgname "
    "imgpath fname imageid imgid photo picture name id".split()
)
LABELS = tuple(
    "label labels class classname classlabel labelname category categoryname target classid labelid categoryid species "
    "breed diagnosis dx tag tags y".split()
)
IS_VALID = ("isvalid", "isval", "isvalidation", "valid")
SPLIT = ("split", "set", "subset", "partition", "usage", "dataset", "part", "phase", "fold", "splitname")
SEVERAL_AT_ONCE = 3  # times as many combinations of words as words: the words are the labels
NEED_OWN_LEARNER = "images with several labels need your own Learner (`learner`)"
YES, NO = {"1", "1.0", "true", "t", "yes", "y"}, {"0", "0.0", "false", "f", "no", "n"}


def bad_table(file: Path, says: str) -> UserError:
    return UserError(f"`labels` {file}: {says}")


@dataclass(frozen=True)
class Table:
    "Cells of a table as text, and the name of every column: that of the header, or its number."

    file: Path
    columns: tuple[str, ...]
    rows: list[list[str]]

    def column(self, name: str) -> list[str]:
        position = self.columns.index(name)
        return [row[position] for row in self.rows]

    def error(self, says: str) -> UserError:
        return bad_table(self.file, says)


@dataclass(frozen=True)
class Columns:
    "What each column of a table is. Several `labels` hold a 1 in the column of the row's class, and zeros."

    file: str
    labels: tuple[str, ...]
    split: str | None = None


def read_table(file: Path, is_file: Callable[[str], bool]) -> Table:
    """Read a table. Its first row is the header, unless it names an image and no kind of column.

    Raises UserError for what is no table of at least two columns.
    """
    text = _read_text(file)
    try:
        lines = list(csv.reader(text.splitlines(keepends=True), delimiter=_separator(text), skipinitialspace=True))
    except csv.Error as error:
        raise bad_table(file, f"cannot be read as a table ({error})") from error
    rows = [
        [unicodedata.normalize("NFC", cell.strip()) for cell in line] for line in lines if any(map(str.strip, line))
    ]
    if not rows:
        raise bad_table(file, "cannot be read as a table (the file is empty)")
    width = len(rows[0])
    if width < 2:
        raise bad_table(file, "expected a header and rows with a column of files and a column of labels")
    for number, row in enumerate(rows, 1):
        if any(row[width:]):
            has = f"row {number} has {len(row)} cells and the first row has {width}"
            raise bad_table(file, f"{has}; put what holds the separator in quotes")
    first, *others = ((row + [""] * width)[:width] for row in rows)
    if any(map(is_file, first)) and not {_plain(name) for name in first} & {*FILES, *LABELS}:
        return Table(file, tuple(str(i + 1) for i in range(width)), [first, *others])
    if not others:
        raise bad_table(file, f"there are no rows below the header ({name_some(first, 12)})")
    return Table(file, tuple(first), others)


def choose_columns(table: Table, is_file: Callable[[str], bool], asked: Sequence[str] = ()) -> Columns:
    """Which columns of `table` hold the file names, the labels and the split; `asked` names the first two.

    A column of file names is known by its name and by its cells. Raises UserError where several may hold the labels.
    """
    split = _split_column(table, asked)
    if asked:
        return Columns(_find(table, asked[0]), (_find(table, asked[1]),), split)
    rest = [name for name in table.columns if name != split]
    file = _file_column(table, rest, is_file)
    rest = [name for name in rest if name != file]
    label = next((name for known in LABELS for name in rest if _plain(name) == known), None)
    if label is not None or len(rest) == 1:
        return Columns(file, (label or rest[0],), split)
    if len(rest) > 1 and all({cell.lower() for cell in table.column(name)} <= YES | NO for name in rest):
        return Columns(file, tuple(rest), split)
    example = f"{table.file}:{file},{rest[0]}" if rest else f"{table.file}:NAME,LABEL"
    which = f"which column holds the labels ({name_some(rest, 8) or 'no other column'})?"
    raise table.error(f"{which} Name those of the files and the labels: `labels` {printable(example)}")


def read_split(table: Table, column: str) -> list[str]:
    """The split of every row, "train", "valid" or "test", from a column of words or of yes and no.

    Raises UserError for a word that names no split.
    """
    cells = table.column(column)
    if _plain(column) in IS_VALID:
        expected, split_of = "True or False", {**dict.fromkeys(YES, "valid"), **dict.fromkeys([*NO, ""], "train")}
        found = [split_of.get(cell.lower()) for cell in cells]
    else:
        expected, found = "train, valid or test", [split_name(cell) for cell in cells]
    if None in found:
        unknown = shorten(cells[found.index(None)]) or "an empty cell"
        raise table.error(f"{unknown} in the column {column}; expected {expected}")
    return [split for split in found if split]


def read_labels(table: Table, columns: Columns) -> list[str]:
    "The label of every row, empty if it has none. Raises UserError if a row has several."
    if len(columns.labels) > 1:
        at = [table.columns.index(name) for name in columns.labels]
        chosen = [[table.columns[i] for i in at if row[i].lower() in YES] for row in table.rows]
        several = next((names for names in chosen if len(names) > 1), None)
        if several:
            raise table.error(f"an image has several labels, {several[0]} and {several[1]}; {NEED_OWN_LEARNER}")
        return [printable(names[0]) if names else "" for names in chosen]
    column = columns.labels[0]
    labels = [printable(re.sub(r"^(-?\d+)\.0$", r"\1", cell)) for cell in table.column(column)]
    separator = separator_of_labels(labels)
    if separator:
        example = shorten(next(label for label in labels if separator in label))
        raise table.error(f"{column} holds several labels for an image ({example}); {NEED_OWN_LEARNER}")
    return labels


def other_labels(table: Table, columns: Columns) -> list[str]:
    "Columns that are called like labels and divide the rows in another way than the one that was chosen."
    chosen = table.column(columns.labels[0])
    others = [name for name in table.columns if _plain(name) in LABELS and name not in columns.labels]
    return [name for name in others if name != columns.file and not _is_renamed(chosen, table.column(name))]


def _is_renamed(one: Sequence[str], other: Sequence[str]) -> bool:
    "Whether the values are the same but for their names, such as 0, 1 and cat, dog."
    return len(set(one)) == len(set(other)) == len(set(zip(one, other, strict=True)))


def decimal_number(labels: set[str]) -> str | None:
    """One of the labels with decimals, if all of them are numbers: they are to be predicted, not classes.

    >>> decimal_number({"0.5", "1", "2.25"}), decimal_number({"0", "1"}), decimal_number({"0.5", "v1.2"})
    ('0.5', None, None)
    """
    if not all(re.fullmatch(r"-?\d*\.?\d+(e[-+]?\d+)?", label, re.IGNORECASE) for label in labels):
        return None
    return next((label for label in sorted(labels) if float(label) % 1), None)


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


def _split_column(table: Table, asked: Sequence[str]) -> str | None:
    "A column named like one that holds the split. One without any word for a split, such as fold 0 to 4, is none."
    for name in table.columns:
        cells = set() if name in asked else set(table.column(name))
        if _plain(name) in IS_VALID and {cell.lower() for cell in cells} & (YES | NO):
            return name
        if _plain(name) in SPLIT and any(map(split_name, cells)):
            return name
    return None


def _file_column(table: Table, names: Sequence[str], is_file: Callable[[str], bool]) -> str:
    "The column whose cells name images; of several, the one that is called so, or that differs most from row to row."
    step = max(1, len(table.rows) // SAMPLED)

    def rank(name: str) -> tuple:
        cells = table.column(name)[::step]
        share = sum(map(is_file, cells)) / max(1, len(cells))
        plain = _plain(name)
        known = len(FILES) - FILES.index(plain) if plain in FILES else -1 if plain in LABELS else 0
        return share > LEAST_FOUND, known, len(set(cells)), share

    return max(names, key=rank)


def _find(table: Table, asked: str) -> str:
    for name in table.columns:
        if asked == name or _plain(asked) == _plain(name) != "":
            return name
    hint = did_you_mean(asked, table.columns)
    raise table.error(f"there is no column {asked}; the columns are {name_some(table.columns, 12)}{hint}")


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _read_text(file: Path) -> str:
    "Decode UTF-8 with or without a byte-order mark, UTF-16 with one, or else the code page of Western Windows."
    try:
        content = file.read_bytes()
    except OSError as error:
        raise bad_table(file, f"cannot be read as a table ({error.strerror or error})") from error
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    if b"\0" in content or content[:2] == b"PK":
        raise bad_table(file, "cannot be read as a table (it is no text file; save it as csv)")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _separator(text: str) -> str:
    "The separator that gives every one of the first rows the most cells."
    lines = [line for line in text.splitlines() if line.strip()][:TRIED]

    def width(separator: str) -> int:
        try:
            return min((len(row) for row in csv.reader(lines, delimiter=separator) if row), default=0)
        except csv.Error:
            return 0

    best = max(SEPARATORS, key=width)
    return best if width(best) > 1 or width(" ") < 2 else " "
