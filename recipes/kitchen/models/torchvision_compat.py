"""Imports torchvision and fastai.vision, also where torchvision's compiled operators do not match this build of torch.

pip may pair a CPU-only torch with a torchvision built against CUDA. Its compiled library then cannot be loaded and
`import torchvision` stops at "operator torchvision::nms does not exist", although image classification needs none of
those operators. Declaring the two operators that the import refers to is enough (pytorch/vision #9077, #9085).
"""

import importlib.machinery
import importlib.util
from pathlib import Path

import torch

_SCHEMAS = ("nms", "qnms")
_declared: list[torch.library.Library] = []  # a Library withdraws its operators when it is garbage-collected


def compiled_operators_load() -> bool:
    "Whether torchvision's own compiled library works with this torch."
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ImportError("torchvision is not installed: pip install torchvision")
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    library = [f for f in Path(spec.origin).parent.glob("_C*") if f.name.endswith(suffixes)]
    try:
        torch.ops.load_library(str(library[0]))
    except (IndexError, OSError):
        return False
    return hasattr(torch.ops.torchvision, "nms")


def prepare_torchvision() -> bool:
    "Declare the missing operators so that `import torchvision` works; returns whether that was necessary."
    if _declared:
        return True
    if compiled_operators_load():
        return False
    library = torch.library.Library("torchvision", "DEF")
    for name in _SCHEMAS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
    return True


prepare_torchvision()
