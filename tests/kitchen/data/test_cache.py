"""The cache of decoded images: two processes that fill it at once, and folders where it cannot be."""

import os
import subprocess
import sys

from lrlab.recipes.kitchen.data import pixel_cache as cache

FILL = """
import sys, time
import numpy as np
from lrlab.recipes.kitchen.data.pixel_cache import cached_array

def fill(file):
    time.sleep(0.5)  # long enough for the other process to be at it as well
    np.save(file, np.arange(1000))
    return {"by": sys.argv[1]}

array, notes = cached_array("both", fill)
print(int(array.sum()), notes["by"])
"""


def test_two_processes_fill_the_same_entry(tmp_path):
    environment = os.environ | {"LRLAB_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", FILL]
    both = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True, env=environment) for name in "ab"]
    printed = [process.communicate(timeout=120)[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [total for total, _ in printed] == ["499500", "499500"]
    assert [folder.name for folder in tmp_path.iterdir()] == ["both"], "no half-filled folder is left behind"


def test_the_cache_is_where_the_user_can_write(tmp_path, monkeypatch):
    monkeypatch.delenv("LRLAB_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_root() == tmp_path / "lrlab"
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert "lrlab" in cache.cache_root().name and not cache.cache_root().is_relative_to(tmp_path)
