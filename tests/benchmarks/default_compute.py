"""The training compute of the default comparison, now and in lrlab 1.0, counted by torch.

    python tests/benchmarks/default_compute.py

Counts the floating-point operations of one optimizer step with `torch.utils.flop_counter.FlopCounterMode`, forward and
backward, and multiplies by the steps of all runs. Validation and LR range tests are not counted.
"""

import inspect

import torch
from torch.utils.flop_counter import FlopCounterMode

from lrlab.recipes import build, compare
from lrlab.recipes.kitchen.options import FIRST_SIZE, split_schedules

RELEASE = {"schedules": 8, "seeds": 3, "epochs": 7, "size": 64}  # of lrlab 1.0


def flops_per_step(learn) -> int:
    "Of one full training batch, forward and backward."
    x, y = (part.as_subclass(torch.Tensor) for part in learn.dls.one_batch())
    with FlopCounterMode(display=False) as counter:
        torch.nn.functional.cross_entropy(learn.model.train()(x), y).backward()
    return counter.get_total_flops()


def tera(schedules: int, seeds: int, epochs: int, size: int) -> float:
    "Training of all runs, in 10^12 operations."
    learn = build("solar", size=size, precision="fp32")
    return schedules * seeds * epochs * len(learn.dls.train) * flops_per_step(learn) / 1e12


def main() -> None:
    default = {name: parameter.default for name, parameter in inspect.signature(compare.main).parameters.items()}
    count = len(split_schedules(default["schedules"], "schedules"))
    now = {"schedules": count, "seeds": default["seeds"], "epochs": default["epochs"], "size": FIRST_SIZE}
    before, after = tera(**RELEASE), tera(**now)
    print(f"lrlab 1.0: {before:.1f} TFLOP ({RELEASE})")
    print(f"now: {after:.1f} TFLOP ({now}), {after / before:.0%} of that")


if __name__ == "__main__":
    main()
