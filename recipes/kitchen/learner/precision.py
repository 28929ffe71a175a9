"""The number format of the forward pass: fp32, bf16 or (on a GPU) fp16, and which of them is fastest here."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from fastai.callback.core import Callback
from fastai.callback.fp16 import MixedPrecision
from torch import nn
from torch.nn.functional import cross_entropy

from lrlab.callbacks.events import QuickCallback
from lrlab.recipes.kitchen.errors import UserError

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
ROUNDS = 4  # steps of each precision, in turns; the first of each is not counted
GAIN = 1.1  # how many times as fast as fp32 another precision has to be
CPU_BS = 16  # images of a step on a CPU: enough to tell, and no waiting for large images


def check_precision(precision: str) -> None:
    "Raise UserError unless this machine can compute in `precision`."
    if precision not in PRECISIONS:
        raise UserError(f"`precision` {precision}: expected one of {', '.join(PRECISIONS)}")
    if precision == "fp16" and not torch.cuda.is_available():
        raise UserError("`precision` fp16 needs a GPU; choose fp32, bf16 or auto")


def precision_callbacks(precision: str) -> list[type[Callback]]:
    "What a Learner needs to train in `precision`, as classes."
    return {"fp32": [], "bf16": [Bf16], "fp16": [Fp16]}[precision]


def precision_of(learn) -> str:
    "The precision in which a Learner of a workload trains."
    callbacks = [type(cb) for cb in learn.cbs]
    return "bf16" if Bf16 in callbacks else "fp16" if Fp16 in callbacks else "fp32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    "`precision` as a context, for a model called outside of a fit."
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


class Bf16(QuickCallback):
    "Runs the forward pass in bfloat16 on any device (fastai's own mixed precision serves CUDA only)."

    order = 10
    _open: AbstractContextManager | None = None

    def before_batch(self):
        self._open = torch.autocast(self.dls.device.type, torch.bfloat16)
        self._open.__enter__()

    def after_pred(self):
        self.close()
        self.learn.pred = self.pred.float()

    def close(self):
        "Leave autocast. `QuickLearner` asks for it where the forward pass raised and there is no prediction."
        if self._open is not None:
            self._open.__exit__(None, None, None)
            self._open = None


class Fp16(MixedPrecision):
    "fastai's mixed precision, which can be told to leave autocast as well."

    _entered = False

    def before_batch(self):
        super().before_batch()
        self._entered = True

    def after_loss(self):
        super().after_loss()
        self._entered = False

    def close(self):
        "As `Bf16.close`."
        if self._entered:
            self.autocast.__exit__(None, None, None)
            self._entered = False


def candidates() -> list[str]:
    "The precisions for which this machine has instructions; without them bf16 is emulated, and slow."
    if torch.cuda.is_available():
        return ["fp32", "bf16" if torch.cuda.is_bf16_supported() else "fp16"]
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return ["fp32", "bf16"] if has_bf16() else ["fp32"]


def fastest(make_model: Callable[[], nn.Module], shape: tuple[int, int, int, int], device: torch.device) -> str:
    "The precision in which a training step on a batch of `shape` [n, channels, height, width] takes least time."
    names = candidates()
    if len(names) == 1:
        return names[0]
    model = make_model().to(device, memory_format=torch.channels_last).train()
    shape = shape if device.type != "cpu" else (min(shape[0], CPU_BS), *shape[1:])
    images = torch.rand(shape, device=device).contiguous(memory_format=torch.channels_last)
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name in names:
            times[name].append(_seconds_of_a_step(model, images, name))
    seconds = {name: min(own[1:]) for name, own in times.items()}
    best = min(seconds, key=seconds.__getitem__)
    return best if seconds["fp32"] > GAIN * seconds[best] else "fp32"


def _seconds_of_a_step(model: nn.Module, images: torch.Tensor, precision: str) -> float:
    start = time.perf_counter()
    with autocast(precision, images.device):
        prediction = model(images)
    labels = torch.zeros(len(images), dtype=torch.long, device=images.device)
    cross_entropy(prediction.float(), labels).backward()
    model.zero_grad()
    if images.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
