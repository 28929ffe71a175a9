"""runs.zip: the runs of a finished folder in one file."""

import pytest

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.store.packed import pack
from lrlab.recipes.kitchen.store.store import Store
from tests.kitchen.store.test_store import result


@pytest.fixture
def packed(tmp_path):
    "A packed folder, and its tables and files before."
    with Store(tmp_path / "out") as store:
        for run_id in ("a", "b"):
            store.write_run(result(run_id))
        tables = store.tables()
        files = {file.relative_to(store.out): file.read_bytes() for file in store.runs.glob("*/*")}
    pack(store.out)
    return store.out, tables, files


def test_packed_runs_are_read_as_before(packed):
    out, tables, files = packed
    assert not (out / "runs").exists()
    for before, after in zip(tables, Store(out).tables(), strict=True):
        assert before.equals(after)
    assert {file.relative_to(out): file.read_bytes() for file in (out / "runs").glob("*/*")} == files


def test_a_packed_folder_can_be_extended_and_packed_again(packed):
    out = packed[0]
    first = (out / "runs.zip").read_bytes()
    with Store(out) as store:
        assert list(store.complete()) == ["a", "b"]
        pack(out)
        assert (out / "runs.zip").read_bytes() == first, "the same runs give the same file"
    with Store(out) as store:
        store.write_run(result("c"))
        assert list(store.complete()) == ["a", "b", "c"], "new runs are not overwritten"


def test_a_damaged_file_is_named(packed):
    file = packed[0] / "runs.zip"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match="runs.zip is damaged"):
        Store(packed[0]).complete()
