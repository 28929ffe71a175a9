"""The option `csv`: a table in a file that the user names, or printed in place of the text."""

import pandas as pd

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.text import typed_path

PRINT = "-"  # in place of a file


def check_csv(csv: str | None) -> None:
    "Raise UserError for a file that could not be written."
    if csv in (None, PRINT):
        return
    file = typed_path(csv)
    if not file.parent.is_dir():
        raise UserError(f"`csv` {csv}: there is no folder {file.parent}")
    if file.is_dir():
        raise UserError(f"`csv` {csv}: a folder; expected the name of a file")


def with_csv(text: str, name: str, table: pd.DataFrame, csv: str | None) -> str:
    "What is printed: the table alone, or `text` with the file that was written. `name` is what the table is called."
    if not csv:
        return text
    content = table.to_csv(index=False)
    if csv == PRINT:
        return content.rstrip("\n")
    write_atomically(typed_path(csv), content)
    return f"{text}\n{name}: {csv}"
