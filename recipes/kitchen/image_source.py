"""Where images and their labels come from, as a user names them. Imports nothing heavy."""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import shorten


@dataclass(frozen=True)
class ImageSource:
    """A folder whose labels stand in a table or in the names of its files, or folders for each split.

    `labels` is a table, optionally with its columns: labels.csv:file,label. `label_re` is a pattern for the names of
    the files, whose first group is the label. `train`, `valid` and `test` are folders with one folder per class.
    """

    data: str | None = None
    labels: str | None = None
    label_re: str | None = None
    train: str | None = None
    valid: str | None = None
    test: str | None = None

    def __str__(self) -> str:
        "The folder, or that of the training images."
        if self.train:
            return self.train
        return self.data or str(Path(str(self.labels)).parent)

    @property
    def folders(self) -> list[str]:
        "Where the images are: one folder, or one for each split."
        named = [self.train, self.valid, self.test] if self.train else [str(self)]
        return [name for name in named if name]

    def given(self) -> dict[str, str]:
        "The options that are set, but for `data`."
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if value is not None and name != "data"}


OPTIONS = tuple(f.name for f in fields(ImageSource) if f.name != "data")


def image_source(data: Any, **options: str | None) -> Any:
    """`data` itself, or an ImageSource if one of the `options` (labels, label_re, train, valid, test) is given.

    Raises UserError for options that contradict each other.
    """
    given = {name: str(value) for name, value in options.items() if value is not None}
    if not given or isinstance(data, ImageSource):
        return data
    folders = [name for name in ("train", "valid", "test") if name in given]
    if folders and data is not None:
        raise UserError(f"`data` {shorten(data)}: `{folders[0]}` names another folder; leave out one of them")
    if folders and not ("train" in given and ("valid" in given or "test" in given)):
        raise UserError(f"`{folders[0]}` {given[folders[0]]}: expected `train` and `valid`, a folder each")
    if len({"labels", "label_re"} & set(given)) + bool(folders) > 1:
        first, second = list(given)[:2]
        raise UserError(f"`{first}` and `{second}` are two ways to label images; choose one")
    if "label_re" in given:
        if data is None:
            raise UserError("`label_re` needs `data`, the folder of the images")
        check_pattern(given["label_re"])
    return ImageSource(None if data is None else str(data), **given)


def check_pattern(pattern: str) -> re.Pattern:
    "The compiled pattern. Raises UserError unless it is a regular expression with a group for the label."
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(f"`label_re` {shorten(pattern)}: no regular expression ({error})") from error
    if not compiled.groups:
        raise UserError(f"`label_re` {shorten(pattern)}: expected a group for the label, such as ^(.+)_\\d+")
    return compiled
