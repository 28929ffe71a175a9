"""Decoded images on disk: one folder per dataset and size, memory-mapped, shared by all processes, bounded in size."""

import errno
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.machine.cache_folder import cache_limit, cache_root

ENTRIES = "photos-*"  # as in lrlab 1.0. Nothing else is ever removed, because $LRLAB_CACHE may name any folder
UNFINISHED = ".filling-"
A_DAY = 86_400  # seconds after which an unfinished entry belongs to a process that was killed


def cached_array(key: str, fill: Callable[[Path], dict], enabled: bool = True) -> tuple[np.ndarray, dict]:
    """The array and the notes stored under `key`. `fill` makes them if they are missing or damaged.

    `fill(file)` writes a `.npy` file and returns notes (JSON types). It writes to a new folder, which is renamed when
    it is complete, so that two processes that fill the same key at once do not disturb each other. If the cache folder
    cannot be written, the array is made in memory, and a line on stderr says so.
    """
    root, limit = cache_root(), cache_limit()
    found = _read(root / key) if enabled else None
    if found is None and enabled:
        try:
            root.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=root))
        except OSError as error:
            print(f"The cache {root} cannot be written ({error.strerror}): decoding in memory.", file=sys.stderr)
        else:
            _fill(root / key, work, fill)
            _evict(root, keep=root / key, limit=limit)
            found = _read(root / key)
    if found is not None:
        return found
    with tempfile.TemporaryDirectory(prefix="lrlab-") as folder:
        notes = fill(Path(folder) / "images.npy")
        return np.load(Path(folder) / "images.npy", allow_pickle=False), notes


def reserve(file: Path, size: int) -> None:
    """Reserve `size` bytes on the disk for `file`. Raises UserError if there is no room.

    Without this, a full disk would kill the process when a page of the memory map is written.
    """
    size += 4096  # the header
    try:
        with open(file, "wb") as stream:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(stream.fileno(), 0, size)
            elif shutil.disk_usage(file.parent).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise
        file.unlink(missing_ok=True)
        free = shutil.disk_usage(file.parent).free
        raise UserError(
            f"the decoded images take {size / 1e6:.0f} MB and {file.parent.parent} has {free / 1e6:.0f} MB left; "
            "choose a smaller `size`, or set LRLAB_CACHE to a folder on a larger disk"
        ) from error


def _read(folder: Path) -> tuple[np.ndarray, dict] | None:
    "A complete entry; None if there is none or if it is damaged."
    try:
        notes = json.loads((folder / "notes.json").read_text(encoding="utf-8"))
        array = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        if not isinstance(notes, dict) or not isinstance(array, np.ndarray):
            return None
    except (OSError, ValueError, EOFError, RecursionError, SyntaxError):
        return None
    with suppress(OSError):  # A read-only cache can be read as well.
        os.utime(folder)  # The least recently used entry is removed first.
    return array, notes


def _fill(folder: Path, work: Path, fill: Callable[[Path], dict]) -> None:
    "Fill the entry in the folder `work`, then rename it to `folder`."
    try:
        notes = fill(work / "images.npy")
        (work / "notes.json").write_text(json.dumps(notes), encoding="utf-8")
        if _read(folder) is None:
            shutil.rmtree(folder, ignore_errors=True)  # an incomplete or damaged one
        try:
            work.rename(folder)
        except OSError:
            if _read(folder) is None:  # else another process was faster
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _evict(root: Path, keep: Path, limit: float) -> None:
    "Remove the least recently used entries until the cache fits `limit` bytes, and entries that were never finished."
    found = []
    for folder in root.iterdir():
        try:
            size, used = sum(file.stat().st_size for file in folder.iterdir()), folder.stat().st_mtime
        except OSError:  # a file, or another process is removing it
            continue
        if folder.match(ENTRIES):
            found.append((used, size, folder))
        elif folder.match(f"{UNFINISHED}*") and time.time() - used > A_DAY:
            shutil.rmtree(folder, ignore_errors=True)
    total = sum(size for _, size, _ in found)
    for _, size, folder in sorted(found):
        if total > limit and folder != keep:
            total -= size
            shutil.rmtree(folder, ignore_errors=True)
