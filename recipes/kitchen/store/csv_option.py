"""The option `csv`: a table in a file that the user names, or printed in place of the text."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lrlab.recipes.kitchen.errors import Refused, UserError
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.text import typed_path

PRINT = "-"  # in place of a file
TABLES = (".csv", ".tsv", ".txt")


def check_csv(csv: str | None, results: Sequence[Path] = ()) -> None:
    "Raise UserError for a file that could not be written, or that would take the place of no table or of a result."
    if csv in (None, PRINT):
        return
    file = typed_path(csv)
    if not file.parent.is_dir():
        raise UserError(f"`csv` {csv}: there is no folder {file.parent}")
    if file.is_dir():
        raise UserError(f"`csv` {csv}: a folder; expected the name of a file")
    if file.exists() and not (file.is_file() and file.suffix.lower() in TABLES):
        raise Refused(f"`csv` {csv}: this file is there and is no table; choose another name")
    if file.exists() and file.resolve().parent in [folder.resolve() for folder in results]:
        raise Refused(f"`csv` {csv}: this file is one of the results; choose another name")


def with_csv(text: str, name: str, table: pd.DataFrame, csv: str | None) -> str:
    "What is printed: the table alone, or `text` with the file that was written. `name` is what the table is called."
    if not csv:
        return text
    content = table.to_csv(index=False)
    if csv == PRINT:
        return content.rstrip("\n")
    write_atomically(typed_path(csv), content)
    return f"{text}\n{name}: {csv}"
