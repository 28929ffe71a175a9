"""fastai's LR range test (Smith 2015, arXiv:1506.01186, section 3.3) without its side effects."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from fastai.basics import Callback, CancelFitException, CancelValidException, Learner
from fastai.callback import schedule as fastai_schedule
from fastai.callback.progress import CSVLogger
from torch.nn.parameter import UninitializedTensorMixin

from . import _fastai
from .arguments import choice, items, whole
from .events import check_recorder
from .hypers import LR, check_lr, check_settable, n_groups, spread_lr
from .random_state import kept_random_state
from .steps import batches_per_step, n_batches

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUGGESTIONS = {"valley": 2, "slide": 17, "minimum": 2, "steep": 2}
"fastai's suggestion functions, with the fewest points that each needs."

LONGEST_STEP = 32  # times the planned number of batches that a step may take before the test gives up


@dataclass(frozen=True)
class LRRange:
    "The result of an LR range test."

    lrs: np.ndarray  # LR of the last parameter group at every step
    losses: np.ndarray  # fastai's smoothed loss after it
    suggestions: dict[str, float | None] = field(default_factory=dict)  # by method; None if it has no suggestion
    reasons: dict[str, str] = field(default_factory=dict)  # why a method has no suggestion
    stopped: str = ""  # why the test ended before its last LR; empty if it did not

    def lr(self, method: str = "valley") -> float:
        "The suggestion of a method; `ValueError` with the reason if it has none. Never None, unlike `suggestions`."
        lr = self.suggestions.get(choice("method", method, self.suggestions))
        if lr is None:
            raise ValueError(f"the LR range test suggests no LR: {self.reasons[method]}")
        return lr

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
    start_lr: LR = 1e-7,  # First LR; a slice or list gives the parameter groups different ones, with constant ratios
    end_lr: float = 10.0,  # Last LR, of the last parameter group
    num_it: int = 100,  # Optimizer steps from the first LR to the last
    suggest: Sequence[str] = tuple(SUGGESTIONS),  # Which suggestions to make
    stop_div: bool = True,  # Stop where the smoothed loss is four times its best
) -> LRRange:
    """Train with a growing LR, suggest an LR, and leave everything as it was.

    Weights, optimizer, random state, Recorder, data order and callbacks are restored exactly, after Ctrl-C too. Nothing
    is written to disk. Under `GradientAccumulation` the LR grows from step to step, not from batch to batch.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import lr_range_test
    >>> learn = synth_learner(n_trn=20)
    >>> with learn.no_bar():
    ...     found = lr_range_test(learn)
    >>> sorted(found.suggestions), learn.opt
    (['minimum', 'slide', 'steep', 'valley'], None)
    """
    check_recorder(learn, "the LR range test")
    starts = np.array(spread_lr("start_lr", start_lr, n_groups(learn)))
    end_lr = check_lr("end_lr", end_lr)
    if not 0 < starts.min() or not starts[-1] < end_lr:
        raise ValueError(f"start_lr must be above 0 and below end_lr={end_lr!r}, got {start_lr!r}")
    num_it = whole("num_it", num_it, least=6)
    suggest = _check_methods(suggest)
    batches = n_batches(learn.dls.train)
    if batches == 0:
        raise ValueError("the training data give no full batch")
    longest_step = LONGEST_STEP * batches_per_step(learn)
    test = RangeTest(starts, starts / starts[-1] * end_lr, num_it, stop_div, longest_step)
    # Most callbacks do nothing in a range test; CSVLogger would start a new file.
    loggers = [cb for cb in learn.cbs if isinstance(cb, CSVLogger)]
    with untouched(learn), learn.no_logging(), learn.removed_cbs(loggers):
        learn.fit(num_it * longest_step // batches + 1, cbs=test)
    steps = len(test.tested)
    if not test.stopped and steps < num_it:
        test.stopped = f"a callback of the Learner ended it after {steps} of {num_it} steps"
        suggestions, reasons = dict.fromkeys(suggest), dict.fromkeys(suggest, test.stopped)
    else:
        suggestions, reasons = _suggest(suggest, test.tested, test.smoothed, num_it, test.stopped)
    return LRRange(np.array(test.tested), np.array(test.smoothed), suggestions, reasons, test.stopped)


def _check_methods(suggest: Any) -> list[str]:
    methods = items("suggest", suggest, f"some of {', '.join(SUGGESTIONS)}")
    for name in methods:
        if name not in SUGGESTIONS:
            raise ValueError(f"suggest must be some of {', '.join(SUGGESTIONS)}, got {name!r}")
    return methods


class RangeTest(Callback):
    "Grow the LR of every parameter group exponentially, step by step."

    order = 60  # after the Recorder, whose smoothed loss it reads
    name = "lr_finder"  # This name tells fastai's callbacks, and ours, to do nothing.

    def __init__(self, starts: np.ndarray, ends: np.ndarray, num_it: int, stop_div: bool, longest_step: int) -> None:
        self.starts, self.ends, self.num_it, self.stop_div = starts, ends, num_it, stop_div
        self.longest_step = longest_step  # batches
        self.tested: list[float] = []
        self.smoothed: list[float] = []
        self.stopped = ""
        self._steps, self._batches = 0, 0  # steps made, and batches since the latest

    def before_fit(self) -> None:
        check_settable(self.learn.opt)

    def before_batch(self) -> None:
        if self.learn.training:
            progress = self._steps / self.num_it
            _fastai.set_hyper(self.learn.opt, "lr", (self.starts * (self.ends / self.starts) ** progress).tolist())

    def after_step(self) -> None:
        self._steps, self._batches = self._steps + 1, -1

    def after_batch(self) -> None:
        self._batches += 1
        lr, loss = _fastai.read_hyper(self.learn.opt, "lr")[-1], self.learn.smooth_loss.item()
        if not math.isfinite(loss):
            self._stop(f"the loss is not finite at step {max(self._steps - 1, 0)}, LR {lr:.3g}")
        if self._batches == self.longest_step:
            self._stop(f"{self.longest_step} batches made no optimizer step")
        if self._batches > 0:
            return  # more batches share the step
        self.tested.append(lr)
        self.smoothed.append(loss)
        if self.stop_div and loss > _limit(self.smoothed):
            self._stop(f"the loss is four times its best at step {self._steps - 1}, LR {lr:.3g}")
        if self._steps >= self.num_it:
            raise CancelFitException()

    def _stop(self, why: str) -> None:
        self.stopped = why
        raise CancelFitException()

    def before_validate(self) -> None:
        raise CancelValidException()


def _limit(losses: list[float]) -> float:
    "A higher loss has diverged: four times the best, or as far above a best loss that is not positive."
    best = min(losses)
    return 4 * best if best > 0 else best + 3 * max(-best, losses[0] - best)


@contextmanager
def untouched(learn: Learner) -> Iterator[None]:
    "Undo on exit all that training inside the block does to `learn` and to the random state."
    recorder = [metric for cb in learn.cbs for name, metric in vars(cb).items() if name in ("loss", "smooth_loss")]
    holders = [o for o in (learn, learn.dls, *learn.cbs, *learn.metrics, *recorder) if hasattr(o, "__dict__")]
    attributes = [(holder, dict(vars(holder))) for holder in holders]
    cbs, loaders = list(learn.cbs), list(learn.dls.loaders)
    model = learn.model
    is_lazy = any(isinstance(tensor, UninitializedTensorMixin) for _, tensor in _tensors(model))
    weights = {} if is_lazy else {name: _to_cpu(tensor) for name, tensor in _tensors(model)}
    grads = {name: _to_cpu(parameter.grad) for name, parameter in model.named_parameters()}
    modes = [(module, module.training) for module in model.modules()]
    optimizer = _optimizer_state(learn.opt or learn.opt_func)
    if is_lazy:  # the first batch would give it its shapes for good
        learn.model, learn.opt = copy.deepcopy(model), None
    try:
        with kept_random_state(learn.dls):
            yield
    finally:
        for holder, saved in attributes:
            vars(holder).clear()
            vars(holder).update(saved)
        learn.cbs[:], learn.dls.loaders[:] = cbs, loaders
        for loader in loaders:
            _fastai.forget_iteration(loader)
        with torch.no_grad():
            for name, tensor in _tensors(learn.model) if weights else ():
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
    "Copies of what steps change in an optimizer, and in those that it wraps. The parameters are not copied."
    parts = _fastai.optimizer_parts(opt)
    keep = {id(parameter): parameter for group in opt.param_lists for parameter in group} if parts else {}
    # One copy of all, because an optimizer may share its groups with the one that it wraps.
    copies = copy.deepcopy([{name: vars(part)[name] for name in names} for part, names in parts], keep)
    return [(part, its_own) for (part, _), its_own in zip(parts, copies, strict=True)]


def _suggest(
    methods: Sequence[str], lrs: list[float], losses: list[float], num_it: int, stopped: str
) -> tuple[dict[str, float | None], dict[str, str]]:
    "fastai's suggestions, on the part of the curve that fastai uses if that has enough points."
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
