"""lrlab against fastai's own `fit_one_cycle`, `fit_flat_cos` and `fit_sgdr`, as recorded on real Learners.

fastai keeps the bounds of its phases in float32, so it agrees to that error only, and restarts SGDR late where float32
rounds a bound up: `test_fastai_restarts_one_batch_late` shows it.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from fastai.basics import Learner
from fastai.callback.schedule import SchedCos, combine_scheds

from lrlab.callbacks import SGDR, FlatCosine, OneCycle, Schedule

FLOAT32 = (
    1e-6  # of lr_max: a phase's bound is off by up to 6e-8 of the run, and the steepest curve turns that into this
)
LR_MAX = 0.1


def recorded(learn: Learner) -> tuple[np.ndarray, np.ndarray]:
    "The multiplier at every step, and the momentum where fastai schedules it."
    return np.array(learn.recorder.hps["lr"]) / LR_MAX, np.array(learn.recorder.hps.get("mom", []))


def assert_same(schedule: Schedule, theirs: np.ndarray, steps_per_epoch: int) -> None:
    ours = schedule.multipliers(len(theirs), steps_per_epoch)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=FLOAT32)


@pytest.mark.parametrize(
    ("epochs", "batches", "arguments"),
    [
        (1, 10, {}),
        (3, 7, {}),
        (7, 13, {"pct_start": 0.3}),
        (2, 50, {"pct_start": 0.99, "div": 5.0}),
        (5, 20, {"div": 10.0, "div_final": 100.0}),
        (4, 25, {"pct_start": 0.1, "div_final": 1e3}),
    ],
)
def test_one_cycle(make_learner, epochs, batches, arguments):
    learn = make_learner(n_trn=batches)
    learn.fit_one_cycle(epochs, LR_MAX, moms=(0.95, 0.85, 0.95), **arguments)
    lrs, momenta = recorded(learn)
    schedule = OneCycle(**arguments)
    assert len(lrs) == epochs * batches
    assert_same(schedule, lrs, batches)
    ours = 0.95 - (0.95 - 0.85) * schedule.momentum_shape(len(lrs), batches)
    np.testing.assert_allclose(ours, momenta, rtol=0, atol=FLOAT32)


@pytest.mark.parametrize(
    ("epochs", "batches", "arguments"),
    [
        (1, 10, {}),
        (4, 7, {}),
        (7, 13, {"pct_start": 0.5}),
        (2, 50, {"pct_start": 0.1, "div_final": 10.0}),
        (5, 20, {"div_final": 1e3}),
    ],
)
def test_flat_cosine(make_learner, epochs, batches, arguments):
    learn = make_learner(n_trn=batches)
    learn.fit_flat_cos(epochs, LR_MAX, **arguments)
    lrs, _ = recorded(learn)
    assert len(lrs) == epochs * batches
    assert_same(FlatCosine(**arguments), lrs, batches)


@pytest.mark.parametrize(
    ("cycles", "cycle_len", "cycle_mult", "batches"),
    [(1, 1, 2, 10), (2, 1, 2, 13), (3, 1, 2, 16), (2, 2, 3, 10), (3, 1, 2, 100), (3, 2, 2, 37), (4, 1, 2, 50)],
)
def test_sgdr(make_learner, cycles, cycle_len, cycle_mult, batches):
    "At every step but the restarts, where float32 decides whether fastai is in time."
    learn = make_learner(n_trn=batches)
    learn.fit_sgdr(cycles, cycle_len, LR_MAX, cycle_mult=cycle_mult)
    lrs, _ = recorded(learn)
    schedule = SGDR(cycle_len, cycle_mult)
    ours = schedule.multipliers(len(lrs), batches)
    starts = [0, *(end + 1 for end in schedule.cycle_ends(len(lrs), batches)[:-1])]
    assert starts == [batches * cycle_len * (cycle_mult**i - 1) // (cycle_mult - 1) for i in range(cycles)]
    assert (ours[starts] == 1).all()
    between = np.setdiff1d(np.arange(len(lrs)), starts)
    np.testing.assert_allclose(ours[between], lrs[between], rtol=0, atol=FLOAT32)


def test_fastai_restarts_one_batch_late():
    """Loshchilov & Hutter 2016, eq. 5: T_cur = 0 at a restart, so the LR is at its maximum. fastai's is at 0.

    fit_sgdr(3, 1) with 100 batches an epoch: 3/7 in float32 lies above the double 300/700.
    """
    fastai = combine_scheds([1 / 7, 2 / 7, 4 / 7], [SchedCos(1.0, 0.0)] * 3)
    assert fastai(300 / 700) == pytest.approx(0, abs=1e-9)
    assert fastai(301 / 700) == pytest.approx((1 + math.cos(math.pi / 400)) / 2, abs=FLOAT32)
    assert SGDR().multipliers(700, 100)[300] == (1 + math.cos(0)) / 2 == 1
