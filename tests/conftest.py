"""What all tests share: one thread, no windows, and a cache of their own."""

import gc
import os
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from lrlab.recipes import prepare_torchvision

os.environ.setdefault("MPLBACKEND", "agg")
# One thread here and in every process that a test starts: with `pytest -n 2` each core has its own tests, and threads
# that wait for each other on tiny images take ten times the processor time.
os.environ |= {"LOKY_MAX_CPU_COUNT": "1", "OMP_NUM_THREADS": "1"}
# The same examples on every machine, and no limit on their time: a slow machine fails no test.
slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("lrlab", derandomize=True, deadline=None, suppress_health_check=slow)
settings.load_profile("lrlab")
prepare_torchvision()  # tests import torchvision and timm themselves


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    "Neither read nor fill the cache of whoever runs the tests; all processes of a run of the tests share it."
    old, folder = os.environ.get("LRLAB_CACHE"), tmp_path_factory.getbasetemp()
    os.environ["LRLAB_CACHE"] = str((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "cache")
    yield
    os.environ.pop("LRLAB_CACHE")
    if old is not None:
        os.environ["LRLAB_CACHE"] = old


@pytest.fixture(autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(1)


def make_studies_small(patch: Callable) -> None:
    """Shorter LR range tests and smaller figures for every study in this process: most tests are about other things.

    Ten steps are enough where the LR is given and the range test only stands beside it.
    """
    from lrlab.recipes.kitchen.figures import style
    from lrlab.recipes.kitchen.grid import study

    whole, find_lr, most = study.range_tests, study.Study.find_lr, [24]

    def find(self, in_use=None, *num_it):
        most.append(24 if in_use is None else 10)
        try:
            return find_lr(self, in_use, *num_it)
        finally:
            most.pop()

    patch(study, "range_tests", lambda work, data, seeds, n, *how: whole(work, data, seeds, min(n, most[-1]), *how))
    patch(study.Study, "find_lr", find)
    patch(style, "DPI", 50)


@pytest.fixture(scope="session", autouse=True)
def small_studies():
    """Small studies, and quick ends of runs: what is loaded is excluded from garbage collections.

    Every run ends with one, which would look at a million objects of torch and fastai.
    """
    with pytest.MonkeyPatch.context() as patch:
        make_studies_small(patch.setattr)
        gc.collect()
        gc.freeze()
        yield


@pytest.fixture(scope="module", autouse=True)
def quick_ends_of_later_runs():
    "What a file of tests leaves behind, in caches for example, is excluded as well."
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def resnet_file(tmp_path_factory):
    "A small real network's weights, as a file: tests of pretrained models have no network to fetch others from."
    import torch

    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "resnet.pth"
    torch.save(timm.create_model("test_resnet", pretrained=False).state_dict(), file)
    return file


def draw_nothing(patch: Callable) -> None:
    """No figures of a comparison, which are half of the processor time of a small one.

    Those of other recipes are made, and not drawn: their files are empty, and a page has their title and caption.
    """
    from markupsafe import Markup, escape

    from lrlab.recipes.kitchen.figures import style
    from lrlab.recipes.studies.compare import report, report_html

    patch(report.Report, "files", lambda report: {})
    patch(report_html, "svg", lambda picture: Markup())
    patch(style, "save", lambda fig, file: file.touch())
    patch(style, "to_svg", lambda fig: escape(" ".join(text.get_text() for text in fig.texts)))


@pytest.fixture
def undrawn(monkeypatch):
    "For tests of numbers and words."
    draw_nothing(monkeypatch.setattr)


@contextmanager
def no_file_above(size: int):
    "What a full disk does, from the process's point of view: writing ends with an OSError in the middle of a file."
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write_images(
    folder: Path, count: int, mode: str = "RGB", seed: int = 0, size: int = 20, suffix: str = ".png"
) -> None:
    "`count` images of noise; a bright left half marks folders whose name starts with 'left'."
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        pixels = rng.integers(0, 120, (size, size, 3), dtype=np.uint8)
        half = np.s_[:, : size // 2] if folder.name.startswith("left") else np.s_[:, size // 2 :]
        pixels[half] += 120
        Image.fromarray(pixels).convert(mode).save(folder / f"{folder.name}{i:03}{suffix}")


@pytest.fixture
def image_folder(tmp_path):
    "A folder of two classes, 24 images each: left or right half bright."
    for i, name in enumerate(("left", "right")):
        write_images(tmp_path / "images" / name, 24, seed=i)
    return tmp_path / "images"


@pytest.fixture(scope="session")
def healthy(tmp_path_factory):
    "A folder of two classes as it should be, made once."
    folder = tmp_path_factory.mktemp("healthy")
    for i, name in enumerate(("left", "right")):
        write_images(folder / name, 24, seed=i, size=12)
    return folder


@pytest.fixture
def folder_to_spoil(healthy, tmp_path):
    "A copy of `healthy` for a test to spoil."
    return Path(shutil.copytree(healthy, tmp_path / "images"))
