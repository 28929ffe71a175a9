"""The cache of decoded images: two processes that fill it at once, and folders where it cannot be."""

import multiprocessing
import time

import numpy as np

from lrlab.recipes.kitchen.data import pixel_cache as cache


def filled(by: str) -> tuple[int, str]:
    def fill(file):
        time.sleep(0.5)  # long enough for the other process to be at it as well
        np.save(file, np.arange(1000))
        return {"by": by}

    array, notes = cache.cached_array("both", fill)
    return int(array.sum()), notes["by"]


def test_two_processes_fill_the_same_entry(tmp_path, monkeypatch):
    monkeypatch.setenv("LRLAB_CACHE", str(tmp_path))
    with multiprocessing.get_context("fork").Pool(2) as pool:  # forked: nothing is imported again
        found = pool.map(filled, "ab", chunksize=1)
    assert [total for total, _ in found] == [499500, 499500]
    assert [folder.name for folder in tmp_path.iterdir()] == ["both"], "no half-filled folder is left behind"


def test_the_cache_is_where_the_user_can_write(tmp_path, monkeypatch):
    monkeypatch.delenv("LRLAB_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_root() == tmp_path / "lrlab"
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert "lrlab" in cache.cache_root().name and not cache.cache_root().is_relative_to(tmp_path)
