"""Optimizers by name: fastai's, and any other by its import path. Imports nothing heavy."""

import re
from typing import Any

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import did_you_mean, shorten

DEFAULT = "adam"
FASTAI: dict[str, tuple[str, dict[str, float]]] = {  # name -> fastai's function, and what it is called with
    "adam": ("Adam", {}),
    "sgd": ("SGD", {"mom": 0.9}),  # fastai's default has no momentum, which nobody means by SGD
    "rmsprop": ("RMSProp", {}),
    "radam": ("RAdam", {}),
    "qhadam": ("QHAdam", {}),
    "larc": ("Larc", {}),
    "lamb": ("Lamb", {}),
    "ranger": ("ranger", {}),
}
PACKAGED = {"prodigy": "prodigyopt:Prodigy"}  # name -> import path in an optional package
OWN_LR = {"prodigy": 1.0}  # of optimizers that find their LR by themselves: a factor, the same for all layers
NAMES = (*FASTAI, *PACKAGED)


def parse_optimizer(value: Any, name: str = "opt") -> str:
    """One of NAMES, or an import path. Raises UserError for anything else.

    >>> parse_optimizer("Lamb"), parse_optimizer("torch.optim:NAdam")
    ('lamb', 'torch.optim:NAdam')
    """
    text = str(value).strip()
    if text.lower() in NAMES:
        return text.lower()
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", text):
        expected = f"expected {', '.join(NAMES)}, or an import path such as torch.optim:NAdam"
        raise UserError(f"`{name}` {shorten(value)}: {expected}{did_you_mean(text.lower(), NAMES)}")
    return text
