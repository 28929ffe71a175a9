"""The folder of lrlab's cache, and how much of the disk it may take."""

import os
import tempfile
from pathlib import Path

import platformdirs

from lrlab.recipes.kitchen.errors import UserError


def cache_root() -> Path:
    "`$LRLAB_CACHE`, else `lrlab` in the user's cache folder, else (no home, or read-only) in the temporary folder."
    if os.environ.get("LRLAB_CACHE"):
        return Path(os.environ["LRLAB_CACHE"])
    temporary = Path(tempfile.gettempdir()) / f"lrlab-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"
    try:
        root = platformdirs.user_cache_path("lrlab", appauthor=False, ensure_exists=True)
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        return temporary
    return root if os.access(root, os.W_OK) else temporary


def cache_limit() -> float:
    "Bytes that the cache may take: `$LRLAB_CACHE_GB`, default 10."
    text = os.environ.get("LRLAB_CACHE_GB", "10")
    try:
        limit = float(text) * 1e9
    except ValueError:
        limit = -1.0
    if not limit >= 0:
        raise UserError(f"LRLAB_CACHE_GB={text}: expected a number of gigabytes, 0 or more")
    return limit
