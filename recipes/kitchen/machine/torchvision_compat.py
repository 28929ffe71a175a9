"""Make `import torchvision` work where its compiled operators do not match this build of torch.

pip may pair a CPU-only torch with a torchvision built for CUDA. Its compiled library then cannot be loaded, and
`import torchvision` fails with "operator torchvision::nms does not exist". Image classification needs none of the
compiled operators. It is enough to declare the two that the import refers to (pytorch/vision #9077, #9085).
"""

import functools
import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import torch

OPERATORS = ("nms", "qnms")
SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@functools.cache
def prepare_torchvision() -> bool:
    """Declare the operators that `import torchvision` needs, where torchvision's own cannot be loaded.

    Call it before the first import of torchvision, timm or fastai.vision.all. Operators that other code has declared
    before are left alone. Returns whether anything had to be declared.
    """
    if "torchvision" in sys.modules or (not _is_declared("nms") and _compiled_operators_load()):
        return False
    missing = [name for name in OPERATORS if not _is_declared(name)]
    for name in missing:
        _library().define(name + SCHEMA)
    return bool(missing)


def _is_declared(operator: str) -> bool:
    return hasattr(torch.ops.torchvision, operator)


@functools.cache  # kept, because a Library withdraws its operators when it is garbage-collected
def _library() -> torch.library.Library:
    return torch.library.Library("torchvision", "FRAGMENT")


def _compiled_operators_load() -> bool:
    "Load torchvision's compiled library, and return whether it works with this torch."
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ImportError("torchvision is not installed: pip install torchvision")
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    library = [f for f in Path(spec.origin).parent.glob("_C*") if f.name.endswith(suffixes)]
    try:
        torch.ops.load_library(str(library[0]))
    except (IndexError, OSError):
        return False
    return _is_declared("nms")
