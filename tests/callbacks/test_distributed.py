"""Two processes with fastai's DistributedDL, over gloo."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from lrlab.callbacks import PolynomialDecay
from tests import processes


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without torch.distributed")
def test_two_processes_end_the_schedule_together(tmp_path):
    pytest.importorskip("accelerate", reason="fastai.distributed cannot be imported without accelerate")
    from tests.callbacks import distributed_fit

    both = [processes.start(distributed_fit.main, rank, tmp_path) for rank in (0, 1)]
    try:
        assert [processes.end(process) for process in both] == [0, 0]
    finally:
        for process in both:
            process.kill()  # a process that lost its partner would wait for it for ever
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    # 50 items each in batches of 16: 4 or, dropping the last, 3; 25 items: 1, though fastai's own len says 2.
    # Accumulating 40 items: 16 + 16 + 16, 2 + 16 + 16 + 16, ...: 150 items make 3 steps.
    for run, steps in zip(first, (12, 9, 3, 3), strict=False):
        np.testing.assert_allclose(run["lrs"], 1e-3 * PolynomialDecay().multipliers(steps, 1))
    assert first[-1] == {"diverged": True, "step": 3}
