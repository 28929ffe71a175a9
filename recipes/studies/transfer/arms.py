"""The six ways to train a pretrained model, by name."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import did_you_mean, shorten

if TYPE_CHECKING:
    import pandas as pd

ARMS = {
    "head_only": "the body stays frozen",
    "slice": "all layers, from tiny LRs in the stem to large ones in the head",
    "one_high_lr": "all layers at the head's LR",
    "one_low_lr": "all layers at a low LR",
    "gradual": "the slice, and one more group is unfrozen every epoch",
    "scratch": "random weights, all layers at the head's LR",
}


def parse_arms(arms: str | Iterable[str], name: str = "arms") -> list[str]:
    "Names of ARMS in their own order, from a comma list, a sequence, or `all`. Raises UserError for others."
    parts = arms.split(",") if isinstance(arms, str) else arms
    names = [part.strip().lower().replace("-", "_") for part in map(str, parts) if part.strip()]
    names = list(ARMS) if names == ["all"] else names
    unknown = [arm for arm in names if arm not in ARMS]
    if unknown or not names or len(set(names)) < len(names):
        hint = did_you_mean(unknown[0], ARMS) if unknown else ""
        raise UserError(f"`{name}` {shorten(arms)}: expected all, or some of {', '.join(ARMS)}{hint}")
    return [arm for arm in ARMS if arm in names]


def against_slice(row: "pd.Series") -> str:
    "better, worse or undecided: whether the interval of the difference to the slice excludes zero."
    return "better" if row.diff_low > 0 else "worse" if row.diff_high < 0 else "undecided"
