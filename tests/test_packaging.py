"""What is published: `python -m build` gives a wheel and an sdist of it, and the wheel runs away from the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHIPPED = ("callbacks", "recipes", "pyproject.toml", "README.md", "LICENSE")
CONSUMER = ROOT / "tests" / "typing" / "consumer.py"
# What `mypy --strict` asks of a module, apart from subclassing fastai's untyped classes.
STRICT = """
[[tool.mypy.overrides]]
module = "consumer"
disallow_any_generics = true
disallow_untyped_calls = true
disallow_untyped_defs = true
disallow_incomplete_defs = true
disallow_untyped_decorators = true
warn_return_any = true
strict_equality = true
extra_checks = true

[[tool.mypy.overrides]]
module = ["lrlab.callbacks", "lrlab.recipes"]
implicit_reexport = false
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, Path]:
    """The sdist, the wheel built from it, and the wheel built from the tree itself.

    From a copy of what is shipped, so that nothing is left behind in the checkout.
    """
    tree, out, direct = (tmp_path_factory.mktemp(name) for name in ("tree", "out", "direct"))
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
        else:
            shutil.copy(ROOT / name, tree / name)
    build = [sys.executable, "-m", "build", "--no-isolation"]  # with the setuptools that is here: no network
    for command in ([*build, "--outdir", out, tree], [*build, "--wheel", "--outdir", direct, tree]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    files = {"sdist": out.glob("*.tar.gz"), "wheel": out.glob("*.whl"), "direct": direct.glob("*.whl")}
    return {name: next(found) for name, found in files.items()}


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """A virtual environment with the wheel in it, beside the dependencies that are installed here anyway.

    Site-packages is added as a plain path: its .pth files, and with them an editable install of this checkout, stay
    out of it.
    """
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "-q", "--no-deps"]
    subprocess.run([*pip, "--no-index", "--force-reinstall", built["wheel"]], check=True)
    return folder / "bin"


def run(command: list, folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_the_packages_and_nothing_else(built):
    names = zipfile.ZipFile(built["wheel"]).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"lrlab"}
    for needed in (
        "callbacks/schedules.py",
        "callbacks/py.typed",
        "recipes/py.typed",
        "recipes/studies/compare/report.html",
    ):
        assert f"lrlab/{needed}" in names
    committed = {p.relative_to(ROOT) for folder in ("callbacks", "recipes") for p in (ROOT / folder).rglob("*.py")}
    assert {f"lrlab/{p}" for p in committed} == {n for n in names if n.endswith(".py")}


def test_the_sdist_gives_the_same_wheel(built):
    "It holds what the wheel is made of; the tests and the results stay in the repository."
    names = {name.partition("/")[2] for name in tarfile.open(built["sdist"]).getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO", "recipes/cli.py"} <= names
    of_sdist, of_tree = (zipfile.ZipFile(built[name]) for name in ("wheel", "direct"))
    assert {i.filename: i.CRC for i in of_sdist.infolist()} == {i.filename: i.CRC for i in of_tree.infolist()}


def test_the_installed_command_works_elsewhere(installed, built, tmp_path):
    lrlab, version = installed / "lrlab", built["wheel"].name.split("-")[1]
    assert run([lrlab, "--version"], tmp_path) == f"lrlab {version}\n"
    assert " compare " in run([lrlab], tmp_path)
    assert "--schedules" in run([lrlab, "compare", "--help"], tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_installed_package_works_beside_a_users_own_callbacks(installed, tmp_path):
    (tmp_path / "callbacks.py").write_text("MINE = True\n")
    code = (
        "import callbacks, lrlab.callbacks\n"
        "from lrlab.recipes import cli\n"
        "assert callbacks.MINE and cli.main(['doctor']) == 0\n"
        "print(lrlab.callbacks.__file__)"
    )
    *told, file = run([installed / "python", "-c", code], tmp_path).splitlines()
    assert Path(file).is_relative_to(installed.parent) and "lrlab" in "".join(told)
    assert {written.name for written in tmp_path.iterdir()} <= {"callbacks.py", "__pycache__"}


def test_a_type_checker_understands_the_installed_package(installed, tmp_path):
    "mypy, on the package as installed and, strictly, on a project that uses it."
    shutil.copy(CONSUMER, tmp_path / "consumer.py")
    config = tmp_path / "pyproject.toml"
    config.write_text((ROOT / "pyproject.toml").read_text() + STRICT)
    options = ["--python-executable", installed / "python", "--config-file", config, "--cache-dir", tmp_path / "cache"]
    run(
        [sys.executable, "-m", "mypy", *options, "-p", "lrlab.callbacks", "-p", "lrlab.recipes", "-m", "consumer"],
        tmp_path,
    )
