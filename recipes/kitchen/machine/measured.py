"""What depends on the machine is measured once and remembered, so that a repeated command repeats its numbers."""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import torch

from lrlab.recipes.kitchen.machine.cache_folder import cache_root
from lrlab.recipes.kitchen.machine.environment import cpu_name

FILE = "measured.json"  # in the cache folder: key -> value
T = TypeVar("T", str, int)


def machine() -> str:
    "What makes the same measurement come out differently: processor or GPU, number of cores, version of torch."
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else cpu_name()
    return f"{device}, {os.cpu_count()} cores, torch {torch.__version__}"


def remembered(what: str, allowed: Callable[[T], bool], measure: Callable[[], T]) -> T:
    """The value that was measured for `what` on this machine, or `measure()`, which is then remembered.

    A remembered value that is not `allowed` (a damaged file, another version of lrlab) is measured again.
    """
    key, file = f"{what} | {machine()}", cache_root() / FILE
    value = _read(file).get(key)
    if value is not None and allowed(value):
        return value
    value = measure()
    try:
        _write(file, _read(file) | {key: value})
    except OSError as error:
        _tell(f"{file} cannot be written ({error.strerror}): what was measured on this machine is not remembered.")
    return value


def _read(file: Path) -> dict:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: Path, table: dict) -> None:
    "Whole or not at all: two processes may write at once."
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=FILE, dir=file.parent)
    try:
        with open(handle, "w", encoding="utf-8") as stream:
            json.dump(table, stream, indent=1)
        os.replace(draft, file)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise


@lru_cache(maxsize=16)
def _tell(line: str) -> None:
    print(line, file=sys.stderr)
