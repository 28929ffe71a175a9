"""What was tried for speed and did not pay, measured side by side.

    python tests/benchmarks/did_not_pay.py      # writes results/reference/did_not_pay/

Every pair is measured in turns in one process of one thread: the median of the repeats, the lowest and the highest.
"""

import csv
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from fastai.learner import Learner
from fastai.optimizer import Adam
from fastai.torch_core import TensorImage
from torch import nn

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from lrlab.recipes.kitchen.data.dataloaders import BatchFlips  # noqa: E402
from lrlab.recipes.kitchen.learner.fused_adam import FusedAdam  # noqa: E402
from lrlab.recipes.kitchen.learner.precision import autocast  # noqa: E402
from lrlab.recipes.kitchen.learner.quick_learner import QuickLearner  # noqa: E402
from lrlab.recipes.kitchen.machine.environment import environment  # noqa: E402
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision  # noqa: E402
from lrlab.recipes.kitchen.workloads import ImageWorkload  # noqa: E402

prepare_torchvision()  # before fastai.vision.augment

TARGET = ROOT / "results" / "reference" / "did_not_pay"
REPEATS = 7
GRID_STEPS = 24 * 7 * 30  # optimizer steps of the default comparison
Row = tuple[str, str, float, float, float, str]  # idea, arm, median, lowest, highest, unit


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turns(idea: str, arms: dict[str, Callable[[], object]], scale: float, unit: str) -> list[Row]:
    "Every arm once for warming up, then REPEATS times in turns."
    times: dict[str, list[float]] = {arm: [] for arm in arms}
    for _ in range(REPEATS + 1):
        for arm, work in arms.items():
            times[arm].append(scale * timed(work))
    return [(idea, arm, statistics.median(own[1:]), min(own[1:]), max(own[1:]), unit) for arm, own in times.items()]


def learner(arch: str = "small", size: int | None = None, precision: str = "bf16"):
    return ImageWorkload(arch=arch, size=size, precision=precision, head_epochs=0).learner(0)


def train_step(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, precision: str) -> None:
    with autocast(precision, x.device):
        prediction = model(x)
    torch.nn.functional.cross_entropy(prediction.float(), y).backward()
    model.zero_grad()


def batch(learn) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = learn.dls.one_batch()
    return x.as_subclass(torch.Tensor), y.as_subclass(torch.Tensor)


def compiled() -> list[Row]:
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp()  # as on a machine that has not compiled this model yet
    idea, learn = "torch.compile", learner()
    x, y = batch(learn)
    faster = torch.compile(learn.model)
    seconds = timed(lambda: train_step(faster, x, y, "bf16"))
    steps = {"eager": learn.model, "compiled": faster}
    rows = in_turns(idea, {arm: partial(train_step, own, x, y, "bf16") for arm, own in steps.items()}, 1e3, "ms a step")
    return [*rows, (idea, "compiling, once per process", seconds, seconds, seconds, "s")]


def fused_optimizer() -> list[Row]:
    rows = []
    for arch, size, precision in (("small", None, "bf16"), ("efficientnet_lite0", 48, "fp32")):
        arms = {}
        for arm, kind in (("fastai's Adam", Adam), ("lrlab's FusedAdam", FusedAdam)):
            learn = learner(arch, size, precision)
            learn.opt_func = kind
            learn.create_opt()
            train_step_with_gradients(learn, precision)
            arms[arm] = learn.opt.step
        rows += in_turns(f"fused optimizer, {arch}", arms, 1e3, "ms a step")
        whole = in_turns("", {"": partial(train_step, learn.model, *batch(learn), precision)}, 1e3, "ms a step")[0]
        rows.append((f"fused optimizer, {arch}", "forward and backward, for comparison", *whole[2:]))
    return rows


def train_step_with_gradients(learn, precision: str) -> None:
    x, y = batch(learn)
    with autocast(precision, x.device):
        prediction = learn.model(x)
    torch.nn.functional.cross_entropy(prediction.float(), y).backward()


def flips() -> list[Row]:
    from fastai.vision.augment import Dihedral, Flip

    x = TensorImage(torch.rand(64, 1, 64, 64))
    pixels = TensorImage((255 * x).byte())  # lrlab turns the images before it converts them
    arms = {
        "lrlab's BatchFlips, eight symmetries": lambda: BatchFlips("dihedral")(pixels, split_idx=0),
        "fastai's Dihedral": lambda: Dihedral(p=1.0)(x, split_idx=0),
        "fastai's Flip": lambda: Flip()(x, split_idx=0),
    }
    return in_turns("fastai's own flips", arms, 1e3, "ms a batch of 64")


def events() -> list[Row]:
    learn = learner()
    learn.model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))  # nothing to compute
    learn.create_opt()

    def epoch(kind: type[Learner]) -> None:
        learn.__class__ = kind
        with learn.no_bar(), learn.no_logging():
            learn.fit(1, 1e-3)

    arms = {"fastai's Learner": partial(epoch, Learner), "lrlab's QuickLearner": partial(epoch, QuickLearner)}
    steps = len(learn.dls.train)
    return in_turns("fastai's own events", arms, 1e3 / steps, "ms a step without a model")


def loading() -> list[Row]:
    learn = learner()
    x, y = batch(learn)

    def loader_alone() -> None:
        for _ in learn.dls.train:
            continue

    def training_alone() -> None:
        for _ in range(len(learn.dls.train)):
            train_step(learn.model, x, y, "bf16")

    arms = {"all batches of an epoch, loaded and augmented": loader_alone, "training on as many": training_alone}
    return in_turns("loading batches ahead in a thread", arms, 1e3, "ms an epoch")


def validation_batches() -> list[Row]:
    learn = learner()

    def validate(bs: int) -> None:
        with learn.no_bar(), learn.no_logging():
            learn.validate(dl=learn.dls.valid.new(bs=bs))

    arms = {f"batches of {bs}": partial(validate, bs) for bs in (128, 512)}
    return in_turns("larger validation batches", arms, 1e3, "ms a validation")


def bf16_for_lite0() -> list[Row]:
    learn = learner("efficientnet_lite0", 48, "fp32")
    x, y = batch(learn)
    arms = {precision: partial(train_step, learn.model, x, y, precision) for precision in ("fp32", "bf16")}
    return in_turns("bf16 for EfficientNet-Lite0", arms, 1e3, "ms a step")


WHY = {
    "torch.compile": "The default comparison makes {steps:,} steps in all: compiling costs {cost:.0f} s the first "
    "time, in each of two processes, and saves each {saved:.0f} s. It also needs a C++ compiler on the machine.",
    "fused optimizer, small": "The same updates up to rounding, by one call of torch's fused kernel a layer group. "
    "This one did pay: lrlab uses it.",
    "fused optimizer, efficientnet_lite0": "The same.",
    "fastai's own flips": "The same draws, resampled instead of indexed. This one did pay: lrlab has its own.",
    "fastai's own events": "fastai asks every callback at every event of a batch; lrlab asks those that have a method "
    "for it. This one did pay.",
    "loading batches ahead in a thread": "There is little to hide: this is the share of an epoch that loading takes.",
    "larger validation batches": "No gain worth the memory.",
    "bf16 for EfficientNet-Lite0": "Depthwise convolutions are slower in bf16 here, so `--precision auto` measures.",
}


def page(rows: list[Row]) -> str:
    about = environment()
    of = {(idea, arm): value for idea, arm, value, *_ in rows}
    saved = GRID_STEPS * (of["torch.compile", "eager"] - of["torch.compile", "compiled"]) / 2e3
    cost = of["torch.compile", "compiling, once per process"]
    lines = [
        "# What else was tried for speed, and mostly did not pay",
        "",
        f"Made by `python tests/benchmarks/did_not_pay.py` at commit {about['commit']} on {about['date'][:10]}: "
        f"{about['machine']['cpu']}, one thread, torch {about['versions']['torch']}, in turns, median of {REPEATS} "
        "(lowest to highest).",
        "",
        "| idea | arm | measured | |",
        "|---|---|---|---|",
    ]
    for idea, arm, median, low, high, unit in rows:
        lines.append(f"| {idea} | {arm} | {shown(median)} {unit} | {shown(low)} to {shown(high)} |")
    told = {idea: why.format(steps=GRID_STEPS, cost=cost, saved=saved) for idea, why in WHY.items()}
    return "\n".join([*lines, "", *(f"- **{idea}**: {why}" for idea, why in told.items()), ""])


def shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> None:
    torch.set_num_threads(1)
    rows: list[Row] = []
    for part in (flips, events, loading, validation_batches, fused_optimizer, bf16_for_lite0, compiled):
        rows += part()
        print(*rows[-2:], sep="\n", flush=True)
    text = page(rows)  # which names the commit: before the files of the checkout change
    TARGET.mkdir(parents=True, exist_ok=True)
    with open(TARGET / "did_not_pay.csv", "w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows([("idea", "arm", "median", "lowest", "highest", "unit"), *rows])
    (TARGET / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
