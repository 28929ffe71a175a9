"""Every private name of fastai that the callbacks use: one small function each, all checked on import.

fastai may rename these without notice. `check` then raises an ImportError that names the release and the name, so
that a new release never trains silently wrong.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import fastai
import torch
from fastai.basics import AvgSmoothLoss, Callback, L, Learner, Optimizer, OptimWrapper, Recorder, noop
from fastai.callback.schedule import LRFinder, ParamScheduler
from fastai.callback.tracker import EarlyStoppingCallback, TrackerCallback
from fastai.callback.training import GradientAccumulation
from fastcore.xtras import ReindexCollection

TESTED = "fastai 2.8"


def check() -> None:
    "Raise ImportError if this fastai lacks a name that the functions below use."
    for name, is_there in _needed():
        if not is_there:
            raise ImportError(
                f"lrlab.callbacks needs {name} of {TESTED}, and fastai {fastai.__version__} does not have it; "
                "run: pip install 'fastai>=2.8,<2.9'"
            )


def _needed() -> Iterator[tuple[str, bool]]:
    yield "Learner._with_events", hasattr(Learner, "_with_events")
    yield "LRFinder.name == 'lr_finder'", LRFinder(start_lr=1, end_lr=2).name == "lr_finder"
    yield "OptimWrapper._set_hyper", hasattr(OptimWrapper, "_set_hyper")
    weight = torch.nn.Parameter(torch.zeros(1))
    own = Optimizer([weight], [], lr=1.0)
    # Not an optimizer of torch: its first one imports torch's compiler, which takes as long as torch itself.
    wrapped = OptimWrapper(opt=SimpleNamespace(param_groups=[{"params": [weight], "lr": 1.0}]))
    for name in ("opt", "bwd_map"):
        yield f"OptimWrapper.{name}", name in vars(wrapped)
    for name in ("cbs", "hypers", "state", "frozen_idx"):
        yield f"Optimizer.{name}", name in vars(own)
    for name in ("count", "val"):
        yield f"AvgSmoothLoss.{name}", name in vars(AvgSmoothLoss())
    yield "Recorder.after_cancel_train", hasattr(Recorder, "after_cancel_train")
    yield "TrackerCallback.best", "best" in vars(TrackerCallback())
    yield "EarlyStoppingCallback.patience", "patience" in vars(EarlyStoppingCallback())
    yield "ReindexCollection.idxs", "idxs" in vars(ReindexCollection([]))
    yield "GradientAccumulation.n_acc", "n_acc" in vars(GradientAccumulation())
    yield "ParamScheduler.scheds", "scheds" in vars(ParamScheduler({}))


def wrap_events(around: Callable[[Learner, str, Callable[[], None]], None]) -> None:
    """Let `around(learn, "fit" or "epoch", go)` call `go()`, which runs that fit or epoch with all its events.

    fastai tells a callback neither that a fit has failed nor whether `before_fit` belongs to a fit or to `validate`.
    """
    original = getattr(Learner._with_events, "unwrapped", Learner._with_events)

    @functools.wraps(original)
    def _with_events(self: Learner, f: Callable, event_type: str, ex: type[Exception], final: Callable = noop) -> None:
        if event_type in ("fit", "epoch"):
            around(self, event_type, lambda: original(self, f, event_type, ex, final))
        else:
            original(self, f, event_type, ex, final)

    _with_events.unwrapped = original  # type: ignore[attr-defined]  # a reload of this package wraps once
    Learner._with_events = _with_events


def in_range_test(learn: Learner) -> bool:
    "Whether an LR range test runs: fastai's `lr_find` or ours. Its callback has this name in the Learner."
    return hasattr(learn, "lr_finder")


def set_hyper(opt: Any, name: str, values: list[float]) -> None:
    "One value per parameter group. `opt.set_hyper` does the same and 30 microseconds of checks."
    opt._set_hyper(name, values)


def read_hyper(opt: Any, name: str) -> list[Any]:
    "The value of every parameter group; None where the optimizer has no such setting."
    if not isinstance(opt, OptimWrapper):
        return [hyper.get(name) for hyper in opt.hypers]
    # OptimWrapper.hypers would copy all settings of every group.
    key, _, index = opt.bwd_map.get(name, "").partition("__")  # torch's own name is no name here
    values = [group.get(key) for group in opt.opt.param_groups]
    return [value if value is None else value[int(index)] for value in values] if index else values


def step_functions(opt: Any) -> list[Callable]:
    "The functions that make up the step of an optimizer of fastai's; empty for one of torch's."
    return [] if isinstance(opt, OptimWrapper) else list(getattr(opt, "cbs", []))


def optimizer_parts(opt: Any) -> list[tuple[Any, list[str]]]:
    "An optimizer and those that it wraps, each with the names of the attributes that a step or a freeze changes."
    if not hasattr(opt, "param_lists"):
        return []
    names = ("state", "hypers", "param_groups", "frozen_idx", "count", "slow_weights")
    parts = [opt]
    for part in parts:  # fastai's wrapper, fastai's Lookahead, and torch's optimizers that wrap another one
        parts += [
            o for o in vars(part).values() if isinstance(o, (Optimizer, torch.optim.Optimizer)) and o not in parts
        ]
    return [(part, [name for name in names if name in vars(part)]) for part in parts]


def recurrent_state(model: Any) -> list[dict[str, Any]]:
    "What fastai's recurrent modules keep from batch to batch beside their parameters and buffers."
    return [{name: vars(module)[name] for name in ("bs", "hidden")} for module in _recurrent_modules(model)]


def set_recurrent_state(model: Any, state: list[dict[str, Any]]) -> None:
    "Restore `recurrent_state`."
    for module, own in zip(_recurrent_modules(model), state, strict=True):
        vars(module).update(own)


def _recurrent_modules(model: Any) -> list[Any]:
    return [module for module in model.modules() if {"bs", "hidden"} <= vars(module).keys()]


def smooth_loss_state(recorder: Any) -> list[Any]:
    "The state of the Recorder's smoothed loss."
    return [recorder.smooth_loss.count, recorder.smooth_loss.val]


def set_smooth_loss_state(recorder: Any, state: list[Any]) -> None:
    "Restore `smooth_loss_state`."
    recorder.smooth_loss.count, recorder.smooth_loss.val = state


def keep_train_metrics(recorder: Any) -> None:
    "Make the Recorder log this epoch's training loss although its training was cancelled: the row is complete then."
    recorder.cancel_train = False


_STATE = {TrackerCallback: ("best", "new_best", "wait"), GradientAccumulation: ("count",), ParamScheduler: ("hps",)}


def has_state(cb: Callback) -> bool:
    "Whether `cb` is a callback of fastai's whose state a resumed fit needs."
    return isinstance(cb, tuple(_STATE))


def callback_state(cb: Callback) -> dict[str, Any]:
    "What `cb` has for which `has_state` is true: the values of the attributes in `_STATE`, by name."
    names = next(names for kind, names in _STATE.items() if isinstance(cb, kind))
    return {name: vars(cb)[name] for name in names if name in vars(cb)}


def forget_iteration(dl: Any) -> None:
    "Drop the generator that a loader keeps of an epoch that did not end: it cannot be pickled."
    if "it" in vars(dl):
        dl.it = None


class TextOrder:
    """The order of the texts of a language model, in the form of a random generator of torch's.

    Its loader shuffles the order of the epoch before, so it takes both this order and the generator to repeat an epoch.
    """

    def __init__(self, dl: Any) -> None:
        self.dl = dl

    @classmethod
    def of(cls, dl: Any) -> list[TextOrder]:
        "That of `dl` if it is an LMDataLoader, whose class is not imported: it would import all of fastai.text."
        items = getattr(dl, "__dict__", {}).get("items")
        return [cls(dl)] if isinstance(items, ReindexCollection) and hasattr(type(dl), "make_chunks") else []

    def get_state(self) -> list[int]:
        return list(self.dl.items.idxs)

    def set_state(self, order: Iterable[int]) -> None:
        idxs = L(order)
        self.dl.items.reindex(idxs)
        self.dl.lens.reindex(idxs)  # both share one list, which is shuffled in place
        self.dl.make_chunks()

    def manual_seed(self, seed: int) -> None:
        "The order before the first epoch."
        self.set_state(range(len(self.dl.items)))


def items_per_process(dl: Any) -> int | None:
    "Items of an epoch in this process if `dl` is a DistributedDL, else None."
    return -(-dl.dl.n // dl.world_size) if hasattr(dl, "world_size") else None


check()
