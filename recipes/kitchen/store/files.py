"""Files that are written completely or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    "A path to write to, which takes the place of `file` when the block ends; an exception leaves `file` as it is."
    part = file.with_name(f".{file.name}.part")
    try:
        yield part
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def write_atomically(file: Path, text: str) -> None:
    "Replace the file with this text. If that is interrupted, the file has its old text or the new one, never a part."
    with replacing(file) as part:
        write_synced(part, text.encode("utf-8"))


def write_synced(file: Path, content: bytes) -> int:
    "Write a file through to the disk. Returns its size in bytes."
    with open(file, "wb") as stream:
        size = stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    return size


def sync_folder(folder: Path) -> None:
    "Make a renaming survive a power cut, where the system lets a folder be opened (Windows does not)."
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
