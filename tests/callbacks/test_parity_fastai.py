"""lrlab against fastai's own `fit_one_cycle`, `fit_flat_cos` and `fit_sgdr`, as recorded on real Learners.

fastai keeps the bounds of its phases in float32, so it agrees to that error only, and restarts SGDR late where float32
rounds a bound up: `test_fastai_restarts_one_batch_late` shows it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from fastai.basics import Learner, noop
from fastai.callback.progress import ProgressCallback
from fastai.callback.schedule import SchedCos, combine_scheds
from fastai.test_utils import synth_learner

from lrlab.callbacks import SGDR, FlatCosine, OneCycle

FLOAT32 = 1e-6  # of lr_max: a bound is off by up to 6e-8 of the run, which the steepest curve turns into this
LR_MAX = 0.1

Curves = dict[str, tuple[np.ndarray, np.ndarray]]
"What is compared: name -> (lrlab's array, fastai's)."


def quiet_learner(batches: int) -> Learner:
    learn = synth_learner(n_trn=batches)
    learn.remove_cbs(ProgressCallback)
    learn.logger = noop
    return learn


def recorded(learn: Learner, name: str) -> np.ndarray:
    return np.array(learn.recorder.hps[name])


def one_cycle(epochs: int, batches: int, **arguments: float) -> Curves:
    learn, schedule = quiet_learner(batches), OneCycle(**arguments)
    learn.fit_one_cycle(epochs, LR_MAX, moms=(0.95, 0.85, 0.95), **arguments)
    momentum = 0.95 - (0.95 - 0.85) * schedule.momentum_shape(epochs * batches, batches)
    return {
        "lr": (schedule.multipliers(epochs * batches, batches), recorded(learn, "lr") / LR_MAX),
        "momentum": (momentum, recorded(learn, "mom")),
    }


def flat_cosine(epochs: int, batches: int, **arguments: float) -> Curves:
    learn = quiet_learner(batches)
    learn.fit_flat_cos(epochs, LR_MAX, **arguments)
    return {"lr": (FlatCosine(**arguments).multipliers(epochs * batches, batches), recorded(learn, "lr") / LR_MAX)}


def sgdr(cycles: int, cycle_len: int, cycle_mult: int, batches: int) -> Curves:
    "At every step but the restarts, where float32 decides whether fastai is in time."
    learn = quiet_learner(batches)
    learn.fit_sgdr(cycles, cycle_len, LR_MAX, cycle_mult=cycle_mult)
    theirs = recorded(learn, "lr") / LR_MAX
    ours = SGDR(cycle_len, cycle_mult).multipliers(len(theirs), batches)
    restarts = [batches * cycle_len * (cycle_mult**i - 1) // (cycle_mult - 1) for i in range(cycles)]
    assert (ours[restarts] == 1).all()
    return {"lr": (np.delete(ours, restarts), np.delete(theirs, restarts))}


FITS: dict[tuple[str, str], tuple[Callable[..., Curves], list[dict[str, float]]]] = {
    ("OneCycle", "fastai fit_one_cycle"): (
        one_cycle,
        [
            {"epochs": 1, "batches": 10},
            {"epochs": 3, "batches": 7},
            {"epochs": 7, "batches": 13, "pct_start": 0.3},
            {"epochs": 2, "batches": 50, "pct_start": 0.99, "div": 5.0},
            {"epochs": 5, "batches": 20, "div": 10.0, "div_final": 100.0},
            {"epochs": 4, "batches": 25, "pct_start": 0.1, "div_final": 1e3},
        ],
    ),
    ("FlatCosine", "fastai fit_flat_cos"): (
        flat_cosine,
        [
            {"epochs": 1, "batches": 10},
            {"epochs": 4, "batches": 7},
            {"epochs": 7, "batches": 13, "pct_start": 0.5},
            {"epochs": 2, "batches": 50, "pct_start": 0.1, "div_final": 10.0},
            {"epochs": 5, "batches": 20, "div_final": 1e3},
        ],
    ),
    ("CosineRestarts", "fastai fit_sgdr"): (
        sgdr,
        [
            {"cycles": 1, "cycle_len": 1, "cycle_mult": 2, "batches": 10},
            {"cycles": 2, "cycle_len": 1, "cycle_mult": 2, "batches": 13},
            {"cycles": 3, "cycle_len": 1, "cycle_mult": 2, "batches": 16},
            {"cycles": 2, "cycle_len": 2, "cycle_mult": 3, "batches": 10},
            {"cycles": 3, "cycle_len": 1, "cycle_mult": 2, "batches": 100},
            {"cycles": 3, "cycle_len": 2, "cycle_mult": 2, "batches": 37},
            {"cycles": 4, "cycle_len": 1, "cycle_mult": 2, "batches": 50},
        ],
    ),
}


@pytest.mark.parametrize(
    ("compare", "config"),
    [
        pytest.param(compare, config, id=f"{peer} {config}")
        for (_, peer), (compare, configs) in FITS.items()
        for config in configs
    ],
)
def test_a_real_fit_has_the_same_lrs(compare, config):
    for name, (ours, theirs) in compare(**config).items():
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=FLOAT32, err_msg=name)


def test_fastai_restarts_one_batch_late():
    """Loshchilov & Hutter 2016, eq. 5: T_cur = 0 at a restart, so the LR is at its maximum. fastai's is at 0.

    fit_sgdr(3, 1) with 100 batches an epoch: 3/7 in float32 lies above the double 300/700.
    """
    fastai = combine_scheds([1 / 7, 2 / 7, 4 / 7], [SchedCos(1.0, 0.0)] * 3)
    assert fastai(300 / 700) == pytest.approx(0, abs=1e-9)
    assert fastai(301 / 700) == pytest.approx((1 + math.cos(math.pi / 400)) / 2, abs=FLOAT32)
    assert SGDR().multipliers(700, 100)[300] == (1 + math.cos(0)) / 2 == 1
