"""The six ways to train a pretrained model, by name."""

import difflib

import pandas as pd

from lrlab.recipes.kitchen.errors import UserError

ARMS = {
    "head_only": "the body stays frozen",
    "slice": "all layers, from tiny LRs in the stem to large ones in the head",
    "one_high_lr": "all layers at the head's LR",
    "one_low_lr": "all layers at a low LR",
    "gradual": "the slice, and a group thaws every epoch",
    "scratch": "random weights, all layers at the head's LR",
}


def parse_arms(text: str) -> list[str]:
    "Names of ARMS in their own order, from a comma list or `all`. Raises UserError for others."
    names = [part.strip().lower().replace("-", "_") for part in str(text).split(",") if part.strip()]
    names = list(ARMS) if names == ["all"] else names
    unknown = [name for name in names if name not in ARMS]
    if unknown or not names or len(set(names)) < len(names):
        near = difflib.get_close_matches(unknown[0], ARMS, n=1) if unknown else []
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"`arms` {' '.join(str(text).split())[:60]}: expected all, or some of {', '.join(ARMS)}{hint}")
    return [arm for arm in ARMS if arm in names]


def against_slice(row: pd.Series) -> str:
    "better, worse or undecided: whether the interval of the difference to the slice excludes zero."
    return "better" if row.diff_low > 0 else "worse" if row.diff_high < 0 else "undecided"
