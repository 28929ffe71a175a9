"""The notebook runs from top to bottom, and what is committed of it is whole, small and of no machine in particular."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FILE = Path(__file__).parent.parent / "recipes" / "quickstart.ipynb"
SHORTER = """
from lrlab.recipes.kitchen.grid import study as _study

_whole = _study.range_tests
_study.range_tests = lambda work, data, seeds, steps, *how: _whole(work, data, seeds, steps // 4, *how)
"""


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(FILE, as_version=4)


def test_every_cell_runs(committed, tmp_path, monkeypatch):
    "A smoke run (one epoch, smaller images, a quarter of every LR range test) in a kernel far from the checkout."
    monkeypatch.delenv("MPLBACKEND", raising=False)  # of these tests; a kernel shows its figures inline
    for name, value in {"LRLAB_QUICK": "1", "OMP_NUM_THREADS": "1", "IPYTHONDIR": str(tmp_path / "ipython")}.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.from_dict(committed)
    for cell in notebook.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs = []
    next(cell for cell in notebook.cells if cell.cell_type == "code").source += SHORTER
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute()  # raises for a cell that fails
    assert [figures(cell) for cell in notebook.cells] == [figures(cell) for cell in committed.cells]
    assert (folder / "results" / "quickstart" / "report.html").exists()


def test_the_outputs_are_committed(committed):
    code = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "not run once, from top to bottom"
    assert sum(map(figures, code)) >= 8
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
    assert not [output for cell in code for output in cell.outputs if output.get("name") == "stderr"]


def test_what_is_committed_is_small_and_of_no_machine(committed):
    assert FILE.stat().st_size < 500_000
    text = re.sub(r'"image/png": "[^"]*"', "", FILE.read_text(encoding="utf-8"))
    assert not re.findall(r"/(?:home|root|tmp|usr|work|content|Users)/\S*|[A-Z]:\\\\\S*|site-packages", text)
    assert set(committed.metadata) == {"kernelspec", "language_info"} and "%|" not in text


def figures(cell) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
