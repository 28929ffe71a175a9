"""What the tests of mistakes share: a place without data, and no training."""

import pytest

from tests.conftest import write_images


@pytest.fixture
def empty_place(tmp_path, monkeypatch):
    "A working directory with a few folders that are no datasets."
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_images(tmp_path / "one_class" / "cat", 1)
    write_images(tmp_path / "loose", 1)
    (tmp_path / "file.txt").write_text("text")
    return tmp_path


@pytest.fixture
def nothing_trains(monkeypatch):
    "A mistake in these tests must not start a comparison of hours."
    from fastai.learner import Learner

    monkeypatch.setattr(Learner, "fit", lambda *args, **kwargs: pytest.fail("training has begun"))
