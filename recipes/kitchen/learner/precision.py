"""The number format of the forward pass: fp32, bf16 or (on a GPU) fp16."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from fastai.callback.core import Callback
from fastai.callback.fp16 import MixedPrecision
from torch import nn

from lrlab.callbacks.events import QuickCallback
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.options import PRECISIONS


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


def resolve_precision(precision: str, make_model: Callable[[], nn.Module]) -> str:
    """The precision that "auto" stands for on this machine, for a model that `make_model` would make.

    A GPU: bf16, or fp16 if it has no bf16 instructions. A CPU: bf16 if it has the instructions and the model has no
    depthwise convolutions, which take up to three times as long in bf16; else fp32.
    """
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return "bf16" if cpu_has_bf16() and not has_depthwise_convolutions(make_model()) else "fp32"


def has_depthwise_convolutions(model: nn.Module) -> bool:
    "Whether a convolution of the model filters every channel on its own, as in MobileNet and EfficientNet."
    convolutions = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    return any(conv.groups == conv.in_channels > 1 for conv in convolutions)


def cpu_has_bf16() -> bool:
    "Whether this CPU multiplies in bfloat16. Without the instructions bf16 is emulated, and slow."
    if hasattr(torch.cpu, "get_capabilities"):
        return bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()  # before torch 2.10
