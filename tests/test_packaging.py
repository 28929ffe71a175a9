"""The wheel works outside the repository, beside a user's own `callbacks.py`."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHIPPED = ("callbacks", "recipes", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    "Built from a copy of what is shipped, so that nothing is left behind in the checkout."
    tree = tmp_path_factory.mktemp("tree")
    for name in SHIPPED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tree / name)
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", out, tree], check=True)
    return next(out.glob("lrlab-*.whl"))


def test_the_wheel_holds_the_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"lrlab"}
    for needed in ("callbacks/schedules.py", "callbacks/py.typed", "recipes/compare.py", "recipes/py.typed"):
        assert f"lrlab/{needed}" in names
    committed = {p.relative_to(ROOT) for folder in ("callbacks", "recipes") for p in (ROOT / folder).rglob("*.py")}
    assert {f"lrlab/{p}" for p in committed} == {n for n in names if n.endswith(".py")}


def test_the_wheel_works_beside_a_users_own_callbacks(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    project = tmp_path / "project"
    project.mkdir()
    (project / "callbacks.py").write_text("MINE = True\n")
    code = (
        "import callbacks, sys\n"
        "assert callbacks.MINE\n"
        "import lrlab.callbacks, lrlab.recipes.cli, lrlab.recipes.kitchen.stats\n"
        "print(lrlab.callbacks.__file__, len(lrlab.recipes.cli.recipes()))\n"
    )
    # -S leaves out site-packages' .pth files, and with them an editable install of this checkout
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), sysconfig.get_path("purelib")])}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=project, env=environment, capture_output=True, text=True, check=True
    )
    file, count = done.stdout.split()
    assert Path(file).is_relative_to(site) and int(count) >= 4


def test_importing_the_callbacks_needs_neither_torchvision_nor_the_recipes():
    code = (
        "import sys, lrlab.callbacks\nprint([m for m in sys.modules if m.startswith(('torchvision', 'lrlab.recipes'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
