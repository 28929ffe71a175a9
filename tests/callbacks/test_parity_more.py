"""The schedules that came later against their peers: torch's MultiStepLR, and ignite's way to round cycle lengths."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ignite.handlers.param_scheduler import CosineAnnealingScheduler

from lrlab.callbacks import CosineRestarts, MultiStep

drawn = settings(max_examples=60)


@given(st.integers(1, 80), st.sets(st.integers(1, 90), min_size=1, max_size=5), st.floats(0.1, 1))
@drawn
def test_multi_step_is_torchs_multi_step_lr(steps, milestones, gamma):
    milestones = sorted(milestones)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma)
    optimizer.step()  # one is enough for torch not to warn: without gradients it changes nothing
    theirs = []
    for _ in range(steps):
        theirs.append(optimizer.param_groups[0]["lr"])
        scheduler.step()
    ours = MultiStep([f"{at} steps" for at in milestones], gamma).multipliers(steps, 7)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@given(st.integers(10, 80), st.integers(2, 9), st.floats(1, 3))
@drawn
def test_cycles_that_are_cut_one_by_one_are_ignites(steps, cycle_len, cycle_mult):
    arguments = {"start_value": 1.0, "end_value": 0.0, "cycle_size": cycle_len, "cycle_mult": cycle_mult}
    theirs = CosineAnnealingScheduler.simulate_values(num_events=steps, param_name="lr", **arguments)
    ours = CosineRestarts(f"{cycle_len} steps", cycle_mult, rounding="each").multipliers(steps, 7)
    np.testing.assert_allclose(ours, [value for _, value in theirs], atol=1e-12)
