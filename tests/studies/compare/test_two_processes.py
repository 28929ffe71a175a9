"""Comparisons in two processes, of images and of a user's own Learner, have the numbers of one process to the last bit.

One file, because its tests share the worker processes: each of them takes seconds to load torch.
"""

import pandas as pd
import pytest

from lrlab.recipes import compare, compare_schedules
from tests.conftest import write_images
from tests.kill_grid import numbers
from tests.kitchen.tasks import classifier

pytestmark = pytest.mark.usefixtures("undrawn")
ASKED = {"epochs": 2, "schedules": "constant,cosine", "lr_max": 1e-2, "seeds": 3}


def test_images(tmp_path):
    for i, name in enumerate(("left", "right")):
        write_images(tmp_path / "images" / name, 32, seed=i, size=12)
    small = {"data": str(tmp_path / "images"), "schedules": "constant,sgdr", "lr_max": "3e-3", "size": 12, "bs": 16}
    for jobs in ("1", "2"):
        compare.main(**small, epochs="2", seeds="2", jobs=jobs, out=tmp_path / jobs)
    pd.testing.assert_frame_equal(numbers(tmp_path / "2"), numbers(tmp_path / "1"), check_exact=True)


def test_functions_that_make_a_learner(tmp_path):
    "One that cannot be imported elsewhere goes to the processes by value, one of a file by its name."
    alone = compare_schedules(classifier, **ASKED, jobs=1, out=tmp_path / "alone")
    native = {"epochs": [2], "schedules": ["constant", "cosine"], "lr_max": 0.01, "seeds": [0, 1, 2]}
    beside = compare_schedules(lambda: classifier(), **native, jobs=2, out=tmp_path / "beside")
    (tmp_path / "train.py").write_text("from tests.kitchen.tasks import classifier\n")
    of_file = compare.main(**ASKED, learner=f"{tmp_path / 'train.py'}:classifier", jobs=2, out=tmp_path / "of_file")
    for other in (beside, of_file):
        pd.testing.assert_frame_equal(numbers(other.out), numbers(alone.out), check_exact=True)
