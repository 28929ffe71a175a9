"""What the tests of images and folders share: a folder of photos that is as it should be."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import write_photos


@pytest.fixture(scope="session")
def healthy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("healthy")
    for i, name in enumerate(("left", "right")):
        write_photos(folder / name, 24, seed=i, size=12)
    return folder


@pytest.fixture
def photos_folder(healthy, tmp_path):
    return Path(shutil.copytree(healthy, tmp_path / "photos"))
