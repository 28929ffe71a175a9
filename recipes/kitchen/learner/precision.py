"""The number format of the forward pass: fp32, bf16 or (on a GPU) fp16."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from fastai.callback.fp16 import MixedPrecision
from torch import nn

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.options import PRECISIONS, one_of


def check_precision(precision: str) -> None:
    "Raise UserError unless this machine can compute in `precision`."
    one_of(*PRECISIONS)(precision, "precision")
    if precision == "fp16" and not torch.cuda.is_available():
        raise UserError("`precision` fp16 needs a GPU; choose fp32, bf16 or auto")


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
    return getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()  # an older torch


def precision_of(learn) -> str:
    "The precision of a QuickLearner. Any other Learner that autocasts does so by its own callback."
    return getattr(learn, "precision", "fp32")


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    "`precision` as a context for calls of a model."
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


class LossScaling(MixedPrecision):
    "The part of fastai's mixed precision that scales the loss of fp16. `QuickLearner` does the rest, autocast."

    def before_batch(self): ...

    def after_pred(self): ...

    def after_loss(self): ...
