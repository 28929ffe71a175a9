"""`prepare_torchvision`: a torchvision whose compiled operators do not match this torch can be imported."""

import subprocess
import sys

import pytest

from lrlab.recipes.kitchen.machine import torchvision_compat

PREPARE = "from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision as prepare\n"
OTHER_SHIM = (
    "import torch\n"
    "shim = torch.library.Library('torchvision', 'DEF')\n"
    "shim.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
)


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_torchvision_and_fastai_vision_can_be_imported_here():
    out = run_python(
        PREPARE + "prepare(); import torchvision, fastai.vision.all, torch\n"
        "print(tuple(torchvision.models.resnet18(weights=None).eval()(torch.zeros(1, 3, 32, 32)).shape))"
    )
    assert out == "(1, 1000)"


def test_operators_are_declared_exactly_where_the_import_fails_without_them():
    plain = subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, text=True)
    assert run_python(PREPARE + "print(prepare())") == str(plain.returncode != 0)


@pytest.mark.parametrize("declared", ["", "shim.define('qnms(Tensor d, Tensor s, float t) -> Tensor')\n"])
def test_a_shim_that_came_first_is_left_alone(declared):
    "Other packages declare the same operators; to declare them twice is an error."
    out = run_python(OTHER_SHIM + declared + PREPARE + "print(prepare(), prepare()); import torchvision")
    assert out == ("False False" if declared else "True True")


def test_a_shim_that_comes_later_as_a_fragment_works():
    out = run_python(
        PREPARE + "prepare(); import torch, torchvision\n"
        "torch.library.Library('torchvision', 'FRAGMENT').define('mine(Tensor x) -> Tensor'); print('ok')"
    )
    assert out == "ok"


def test_importing_lrlab_declares_nothing():
    out = run_python(
        "import torch\n"
        "import lrlab.recipes.kitchen.data, lrlab.recipes.kitchen.models.create, lrlab.recipes.kitchen.workloads\n"
        "print(hasattr(torch.ops.torchvision, 'nms'))"
    )
    assert out == "False"


def test_a_missing_torchvision_is_named(monkeypatch):
    monkeypatch.setattr(torchvision_compat.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install torchvision"):
        torchvision_compat._compiled_operators_load()
