"""`prepare_torchvision`: a torchvision whose compiled operators do not match this torch can be imported."""

import subprocess
import sys

import pytest
import torch

from lrlab.recipes.kitchen.machine import torchvision_compat

PREPARE = "from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision as prepare\n"
OTHER_SHIM = (
    "import torch\n"
    "shim = torch.library.Library('torchvision', 'DEF')\n"
    "shim.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
)


SHIM_OF_BOTH = OTHER_SHIM + "shim.define('qnms(Tensor d, Tensor s, float t) -> Tensor')\n"
TWICE = PREPARE + "first = prepare(), prepare(); import torchvision; print(*first)"
CODE = {  # each prints a line
    "plain": "try:\n    import torchvision\n    print(False)\nexcept Exception:\n    print(True)",
    "prepared": PREPARE + "print(prepare())",
    "after a shim": OTHER_SHIM + TWICE,
    "after a shim of both": SHIM_OF_BOTH + TWICE,
    "before a fragment": PREPARE + "prepare(); import torch, torchvision\n"
    "torch.library.Library('torchvision', 'FRAGMENT').define('mine(Tensor x) -> Tensor'); print('ok')",
    "timm": "from lrlab.recipes.kitchen.models.create import import_timm\nimport_timm()\nprint('ok')",
    "imports": "import torch\n"
    "import lrlab.recipes.kitchen.data, lrlab.recipes.kitchen.models.create, lrlab.recipes.kitchen.workloads\n"
    "print(hasattr(torch.ops.torchvision, 'nms'))",
}
# A process for each code: forked from one that has loaded torch and nothing else.
RUN = """
import os, sys, torch, traceback
for code in sys.argv[1:]:
    if os.fork() == 0:
        try:
            exec(code, {})
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def printed():
    "What each code prints."
    done = subprocess.run([sys.executable, "-c", RUN, *CODE.values()], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(CODE), done.stderr
    return dict(zip(CODE, lines, strict=True))


def test_torchvision_and_fastai_vision_can_be_imported_here():
    torchvision_compat.prepare_torchvision()
    import fastai.vision.all  # noqa: F401
    import torchvision

    assert torchvision.models.resnet18(weights=None).eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 1000)


def test_operators_are_declared_exactly_where_the_import_fails_without_them(printed):
    assert printed["prepared"] == printed["plain"]


def test_a_shim_that_came_first_is_left_alone(printed):
    "Other packages declare the same operators; to declare them twice is an error."
    assert (printed["after a shim"], printed["after a shim of both"]) == ("True True", "False False")


def test_a_shim_that_comes_later_as_a_fragment_works(printed):
    assert printed["before a fragment"] == "ok"


def test_timm_is_imported_as_the_first_package_that_needs_torchvision(printed):
    "`lrlab speed` ended with a traceback here."
    assert printed["timm"] == "ok"


def test_importing_lrlab_declares_nothing(printed):
    assert printed["imports"] == "False"


def test_a_missing_torchvision_is_named(monkeypatch):
    monkeypatch.setattr(torchvision_compat.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install torchvision"):
        torchvision_compat._compiled_operators_load()
