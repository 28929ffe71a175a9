"""Words for people: safe names, plurals, percentages, tables for the terminal. And the paths that they type."""

import difflib
import math
import re
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lrlab.recipes.kitchen.errors import UserError

_NUMBER = r"[-+]?[\d.,]+(e[-+]?\d+)?( ?%)?|-|"  # what a table aligns at the right
_FRAME = re.compile(r'^  File "(.+)", line (\d+), in (.+)\n(?:    .*\n)*', re.MULTILINE)  # in a printed traceback
_JOINERS = "\u200c\u200d"  # They join letters, within emoji and in the scripts of Asia, and do nothing else.


def printable(text) -> str:
    """`text` on one line, with each control, direction or undecodable character replaced by U+FFFD.

    File and class names may hold line breaks, terminal escape sequences, characters that reverse the writing
    direction, and bytes that are not UTF-8. The result is safe on a terminal and in a CSV file.

    >>> printable("new\\nline \\x1b[2J")
    'new line �[2J'
    """
    text = " ".join(str(text).split())
    return "".join(c if c.isprintable() or c in _JOINERS else "\ufffd" for c in text)


def printable_json(value):
    "Apply `printable` to every string in a JSON value, keys included."
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): printable_json(item) for key, item in value.items()}
    return [printable_json(item) for item in value] if isinstance(value, list) else value


def typed_path(path: Any) -> Path:
    "A path as a user types it: `~` is the home folder. Raises UserError for the home folder of nobody."
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{path}: there is no such home folder") from None


def import_name(path: Path) -> tuple[Path, str]:
    "The folder that a file is imported from, and its name there: `mine.train` if the file is in a package `mine`."
    folder, name = path.parent, path.stem
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        folder, name = folder.parent, f"{folder.name}.{name}"
    return folder, name


def shorten(text, length: int = 60) -> str:
    "`text` on one line of at most `length` characters."
    text = " ".join(str(text).split())
    return text if len(text) <= length else text[: length - 1] + "…"


def first_line(error: BaseException, length: int = 300) -> str:
    "What an exception says, in the first line; its type if it says nothing."
    return printable((str(error).strip() or type(error).__name__).splitlines()[0])[:length]


def described(error: BaseException, length: int = 300) -> str:
    "The type of an exception and all that it says, on one line."
    _, kind, said = raised(error)
    return f"{kind}: {' '.join(said.split())[:length] or 'no message'}"


def raised(error: BaseException) -> tuple[list[traceback.FrameSummary], str, str]:
    """Where an exception was raised, its type, and what it says.

    Of one in a worker process of a DataLoader torch passes on the traceback as a text, which is read here. Backticks
    become quotes, because in a message they mark an argument, which the command line shows as an option.
    """
    said = str(error).replace("`", "'")
    if not re.match(r"Caught \w+ in .*worker process", said):
        return list(traceback.extract_tb(error.__traceback__)), type(error).__name__, said
    frames = list(_FRAME.finditer(said))
    kind, _, words = said[frames[-1].end() :].strip().partition(": ")
    found = [traceback.FrameSummary(file, int(line), name) for file, line, name in (frame.groups() for frame in frames)]
    return found, kind.rpartition(".")[2], words


def did_you_mean(word: str, known: Iterable[str], n: int = 1, cutoff: float = 0.6) -> str:
    """The end of an error message: the nearest known words, or nothing.

    >>> did_you_mean("cosin", ["cosine", "linear"])
    '; did you mean cosine?'
    """
    near = list(dict.fromkeys(difflib.get_close_matches(word, list(known), n=n, cutoff=cutoff)))
    return f"; did you mean {' or '.join(near)}?" if near else ""


def name_some(names: Sequence[str], count: int = 3) -> str:
    """The first few names, and how many more there are.

    >>> name_some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = len(names) - count
    return ", ".join(map(printable, names[:count])) + (f" and {more} more" if more > 0 else "")


def plural(n: int, one: str, several: str = "") -> str:
    """A number and its noun, or more words that depend on it; `several` (default: `one` with an s) is for all but 1.

    >>> plural(1, "epoch"), plural(2, "epoch"), plural(1000, "row has no label", "rows have no label")
    ('1 epoch', '2 epochs', '1,000 rows have no label')
    """
    return f"{n:,} {one if n == 1 else several or one + 's'}"


def list_epochs(budgets: Sequence[int]) -> str:
    """
    >>> list_epochs([1]), list_epochs([3, 6, 12])
    ('1 epoch', '3, 6 and 12 epochs')
    """
    return f"{listed(budgets)} epochs" if len(budgets) > 1 else plural(budgets[0], "epoch")


def percent(mean: float | None, low: float = math.nan, high: float = math.nan, sign: str = "") -> str:
    """Fractions as percent, or differences of fractions as points with `sign="+"`.

    An unknown interval is omitted. No end of an interval is beyond what a fraction or a difference can be.

    >>> percent(0.971, 0.96, 1.02), percent(-0.0002, sign="+"), percent(math.nan)
    ('97.1 (96.0 to 100.0)', '+0.0', '-')
    """
    if mean is None or math.isnan(mean):
        return "-"
    least = -1.0 if sign else 0.0
    shown, *ends = (f"{round(100 * value, 1) + 0.0:{sign}.1f}" for value in (mean, max(low, least), min(high, 1.0)))
    return shown if math.isnan(low) else f"{shown} ({ends[0]} to {ends[1]})"


def show_share(share: float, digits: int = 1) -> str:
    """
    >>> show_share(0.875), show_share(0.25, 0)
    ('87.5 %', '25 %')
    """
    return f"{100 * share:.{digits}f} %"


def listed(words: Iterable) -> str:
    """
    >>> listed(["cosine"]), listed([1, 2, 4])
    ('cosine', '1, 2 and 4')
    """
    *others, last = map(str, words)
    return f"{', '.join(others)} and {last}" if others else last


def text_table(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows of equal keys as aligned columns, the keys above a rule. Numbers are right-aligned, text is left-aligned.

    >>> print(text_table([{"schedule": "cosine", "n": 3}, {"schedule": "one_cycle", "n": 12}]))
    schedule    n
    -------------
    cosine      3
    one_cycle  12
    """
    columns = list(rows[0])
    cells = [[str(row[column]) for column in columns] for row in rows]
    widths = [max(len(c), *(len(line[i]) for line in cells)) for i, c in enumerate(columns)]
    right = [all(re.fullmatch(_NUMBER, line[i]) for line in cells) for i in range(len(columns))]

    def line(parts: Sequence[str]) -> str:
        aligned = (f"{part:>{w}}" if r else f"{part:<{w}}" for part, w, r in zip(parts, widths, right, strict=True))
        return "  ".join(aligned).rstrip()

    return "\n".join([line(columns), "-" * (sum(widths) + 2 * len(widths) - 2), *map(line, cells)])
