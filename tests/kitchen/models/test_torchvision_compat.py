"""The remedy for a torchvision whose compiled operators do not fit this torch."""

import subprocess
import sys

import pytest

from lrlab.recipes.kitchen.models import torchvision_compat as vision


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_torchvision_and_fastai_vision_import_on_this_machine():
    out = _python(
        "from lrlab.recipes.kitchen.models import torchvision_compat as vision\n"
        "import torchvision, fastai.vision.all, torch\n"
        "print(tuple(torchvision.models.resnet18(weights=None).eval()(torch.zeros(1, 3, 32, 32)).shape))"
    )
    assert out.strip() == "(1, 1000)"


def test_the_remedy_acts_exactly_where_the_compiled_operators_are_missing():
    "Without the remedy, `import torchvision` fails if and only if the remedy says that it was necessary."
    plain = subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, text=True)
    remedied = _python(
        "from lrlab.recipes.kitchen.models.torchvision_compat import prepare_torchvision\nprint(prepare_torchvision())"
    ).strip()
    assert remedied == str(plain.returncode != 0)


@pytest.mark.parametrize("loads", [True, False])
def test_operators_are_declared_only_if_the_library_does_not_load(monkeypatch, loads):
    "Both kinds of build, whichever this machine has."
    defined = []

    class Library:
        def __init__(self, *namespace): ...

        def define(self, schema):
            defined.append(schema.partition("(")[0])

    monkeypatch.setattr(vision, "_declared", [])
    monkeypatch.setattr(vision, "compiled_operators_load", lambda: loads)
    monkeypatch.setattr(vision.torch.library, "Library", Library)
    assert vision.prepare_torchvision() is not loads
    assert defined == ([] if loads else ["nms", "qnms"])
    assert vision.prepare_torchvision() is not loads, "a second call declares nothing twice"
    assert len(defined) in (0, 2)


def test_a_missing_torchvision_is_named(monkeypatch):
    monkeypatch.setattr(vision.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install torchvision"):
        vision.compiled_operators_load()
