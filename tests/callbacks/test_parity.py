"""Every schedule against every peer that has it: the same LR at every step, to 1e-9, over drawn configurations.

A case draws arguments, builds lrlab's array and the peer's, and compares them; `EXAMPLES` draws for each of the cases
make the thousand. lr_max is 1, so LRs are multipliers. `parity_table.py` writes the largest differences as a table.

Where a peer is wrong, the case keeps to the arguments at which it is right, and a test at the end shows the error
beside the formula of the paper.

Long, and one file on purpose: a case is a few lines, and what no peer has shows as a gap in one list.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ignite.handlers.param_scheduler import CosineAnnealingScheduler, LinearCyclicalScheduler, PiecewiseLinear
from torch.optim import lr_scheduler as torch_lr
from transformers import optimization as hf

from lrlab.callbacks import (
    Constant,
    CosineDecay,
    CosineRestarts,
    ExponentialDecay,
    ExpRange,
    FlatCosine,
    InverseSqrt,
    OneCycle,
    Points,
    PolynomialDecay,
    Schedule,
    StepDecay,
    Trapezoid,
    Triangular,
    join,
    warmup,
)
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision

prepare_torchvision()  # timm imports torchvision
from timm.scheduler.cosine_lr import CosineLRScheduler  # noqa: E402
from timm.scheduler.poly_lr import PolyLRScheduler  # noqa: E402
from timm.scheduler.step_lr import StepLRScheduler  # noqa: E402

TOLERANCE = 1e-9
EXAMPLES = 50  # drawn configurations per case
DISTINCT = 40  # of which at least so many must differ

Curves = dict[str, tuple[np.ndarray, np.ndarray]]
"What is compared: name -> (lrlab's array, the peer's)."


@dataclass(frozen=True)
class Case:
    schedule: str
    peer: str
    arguments: dict[str, st.SearchStrategy]
    compare: Callable[..., Curves]

    def __str__(self) -> str:
        return f"{self.schedule} = {self.peer}"


CASES: list[Case] = []


def case(schedule: str, peer: str, **arguments: st.SearchStrategy) -> Callable:
    "Register a function from drawn arguments to the curves to compare."

    def register(compare: Callable[..., Curves]) -> Callable[..., Curves]:
        CASES.append(Case(schedule, peer, arguments, compare))
        return compare

    return register


def largest_difference(a_case: Case) -> tuple[float, int]:
    "The largest difference at any step of any drawn configuration, and how many distinct ones were drawn."
    worst, drawn = 0.0, set()

    @settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.fixed_dictionaries(a_case.arguments))
    def check(config: dict[str, Any]) -> None:
        nonlocal worst
        for name, (ours, theirs) in a_case.compare(**config).items():
            difference = np.abs(ours - theirs)
            step = int(difference.argmax())
            assert difference[step] <= TOLERANCE, f"{name} at step {step}: {ours[step]!r}, the peer {theirs[step]!r}"
            worst = max(worst, float(difference[step]))
        drawn.add(repr(config))

    check()
    return worst, len(drawn)


@pytest.mark.parametrize("a_case", CASES, ids=str)
def test_the_peer_has_the_same_lr_at_every_step(a_case: Case):
    _, distinct = largest_difference(a_case)
    assert distinct >= DISTINCT


def test_the_cases_draw_a_thousand_configurations():
    assert len(CASES) * DISTINCT >= 1000


# How each peer is stepped


def ours(schedule: Schedule, steps: int) -> np.ndarray:
    return schedule.multipliers(steps, steps_per_epoch=10)


def torch_groups(make: Callable[[torch.optim.Optimizer], Any], steps: int, momentum: float = 0.0) -> list[dict]:
    "The parameter group as the optimizer would use it at every step; torch's schedulers step after the optimizer."
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=momentum)
    scheduler, groups = make(optimizer), []
    optimizer.step()  # one is enough for torch not to warn: without gradients it changes nothing
    for _ in range(steps):
        groups.append(dict(optimizer.param_groups[0]))
        scheduler.step()
    return groups


def torch_lrs(make: Callable[[torch.optim.Optimizer], Any], steps: int) -> np.ndarray:
    return np.array([group["lr"] for group in torch_groups(make, steps)])


def timm_lrs(make: Callable[[torch.optim.Optimizer], Any], steps: int) -> np.ndarray:
    "timm counts updates itself: after the update of step t it is told t + 1."
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, lrs = make(optimizer), []
    for step in range(steps):
        lrs.append(optimizer.param_groups[0]["lr"])
        scheduler.step_update(step + 1)
    return np.array(lrs)


def ignite_lrs(scheduler: type, steps: int, **arguments: Any) -> np.ndarray:
    return np.array(scheduler.simulate_values(num_events=steps, param_name="lr", **arguments))[:, 1]


STEPS = st.integers(2, 300)
FLOOR = st.floats(0.0, 0.9)
GAMMA = st.floats(0.3, 1.0)
PART = st.floats(0.05, 0.95)

# torch


def cyclic(schedule: Schedule, steps: int, half: int, floor: float, **mode: Any) -> Curves:
    def make(optimizer: torch.optim.Optimizer) -> torch_lr.CyclicLR:
        moms = {"base_momentum": 0.8, "max_momentum": 0.9}
        return torch_lr.CyclicLR(optimizer, floor, 1.0, step_size_up=half, cycle_momentum=True, **moms, **mode)

    groups = torch_groups(make, steps, momentum=0.9)
    momentum = 0.9 - (0.9 - 0.8) * schedule.momentum_shape(steps, 10)
    return {
        "lr": (ours(schedule, steps), np.array([group["lr"] for group in groups])),
        "momentum": (momentum, np.array([group["momentum"] for group in groups])),
    }


@case("Triangular", "torch CyclicLR triangular", steps=STEPS, half=st.integers(1, 80), floor=FLOOR)
def triangular(steps, half, floor):
    return cyclic(Triangular(f"{2 * half} steps", floor=floor), steps, half, floor)


@case("Triangular(gamma=0.5)", "torch CyclicLR triangular2", steps=STEPS, half=st.integers(1, 80), floor=FLOOR)
def triangular2(steps, half, floor):
    return cyclic(Triangular(f"{2 * half} steps", gamma=0.5, floor=floor), steps, half, floor, mode="triangular2")


@case(
    "ExpRange",
    "torch CyclicLR exp_range",
    steps=STEPS,
    half=st.integers(1, 80),
    floor=FLOOR,
    gamma=st.floats(0.9, 1.0),
)
def exp_range(steps, half, floor, gamma):
    return cyclic(ExpRange(f"{2 * half} steps", gamma, floor), steps, half, floor, mode="exp_range", gamma=gamma)


@case(
    "CosineRestarts",
    "torch CosineAnnealingWarmRestarts",
    steps=STEPS,
    first=st.integers(2, 60),
    mult=st.integers(1, 4),
    floor=FLOOR,
)
def cosine_restarts(steps, first, mult, floor):
    def make(optimizer):
        return torch_lr.CosineAnnealingWarmRestarts(optimizer, first, mult, eta_min=floor)

    return {"lr": (ours(CosineRestarts(f"{first} steps", mult, floor=floor), steps), torch_lrs(make, steps))}


@case(
    "OneCycle",
    "torch OneCycleLR",
    steps=st.integers(4, 300),
    pct_start=PART,
    div=st.floats(1, 100),
    div_final=st.floats(200, 1e6),
)
def one_cycle(steps, pct_start, div, div_final):
    """torch reaches the end points *at* a step, fastai between two: one step more, and the same peak.

    torch's final divisor counts from the initial LR, fastai's from the top.
    """

    def make(optimizer):
        return torch_lr.OneCycleLR(
            optimizer, 1.0, total_steps=steps + 1, pct_start=(pct_start * steps + 1) / (steps + 1), div_factor=div,
            final_div_factor=div_final / div, base_momentum=0.85, max_momentum=0.95,
        )  # fmt: skip

    schedule, groups = OneCycle(pct_start, div, div_final), torch_groups(make, steps, momentum=0.95)
    momentum = 0.95 - (0.95 - 0.85) * schedule.momentum_shape(steps, 10)
    return {
        "lr": (ours(schedule, steps), np.array([group["lr"] for group in groups])),
        "momentum": (momentum, np.array([group["momentum"] for group in groups])),
    }


@case("Points", "torch OneCycleLR three_phase linear", steps=st.integers(10, 300), up=st.floats(0.1, 0.45))
def smiths_one_cycle(steps, up):
    "Smith 2018 (arXiv:1803.09820): straight up, straight down for as long, then annihilation."

    def make(optimizer):
        return torch_lr.OneCycleLR(
            optimizer, 1.0, total_steps=steps + 1, pct_start=(up * steps + 1) / (steps + 1), div_factor=10,
            final_div_factor=100, three_phase=True, anneal_strategy="linear", cycle_momentum=False,
        )  # fmt: skip

    points = Points(((0, 0.1), (up, 1.0), (2 * up, 0.1), (1, 0.001)))
    return {"lr": (ours(points, steps), torch_lrs(make, steps))}


@case("StepDecay", "torch StepLR", steps=STEPS, every=st.integers(1, 100), gamma=GAMMA)
def step_decay(steps, every, gamma):
    theirs = torch_lrs(lambda optimizer: torch_lr.StepLR(optimizer, every, gamma), steps)
    return {"lr": (ours(StepDecay(f"{every} steps", gamma), steps), theirs)}


@case("ExponentialDecay", "torch ExponentialLR", steps=STEPS, gamma=GAMMA)
def exponential_decay(steps, gamma):
    theirs = torch_lrs(lambda optimizer: torch_lr.ExponentialLR(optimizer, gamma), steps)
    return {"lr": (ours(ExponentialDecay(gamma, "1 steps"), steps), theirs)}


@case("PolynomialDecay", "torch PolynomialLR", steps=STEPS, power=st.floats(0.5, 4))
def polynomial_decay(steps, power):
    theirs = torch_lrs(lambda optimizer: torch_lr.PolynomialLR(optimizer, steps, power), steps)
    return {"lr": (ours(PolynomialDecay(power), steps), theirs)}


@case("CosineDecay", "torch CosineAnnealingLR", steps=STEPS, floor=FLOOR)
def cosine_decay(steps, floor):
    theirs = torch_lrs(lambda optimizer: torch_lr.CosineAnnealingLR(optimizer, steps, eta_min=floor), steps)
    return {"lr": (ours(CosineDecay(floor), steps), theirs)}


def sequential(steps: int, lengths: list[int], *parts: Callable[[torch.optim.Optimizer], Any]) -> np.ndarray:
    def make(optimizer):
        return torch_lr.SequentialLR(optimizer, [part(optimizer) for part in parts], np.cumsum(lengths).tolist())

    return torch_lrs(make, steps)


@case(
    "warmup(CosineDecay)",
    "torch SequentialLR(LinearLR, CosineAnnealingLR)",
    up=st.integers(1, 100),
    rest=st.integers(2, 200),
    start=st.floats(0.01, 1),
    floor=FLOOR,
)
def warm_cosine(up, rest, start, floor):
    theirs = sequential(
        up + rest,
        [up],
        lambda optimizer: torch_lr.LinearLR(optimizer, start, total_iters=up),
        lambda optimizer: torch_lr.CosineAnnealingLR(optimizer, rest, eta_min=floor),
    )
    return {"lr": (ours(warmup(CosineDecay(floor), f"{up} steps", start), up + rest), theirs)}


@case(
    "warmup(CosineRestarts)",
    "torch SequentialLR(LinearLR, CosineAnnealingWarmRestarts)",
    up=st.integers(1, 100),
    rest=st.integers(2, 200),
    start=st.floats(0.01, 1),
    first=st.integers(2, 60),
    mult=st.integers(1, 3),
)
def warm_restarts(up, rest, start, first, mult):
    theirs = sequential(
        up + rest,
        [up],
        lambda optimizer: torch_lr.LinearLR(optimizer, start, total_iters=up),
        lambda optimizer: torch_lr.CosineAnnealingWarmRestarts(optimizer, first, mult),
    )
    return {"lr": (ours(warmup(CosineRestarts(f"{first} steps", mult), f"{up} steps", start), up + rest), theirs)}


@case(
    "FlatCosine",
    "torch SequentialLR(ConstantLR, CosineAnnealingLR)",
    flat=st.integers(1, 200),
    rest=st.integers(2, 200),
    div_final=st.floats(2, 1e6),
)
def flat_cosine(flat, rest, div_final):
    theirs = sequential(
        flat + rest,
        [flat],
        lambda optimizer: torch_lr.ConstantLR(optimizer, 1.0),
        lambda optimizer: torch_lr.CosineAnnealingLR(optimizer, rest, eta_min=1 / div_final),
    )
    return {"lr": (ours(FlatCosine(flat / (flat + rest), div_final), flat + rest), theirs)}


@case(
    "join",
    "torch SequentialLR(ConstantLR, ExponentialLR, CosineAnnealingLR)",
    flat=st.integers(1, 100),
    falling=st.integers(1, 100),
    rest=st.integers(2, 100),
    gamma=GAMMA,
)
def joined(flat, falling, rest, gamma):
    schedule = join(
        [
            (Constant(), f"{flat} steps"),
            (ExponentialDecay(gamma, "1 steps"), f"{falling} steps"),
            (CosineDecay(), None),
        ]
    )
    steps = flat + falling + rest
    theirs = sequential(
        steps,
        [flat, falling],
        lambda optimizer: torch_lr.ConstantLR(optimizer, 1.0),
        lambda optimizer: torch_lr.ExponentialLR(optimizer, gamma),
        lambda optimizer: torch_lr.CosineAnnealingLR(optimizer, rest),
    )
    return {"lr": (ours(schedule, steps), theirs)}


@case(
    "Trapezoid(shape='exponential')",
    "torch SequentialLR(LinearLR, ConstantLR, ExponentialLR)",
    up=st.integers(1, 100),
    flat=st.integers(1, 100),
    down=st.integers(1, 100),
    floor=st.floats(0.001, 0.9),
)
def exponential_cooldown(up, flat, down, floor):
    theirs = sequential(
        up + flat + down,
        [up, flat],
        lambda optimizer: torch_lr.LinearLR(optimizer, floor, total_iters=up),
        lambda optimizer: torch_lr.ConstantLR(optimizer, 1.0),
        lambda optimizer: torch_lr.ExponentialLR(optimizer, floor ** (1 / down)),
    )
    schedule = Trapezoid(f"{up} steps", f"{down} steps", "exponential", floor)
    return {"lr": (ours(schedule, up + flat + down), theirs)}


# timm


@case(
    "CosineRestarts(gamma)",
    "timm CosineLRScheduler cycle_mul, cycle_decay",
    steps=STEPS,
    first=st.integers(20, 80),
    mult=st.sampled_from([1, 2]),
    gamma=GAMMA,
    low=st.floats(0, 0.9),
)
def timm_cosine(steps, first, mult, gamma, low):
    floor = low * gamma ** (steps // first)  # timm has no guard: its peaks sink below the floor

    def make(optimizer):
        return CosineLRScheduler(
            optimizer, first, lr_min=floor, cycle_mul=mult, cycle_decay=gamma, cycle_limit=99, t_in_epochs=False
        )

    schedule = CosineRestarts(f"{first} steps", mult, gamma, "peak", floor)
    return {"lr": (ours(schedule, steps), timm_lrs(make, steps))}


@case(
    "CosineRestarts(cycle_mult=1.5)",
    "timm CosineLRScheduler cycle_mul=1.5",
    scale=st.integers(1, 8),
    part=st.floats(0.1, 1),
    gamma=GAMMA,
)
def timm_cosine_fraction(scale, part, gamma):
    "Cycles of 16, 24, 36, 54 and 81 steps, or multiples: whole ones, as timm does not round."
    steps = max(2, round(211 * scale * part))

    def make(optimizer):
        return CosineLRScheduler(
            optimizer, 16 * scale, cycle_mul=1.5, cycle_decay=gamma, cycle_limit=99, t_in_epochs=False
        )

    return {"lr": (ours(CosineRestarts(f"{16 * scale} steps", 1.5, gamma), steps), timm_lrs(make, steps))}


@case(
    "warmup(CosineDecay)",
    "timm CosineLRScheduler warmup_prefix",
    up=st.integers(1, 100),
    rest=st.integers(2, 200),
    start=st.floats(0, 1),
    floor=FLOOR,
)
def timm_warmup(up, rest, start, floor):
    def make(optimizer):
        return CosineLRScheduler(
            optimizer, rest, lr_min=floor, warmup_t=up, warmup_lr_init=start, warmup_prefix=True, t_in_epochs=False
        )

    schedule = warmup(CosineDecay(floor), f"{up} steps", start)
    return {"lr": (ours(schedule, up + rest), timm_lrs(make, up + rest))}


@case("PolynomialDecay(floor)", "timm PolyLRScheduler", steps=STEPS, power=st.floats(0.5, 4), floor=FLOOR)
def timm_poly(steps, power, floor):
    def make(optimizer):
        return PolyLRScheduler(optimizer, steps, power=power, lr_min=floor, t_in_epochs=False)

    return {"lr": (ours(PolynomialDecay(power, floor), steps), timm_lrs(make, steps))}


@case("StepDecay", "timm StepLRScheduler", steps=STEPS, every=st.integers(1, 100), gamma=GAMMA)
def timm_step(steps, every, gamma):
    theirs = timm_lrs(lambda optimizer: StepLRScheduler(optimizer, every, gamma, t_in_epochs=False), steps)
    return {"lr": (ours(StepDecay(f"{every} steps", gamma), steps), theirs)}


# pytorch-ignite

# Cycle lengths that stay whole under their multiplier: ignite cuts off what is behind the point, cycle after cycle.
WHOLE = st.one_of(
    st.tuples(st.integers(2, 80), st.sampled_from([1, 2, 3]), st.integers(2, 300)),
    st.tuples(st.integers(1, 4).map(lambda k: 16 * k), st.just(1.5), st.integers(2, 211)),
    st.tuples(st.just(128), st.just(0.5), st.integers(2, 254)),
)


@case("Triangular(cycle_mult, gamma)", "ignite LinearCyclicalScheduler", cycles=WHOLE, gamma=GAMMA, low=PART)
def ignite_triangular(cycles, gamma, low):
    first, mult, steps = cycles
    schedule = Triangular(f"{first} steps", mult, gamma, "peak", floor := low * gamma ** cycles_in(first, mult, steps))
    theirs = ignite_lrs(
        LinearCyclicalScheduler,
        steps,
        start_value=floor,
        end_value=1.0,
        cycle_size=first,
        cycle_mult=mult,
        end_value_mult=gamma,
    )
    return {"lr": (ours(schedule, steps), theirs)}


@case("CosineRestarts(cycle_mult, gamma)", "ignite CosineAnnealingScheduler", cycles=WHOLE, gamma=GAMMA, low=PART)
def ignite_cosine(cycles, gamma, low):
    first, mult, steps = cycles
    schedule = CosineRestarts(f"{first} steps", mult, gamma, floor=(floor := low * gamma ** cycles_in(*cycles)))
    theirs = ignite_lrs(
        CosineAnnealingScheduler,
        steps,
        start_value=1.0,
        end_value=floor,
        cycle_size=first,
        cycle_mult=mult,
        start_value_mult=gamma,
    )
    return {"lr": (ours(schedule, steps), theirs)}


def cycles_in(first: float, mult: float, steps: int) -> int:
    count = 0
    while steps > 0:
        steps, first, count = steps - first, first * mult, count + 1
    return count


@case(
    "Points",
    "ignite PiecewiseLinear",
    steps=st.integers(10, 300),
    knots=st.lists(st.tuples(st.integers(0, 9), PART), min_size=2, max_size=6, unique_by=lambda knot: knot[0]),
)
def ignite_points(steps, knots):
    milestones = [(steps * tenth // 10, value) for tenth, value in sorted(knots)]
    points = Points(tuple((step / steps, value) for step, value in milestones))
    return {"lr": (ours(points, steps), ignite_lrs(PiecewiseLinear, steps, milestones_values=milestones))}


# transformers


@case(
    "Trapezoid",
    "transformers get_wsd_schedule",
    up=st.integers(0, 100),
    flat=st.integers(0, 100),
    down=st.integers(1, 100),
    shape=st.sampled_from(["linear", "cosine", "1-sqrt"]),
    floor=FLOOR,
)
def trapezoid(up, flat, down, shape, floor):
    def make(optimizer):
        return hf.get_wsd_schedule(
            optimizer, up, down, num_stable_steps=flat, decay_type=shape, min_lr_ratio=floor, num_cycles=0.5
        )

    schedule = Trapezoid(f"{up} steps", f"{down} steps", shape, floor)
    return {"lr": (ours(schedule, up + flat + down), torch_lrs(make, up + flat + down))}


@case(
    "warmup(CosineRestarts(cycle_mult=1))",
    "transformers cosine_with_hard_restarts",
    up=st.integers(1, 50),
    count=st.sampled_from([1, 2, 4, 8]),
    length=st.integers(1, 6).map(lambda k: 2**k),
)
def hf_restarts(up, count, length):
    "Powers of two, at which its progress in floating point does not miss the restart."
    steps = up + count * length

    def make(optimizer):
        return hf.get_cosine_with_hard_restarts_schedule_with_warmup(optimizer, up, steps, count)

    schedule = warmup(CosineRestarts(f"{length} steps", cycle_mult=1), f"{up} steps")
    return {"lr": (ours(schedule, steps), torch_lrs(make, steps))}


@case("InverseSqrt", "transformers get_inverse_sqrt_schedule", steps=STEPS, part=st.floats(0, 1))
def inverse_sqrt(steps, part):
    up = max(1, round(part * steps))
    theirs = torch_lrs(lambda optimizer: hf.get_inverse_sqrt_schedule(optimizer, up), steps)
    return {"lr": (ours(InverseSqrt(f"{up} steps"), steps), theirs)}


@case("warmup(CosineDecay)", "transformers get_cosine_schedule_with_warmup", up=st.integers(1, 99), rest=STEPS)
def hf_cosine(up, rest):
    theirs = torch_lrs(lambda optimizer: hf.get_cosine_schedule_with_warmup(optimizer, up, up + rest), up + rest)
    return {"lr": (ours(warmup(CosineDecay(), f"{up} steps"), up + rest), theirs)}


@case("warmup(PolynomialDecay)", "transformers get_linear_schedule_with_warmup", up=st.integers(1, 99), rest=STEPS)
def hf_linear(up, rest):
    theirs = torch_lrs(lambda optimizer: hf.get_linear_schedule_with_warmup(optimizer, up, up + rest), up + rest)
    return {"lr": (ours(warmup(PolynomialDecay(), f"{up} steps"), up + rest), theirs)}


# Where a peer is wrong: what it does, and the formula of the paper beside it


def sgdr(t: int, first: int, mult: int) -> float:
    "Loshchilov & Hutter 2016, eq. 5 between 0 and 1, counting the cycles in whole numbers."
    length = first
    while t >= length:
        t, length = t - length, length * mult
    return (1 + math.cos(math.pi * t / length)) / 2


def test_timm_restarts_late_for_a_multiplier_of_three():
    "It finds the cycle by a logarithm: log(243, 3) is 4.999..., so the restart at step 121 stays at the minimum."
    theirs = timm_lrs(
        lambda optimizer: CosineLRScheduler(optimizer, 1, cycle_mul=3, cycle_limit=99, t_in_epochs=False), 130
    )
    assert math.log(243, 3) < 5
    assert theirs[121] < 1e-9
    assert sgdr(121, 1, 3) == 1
    assert ours(join([(Constant(), "1 steps"), (CosineRestarts("3 steps", 3), None)]), 130)[121] == 1


def test_timm_peaks_sink_below_the_floor():
    "With cycle_decay the LR *rises* within a cycle once the peak is below lr_min; lrlab's stays on the floor."
    theirs = timm_lrs(
        lambda optimizer: CosineLRScheduler(
            optimizer, 10, lr_min=0.2, cycle_decay=0.1, cycle_limit=99, t_in_epochs=False
        ),
        20,
    )
    assert theirs[10] < theirs[19] < 0.2
    assert (ours(CosineRestarts("10 steps", 1, 0.1, "peak", 0.2), 20)[10:] == 0.2).all()


def test_transformers_can_miss_a_restart():
    "`num_cycles * progress % 1` is 0.999... where it should be 0: the restart's first step gets the minimum."
    theirs = torch_lrs(
        lambda optimizer: hf.get_cosine_with_hard_restarts_schedule_with_warmup(optimizer, 0, 98, 49), 98
    )
    assert (49 * (2 / 98)) % 1 > 0.99
    assert theirs[2] < 1e-9
    assert sgdr(2, 2, 1) == ours(CosineRestarts("2 steps", 1), 98)[2] == 1


def test_torch_restarts_wrongly_when_told_the_step():
    "CosineAnnealingWarmRestarts.step(121) after cycles of 1, 3, 9, 27, 81: int(log) again; plain step() is right."
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch_lr.CosineAnnealingWarmRestarts(optimizer, 1, 3)
    optimizer.step()
    scheduler.step(121)
    assert optimizer.param_groups[0]["lr"] < 1e-9
    assert sgdr(121, 1, 3) == 1


def test_ignite_cuts_fractional_cycles_short():
    "Cycles of 5, 7.5, 11.25 steps end at 5, 12.5, 23.75; ignite's, truncated one by one, at 5, 12, 22."
    theirs = ignite_lrs(CosineAnnealingScheduler, 30, start_value=1.0, end_value=0.0, cycle_size=5, cycle_mult=1.5)
    assert np.flatnonzero(theirs == 1).tolist() == [0, 5, 12, 22]
    assert np.flatnonzero(ours(CosineRestarts("5 steps", 1.5), 30) == 1).tolist() == [0, 5, 12, 24]
