"""Whole floats and the scalars of NumPy and torch are numbers everywhere; True and False are numbers nowhere."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from lrlab.callbacks import (
    Constant,
    CosineDecay,
    CosineRestarts,
    CycleAverage,
    GradualUnfreeze,
    MultiStep,
    OneCycle,
    ReduceOnPlateau,
    Resumable,
    ScheduleLR,
    SnapshotEnsemble,
    StartAt,
    StepDecay,
    StopOnDivergence,
    join,
    scaled,
    warmup,
)

FLOATS = {
    "floor": lambda v: CosineDecay(v).floor,
    "gamma": lambda v: StepDecay(gamma=v).gamma,
    "cycle_len": lambda v: CosineRestarts(v).cycle_len,
    "milestones": lambda v: MultiStep([v]).milestones[0],
    "pct_start": lambda v: OneCycle(v).pct_start,
    "warmup": lambda v: warmup(Constant(), v).length,
    "join": lambda v: join([(Constant(), v), (Constant(), None)]).parts[0][1],
    "scaled": lambda v: scaled(Constant(), v).factor,
    "moms": lambda v: ScheduleLR(Constant(), (v, v)).moms[0],
    "floor of StopOnDivergence": lambda v: StopOnDivergence(floor=v).floor,
    "min_scale": lambda v: ReduceOnPlateau(min_scale=v).min_scale,
    "min_lr": lambda v: ReduceOnPlateau(min_lr=v).min_lr,
}
WHOLE = {
    "every of SnapshotEnsemble": lambda v: SnapshotEnsemble(every=v).every,
    "keep": lambda v: SnapshotEnsemble(keep=v).keep,
    "skip": lambda v: CycleAverage(skip=v).skip,
    "patience": lambda v: StopOnDivergence(patience=v).patience,
    "cooldown": lambda v: ReduceOnPlateau(cooldown=v).cooldown,
    "every of GradualUnfreeze": lambda v: GradualUnfreeze(every=v).every,
    "every of Resumable": lambda v: Resumable("a", every=v).every,
    "epoch": lambda v: StartAt(v).first_epoch,
    "total_steps": lambda v: len(Constant().multipliers(v, v)),
}
SCALARS = [
    float,
    Fraction,
    np.float32,
    np.float64,
    np.array,
    torch.tensor,
    lambda v: torch.tensor(v, dtype=torch.float64),
]
WHOLE_SCALARS = [int, float, np.int64, np.float32, np.uint8, np.array, torch.tensor]


@pytest.mark.parametrize("make", FLOATS.values(), ids=FLOATS)
@pytest.mark.parametrize("kind", SCALARS)
def test_scalars_are_numbers(make, kind):
    got = make(kind(0.5))
    assert got == 0.5 and type(got) is float


@pytest.mark.parametrize("make", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("kind", WHOLE_SCALARS)
def test_whole_scalars_are_whole_numbers(make, kind):
    got = make(kind(3))
    assert got == 3 and type(got) is int


@pytest.mark.parametrize("make", (FLOATS | WHOLE).values(), ids=FLOATS | WHOLE)
@pytest.mark.parametrize("value", [True, False, np.bool_(True), torch.tensor(True)], ids=repr)
def test_booleans_are_refused(make, value):
    with pytest.raises(ValueError, match="must be"):
        make(value)


LR = [np.float32(1e-3), np.array(1e-3), np.float64(1e-3), torch.tensor(1e-3), 1e-3]


@pytest.mark.parametrize("lr", LR, ids=lambda lr: type(lr).__name__)
def test_lrs(make_learner, witness, lr):
    learn = make_learner(groups=3)
    learn.fit_schedule(np.int64(1), Constant(), lr, wd=np.float32(0.5), start_epoch=0.0, cbs=witness)
    assert witness.lrs[0] == pytest.approx([1e-3] * 3) and type(witness.lrs[0][0]) is float
    assert learn.preview_schedule(3.0, Constant(), slice(lr, lr)).to_df().shape == (90, 5)
    assert len(learn.lr_range_test(lr, end_lr=torch.tensor(1.0), num_it=10.0).lrs) == 10
    assert len(learn.lr_range_test(slice(lr, lr * 10), num_it=torch.tensor(10)).lrs) <= 10


@pytest.mark.parametrize("lr", [np.array([1e-4, 1e-3, 1e-2]), torch.tensor([1e-4, 1e-3, 1e-2]), (1e-4, 1e-3, 1e-2)])
def test_an_lr_for_each_group(make_learner, witness, lr):
    make_learner(groups=3).fit_schedule(1, Constant(), lr, cbs=witness)
    assert witness.lrs[0] == pytest.approx([1e-4, 1e-3, 1e-2])


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda learn: learn.fit_schedule(1, Constant(), True), r"lr_max must be a number in \[0, inf\), got True"),
        (lambda learn: learn.fit_schedule(1, Constant(), "1e-3"), "lr_max must be a number .* got '1e-3'"),
        (lambda learn: learn.fit_schedule(1, Constant(), slice(True, 1)), "lr_max.start must be a number"),
        (lambda learn: learn.preview_schedule(1, Constant(), slice(1, 2, 3)), "a slice of learning rates has no step"),
        (lambda learn: learn.lr_range_test(slice(1, 2, 3)), "start_lr=.*a slice of learning rates has no step"),
        (lambda learn: learn.fit_schedule(True, Constant(), 0.1), "n_epoch must be a whole number .* got True"),
        (lambda learn: learn.fit_schedule(2.5, Constant(), 0.1), "n_epoch must be a whole number .* got 2.5"),
        (lambda learn: learn.fit_schedule(1, Constant(), 0.1, start_epoch=False), "start_epoch must be a whole"),
        (lambda learn: learn.fit_schedule(1, Constant(), 0.1, moms=(True, 0.9)), "moms must be two numbers"),
        (lambda learn: learn.fit_schedule(1, Constant(), 0.1, wd=True), "wd must be a number"),
        (lambda learn: learn.lr_range_test(num_it=True), "num_it must be a whole number"),
        (lambda learn: learn.lr_range_test(end_lr=True), "end_lr must be a number"),
        (lambda learn: learn.fit_schedule(1, Constant(), [[0.1]]), r"lr_max must be a number .* got \[0.1\]"),
    ],
)
def test_what_is_no_number_is_refused_in_a_sentence(make_learner, fit, message):
    with pytest.raises(ValueError, match=message):
        fit(make_learner(groups=3))
