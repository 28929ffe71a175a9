"""Decoded photos on disk: one folder per dataset and size, memory-mapped, shared by all processes, bounded in size."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np


def cache_root() -> Path:
    "`$LRLAB_CACHE`, else `lrlab` in the user's cache folder, else (no home, or read-only) in the temporary folder."
    if os.environ.get("LRLAB_CACHE"):
        return Path(os.environ["LRLAB_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        root = Path(base) / "lrlab" if base else Path.home() / ".cache" / "lrlab"
        root.mkdir(parents=True, exist_ok=True)
        if os.access(root, os.W_OK):
            return root
    except (OSError, RuntimeError):  # RuntimeError: no home folder can be determined
        pass
    return Path(tempfile.gettempdir()) / "lrlab"


def cached_array(
    key: str, fill: Callable[[Path], dict], limit_gb: float | None = None, enabled: bool = True
) -> tuple[np.ndarray, dict]:
    """The array and the notes stored under `key`, made by `fill` if they are not there yet.

    `fill(file)` writes a `.npy` file and returns notes (JSON types). It works in a folder of its own that is renamed
    into place when complete, so two processes that fill the same key at once cannot spoil each other's work.
    """
    if not enabled:
        with tempfile.TemporaryDirectory(prefix="lrlab-") as work:
            notes = fill(Path(work) / "images.npy")
            return np.load(Path(work) / "images.npy"), notes
    root = cache_root()
    folder = root / key
    if not (folder / "notes.json").is_file():
        root.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".filling-", dir=root))
        try:
            notes = fill(work / "images.npy")
            (work / "notes.json").write_text(json.dumps(notes), encoding="utf-8")
            if folder.exists():  # an incomplete one: notes.json is missing
                shutil.rmtree(folder, ignore_errors=True)
            work.rename(folder)
        except OSError:
            if not (folder / "notes.json").is_file():  # not merely another process that came first
                raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
        _evict(root, keep=folder, limit_gb=limit_gb)
    os.utime(folder)  # the clock of the eviction: least recently used goes first
    notes = json.loads((folder / "notes.json").read_text(encoding="utf-8"))
    return np.load(folder / "images.npy", mmap_mode="r"), notes


def _evict(root: Path, keep: Path, limit_gb: float | None) -> None:
    "Remove the least recently used folders until the cache fits `limit_gb` (default `$LRLAB_CACHE_GB` or 10)."
    limit = (float(os.environ.get("LRLAB_CACHE_GB", 10)) if limit_gb is None else limit_gb) * 1e9
    folders = sorted((f for f in root.iterdir() if (f / "notes.json").is_file()), key=lambda f: f.stat().st_mtime)
    sizes = {f: sum(x.stat().st_size for x in f.iterdir()) for f in folders}
    total = sum(sizes.values())
    for folder in folders:
        if total <= limit:
            break
        if folder != keep:
            total -= sizes[folder]
            shutil.rmtree(folder, ignore_errors=True)
