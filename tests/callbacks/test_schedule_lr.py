"""The LR that a real Learner's optimizer has at every step, in every group, against the peers' own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, CyclicLR

from lrlab.callbacks import CosineRestarts, ExpRange, OneCycle, ScheduleLR, Triangular

PEAKS = (1e-3, 1e-2, 1e-1)
FLOOR = 0.1


def torch_lrs(make_scheduler, steps: int) -> np.ndarray:
    "The LR of every group at every step under one of torch's schedulers."
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in PEAKS]
    opt = torch.optim.SGD(groups, lr=1.0)
    scheduler = make_scheduler(opt)
    lrs = []
    for _ in range(steps):
        lrs.append([group["lr"] for group in opt.param_groups])
        opt.step()
        scheduler.step()
    return np.array(lrs)


def cyclic(half_cycle: int, mode: str, gamma: float = 1.0):
    return lambda opt: CyclicLR(
        opt,
        base_lr=[FLOOR * lr for lr in PEAKS],
        max_lr=list(PEAKS),
        step_size_up=half_cycle,
        mode=mode,
        gamma=gamma,
        cycle_momentum=False,
    )


def restarts(first: int, mult: int):
    return lambda opt: CosineAnnealingWarmRestarts(opt, T_0=first, T_mult=mult)


# schedule, epochs of 10 steps, torch's scheduler
TORCH = {
    "triangular": (Triangular(cycle_len=2, floor=FLOOR), 5, cyclic(10, "triangular")),
    "triangular2": (Triangular(cycle_len=2, gamma=0.5, floor=FLOOR), 6, cyclic(10, "triangular2")),
    "exp_range": (ExpRange(cycle_len=2, gamma=0.99, floor=FLOOR), 5, cyclic(10, "exp_range", gamma=0.99)),
    "restarts": (CosineRestarts(cycle_len=1, cycle_mult=1), 3, restarts(10, 1)),
    "growing restarts": (CosineRestarts(cycle_len=1, cycle_mult=2), 7, restarts(10, 2)),
}


@pytest.mark.parametrize(("schedule", "epochs", "peer"), TORCH.values(), ids=TORCH)
def test_every_step_and_group_as_torch(schedule, epochs, peer, make_learner, witness):
    learn = make_learner(groups=3)
    learn.fit(epochs, lr=list(PEAKS), cbs=[ScheduleLR(schedule), witness])
    np.testing.assert_allclose(witness.lrs, torch_lrs(peer, epochs * 10), rtol=0, atol=1e-12)


def test_every_step_and_group_as_fit_one_cycle(make_learner, witness):
    learn = make_learner(groups=3)
    learn.fit_one_cycle(3, slice(1e-3, 1e-1), cbs=witness)
    theirs, their_moms = np.array(witness.lrs), np.array(witness.momenta)
    learn.fit_schedule(3, OneCycle(), slice(1e-3, 1e-1), moms=(0.95, 0.85), cbs=witness)
    # fastai keeps the boundaries of its phases in float32, hence the tolerance.
    np.testing.assert_allclose(witness.lrs, theirs, rtol=0, atol=1e-7)
    np.testing.assert_allclose(witness.momenta, their_moms, rtol=0, atol=1e-7)
    assert theirs.shape == (30, 3)
