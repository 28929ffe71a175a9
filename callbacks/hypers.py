"""Learning rates as fastai takes them, one for every parameter group; and what an optimizer holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastai.basics import L, Learner, OptimWrapper, even_mults

from .arguments import is_number

LR = float | slice | Sequence[float]
"A learning rate for all parameter groups, fastai's slice over them, or one for each."


def n_groups(learn: Learner) -> int:
    "How many parameter groups the learner's optimizer has, or will have."
    if learn.opt is not None:
        return len(learn.opt.hypers)
    if isinstance(learn.opt_func, OptimWrapper):
        return len(learn.opt_func.hypers)
    groups = L(learn.splitter(learn.model))
    return len(groups) if isinstance(groups[0], (L, list)) else 1


def spread_lr(name: str, lr: LR, groups: int) -> list[float]:
    "One LR for every parameter group, spread as fastai's optimizers do it."
    if isinstance(lr, slice):
        stop = check_lr(f"{name}.stop", lr.stop)
        if lr.start and groups > 1:
            return [float(o) for o in even_mults(check_lr(f"{name}.start", lr.start), stop, groups)]
        return [stop / 10] * (groups - 1) + [stop]
    lrs = [check_lr(name, o) for o in L(lr, use_list=None)]
    if len(lrs) not in (1, groups):
        raise ValueError(f"{name}={lr!r} must be one LR or {groups}, one for each parameter group; got {len(lrs)}")
    return lrs * groups if len(lrs) == 1 else lrs


def check_whole(name: str, value: Any, least: int = 1) -> int:
    "`value` as a Python int of at least `least`."
    if not is_number(value) or value != int(value) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def check_lr(name: str, lr: Any) -> float:
    "`lr` as a Python float."
    try:
        value = float(lr)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a number in [0, inf), got {lr!r}")
    return value


def read_hypers(opt: Any) -> tuple[list[float], list[float]]:
    "The LR and the momentum (NaN where there is none) of every parameter group."
    if not isinstance(opt, OptimWrapper):
        return [hyper["lr"] for hyper in opt.hypers], [hyper.get("mom", math.nan) for hyper in opt.hypers]
    # OptimWrapper.hypers would copy every group's every setting.
    groups = opt.opt.param_groups
    name, _, index = opt.bwd_map.get("mom", "").partition("__")
    moms = [group.get(name, math.nan) for group in groups]
    return [float(group["lr"]) for group in groups], [mom[int(index)] for mom in moms] if index else moms
