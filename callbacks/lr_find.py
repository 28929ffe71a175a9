"""fastai's LR range test (Smith 2015, arXiv:1506.01186, section 3.3) without its side effects."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from fastai.basics import (
    Callback,
    CancelFitException,
    CancelValidException,
    Learner,
    OptimWrapper,
)
from fastai.callback import schedule as fastai_schedule
from fastai.callback.progress import CSVLogger

from .hypers import LR, check_lr, check_whole, n_groups, spread_lr
from .random_state import kept_random_state
from .steps import n_batches

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUGGESTIONS = {"valley": 2, "slide": 17, "minimum": 2, "steep": 2}
"fastai's suggestion functions, with the fewest points that each can work on."


@dataclass(frozen=True)
class LRRange:
    "What an LR range test found."

    lrs: np.ndarray  # LR of the last parameter group at every step
    losses: np.ndarray  # fastai's smoothed loss after it
    suggestions: dict[str, float | None] = field(default_factory=dict)  # by method; None where it cannot tell
    reasons: dict[str, str] = field(default_factory=dict)  # why a method cannot tell
    stopped: str = ""  # why the test ended before its last LR; empty if it did not

    def to_df(self) -> pd.DataFrame:
        "One row for every step: lr, loss."
        return pd.DataFrame({"lr": self.lrs, "loss": self.losses})

    def plot(self, ax: Axes | None = None) -> Axes:
        "Draw the loss against the LR and mark the suggestions."
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        ax.plot(self.lrs, self.losses, color="0.3")
        for (name, lr), marker in zip(self.suggestions.items(), "osD^", strict=False):
            if lr is not None:
                ax.plot(lr, np.interp(lr, self.lrs, self.losses), marker, label=f"{name}: {lr:.1e}")
        ax.set(xscale="log", xlabel="learning rate", ylabel="training loss, smoothed")
        if any(lr is not None for lr in self.suggestions.values()):
            ax.legend()
        return ax


def lr_range_test(
    learn: Learner,
    start_lr: LR = 1e-7,  # First LR; a slice or list gives the parameter groups different ones, whose ratio is kept
    end_lr: float = 10.0,  # Last LR, of the last parameter group
    num_it: int = 100,  # Steps from one to the other
    suggest: Sequence[str] = tuple(SUGGESTIONS),  # Which suggestions to make
    stop_div: bool = True,  # Stop where the smoothed loss is four times its best
) -> LRRange:
    """Train with a growing LR, suggest an LR, and leave everything as it was.

    Weights, optimizer, random state, recorder, data order and callbacks come back exactly, after Ctrl-C too. Nothing is
    written to disk.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import lr_range_test
    >>> learn = synth_learner(n_trn=20)
    >>> with learn.no_bar():
    ...     found = lr_range_test(learn)
    >>> sorted(found.suggestions), learn.opt
    (['minimum', 'slide', 'steep', 'valley'], None)
    """
    starts = np.array(spread_lr("start_lr", start_lr, n_groups(learn)))
    check_lr("end_lr", end_lr)
    if not 0 < starts.min() or not starts[-1] < end_lr:
        raise ValueError(f"start_lr must be above 0 and below end_lr={end_lr!r}, got {start_lr!r}")
    num_it = check_whole("num_it", num_it, least=6)
    if isinstance(suggest, str) or not isinstance(suggest, Iterable):
        raise ValueError(f"suggest must be a list of some of {', '.join(SUGGESTIONS)}, got {suggest!r}")
    unknown = [name for name in suggest if name not in SUGGESTIONS]
    if unknown:
        raise ValueError(f"suggest must be some of {', '.join(SUGGESTIONS)}, got {unknown[0]!r}")
    batches = n_batches(learn.dls.train)
    if batches == 0:
        raise ValueError("the training data give no full batch")
    test = RangeTest(starts, starts / starts[-1] * end_lr, num_it, stop_div)
    # Most callbacks stand aside by themselves; CSVLogger would begin its file anew.
    with untouched(learn), learn.no_logging(), learn.removed_cbs(learn._grab_cbs(CSVLogger)):
        learn.fit(num_it // batches + 1, cbs=test)
    suggestions, reasons = _suggest(suggest, test.tested, test.smoothed, num_it, test.stopped)
    return LRRange(np.array(test.tested), np.array(test.smoothed), suggestions, reasons, test.stopped)


class RangeTest(Callback):
    "Grow the LR of every parameter group exponentially, step by step."

    order = 60  # After the Recorder, whose smoothed loss it reads.
    name = "lr_finder"  # By this name fastai's callbacks, and ours, see that they should stand aside.

    def __init__(self, starts: np.ndarray, ends: np.ndarray, num_it: int, stop_div: bool) -> None:
        self.starts, self.ends, self.num_it, self.stop_div = starts, ends, num_it, stop_div
        self.tested: list[float] = []
        self.smoothed: list[float] = []
        self.stopped = ""

    def before_batch(self) -> None:
        if self.learn.training:
            progress = self.learn.train_iter / self.num_it
            self.learn.opt.set_hyper("lr", (self.starts * (self.ends / self.starts) ** progress).tolist())

    def after_batch(self) -> None:
        lr, loss = float(self.learn.opt.hypers[-1]["lr"]), self.learn.smooth_loss.item()
        if not math.isfinite(loss):
            self._stop(f"the loss is not finite at step {self.learn.train_iter - 1}, LR {lr:.3g}")
        self.tested.append(lr)
        self.smoothed.append(loss)
        if self.stop_div and loss > 4 * min(self.smoothed):
            self._stop(f"the loss is four times its best at step {self.learn.train_iter - 1}, LR {lr:.3g}")
        if self.learn.train_iter >= self.num_it:
            raise CancelFitException()

    def _stop(self, why: str) -> None:
        self.stopped = why
        raise CancelFitException()

    def before_validate(self) -> None:
        raise CancelValidException()


@contextmanager
def untouched(learn: Learner) -> Iterator[None]:
    "Undo, on the way out, whatever training inside does to `learn` and to the random state."
    recorder = [metric for cb in learn.cbs for name, metric in vars(cb).items() if name in ("loss", "smooth_loss")]
    holders = [o for o in (learn, learn.dls, *learn.cbs, *learn.metrics, *recorder) if hasattr(o, "__dict__")]
    attributes = [(holder, dict(vars(holder))) for holder in holders]
    cbs, loaders = list(learn.cbs), list(learn.dls.loaders)
    weights = {name: _to_cpu(tensor) for name, tensor in _tensors(learn.model)}
    grads = {name: _to_cpu(parameter.grad) for name, parameter in learn.model.named_parameters()}
    modes = [(module, module.training) for module in learn.model.modules()]
    optimizer = _optimizer_state(learn.opt or learn.opt_func)
    try:
        with kept_random_state(learn.dls):
            yield
    finally:
        for holder, saved in attributes:
            vars(holder).clear()
            vars(holder).update(saved)
        learn.cbs[:], learn.dls.loaders[:] = cbs, loaders
        with torch.no_grad():
            for name, tensor in _tensors(learn.model):
                tensor.copy_(weights[name])
        for name, parameter in learn.model.named_parameters():
            parameter.grad = None if grads[name] is None else grads[name].to(parameter.device)
        for module, training in modes:
            module.training = training
        for holder, saved in optimizer:
            vars(holder).update(saved)


def _tensors(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    return chain(model.named_parameters(), model.named_buffers())


def _to_cpu(tensor: torch.Tensor | None) -> torch.Tensor | None:
    "A copy that takes no memory of a GPU."
    return None if tensor is None else tensor.detach().to("cpu", copy=True)


def _optimizer_state(opt: Any) -> list[tuple[Any, dict[str, Any]]]:
    "What steps change in an optimizer, and in one that it wraps: copies of all but the parameters themselves."
    if not hasattr(opt, "param_lists"):
        return []
    keep = {id(parameter): parameter for group in opt.param_lists for parameter in group}
    names = ("state", "hypers", "param_groups", "frozen_idx", "count", "slow_weights")
    holders = [opt, vars(opt).get("opt")] if isinstance(opt, OptimWrapper) or "opt" in vars(opt) else [opt]
    return [(o, copy.deepcopy({name: vars(o)[name] for name in names if name in vars(o)}, keep)) for o in holders]


def _suggest(
    methods: Sequence[str], lrs: list[float], losses: list[float], num_it: int, stopped: str
) -> tuple[dict[str, float | None], dict[str, str]]:
    "fastai's suggestions, on the part of the curve that fastai uses wherever there is enough of it."
    first, last = num_it // 10, len(lrs) - 5
    if last - first < 10:
        first, last = len(lrs) // 10, len(lrs) - len(lrs) // 4
    x, y = torch.tensor(lrs[first:last]), torch.tensor(losses[first:last])
    suggestions: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for name in methods:
        if len(x) < SUGGESTIONS[name]:
            reasons[name] = f"{name} needs {SUGGESTIONS[name]} points, and the test gave {len(x)}"
            if stopped:
                reasons[name] += f": {stopped}"
        elif not (y[1:] < y[0]).any():
            reasons[name] = f"the loss never fell between LR {x[0]:.1e} and {x[-1]:.1e}"
        else:
            suggestions[name], _ = getattr(fastai_schedule, name)(x, y, num_it)
            continue
        suggestions[name] = None
    return suggestions, reasons


Learner.lr_range_test = lr_range_test
