"""What a fit is, and callbacks that cost next to nothing at the events they have no method for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from fastai.basics import Callback, L, Learner, Recorder

from . import _fastai


def answers(cb: Callback, event_name: str) -> bool:
    "Whether `cb` handles this event. fastai's own lookup falls through to the Learner and the model: 10 µs per miss."
    kind: Any = type(cb)
    return _class_answers(kind, event_name) or event_name in vars(cb)


@cache
def _class_answers(kind: Any, event_name: str) -> bool:
    # At after_fit fastai switches a callback on again, whether it has a method or not.
    if event_name == "after_fit" or hasattr(kind, event_name):
        return True
    if issubclass(kind, FitCallback):
        return event_name == "before_fit"  # which it counts
    # A callback may handle all events in one method.
    return kind.__call__ not in (Callback.__call__, QuickCallback.__call__)


class QuickCallback(Callback):
    "Base of callbacks that handle few of the dozen events of a batch."

    def __call__(self, event_name: str) -> Any:
        return super().__call__(event_name) if answers(self, event_name) else None


class FitCallback(Callback):
    """Base of the callbacks here: it receives the events of a fit, and no others.

    `validate`, `get_preds`, `tta` and `summary` send `before_fit`, `after_epoch` and more as well, outside a fit and
    within one. An LR range test is a fit of fastai's, but not of ours. In place of `before_fit` there are `fit_starts`,
    `epochs_start` and, after an exception too, `fit_ends`.
    """

    skip_to = 0  # the first epoch to train; no event is sent for those before
    _in_fit, _in_epochs, _nested, _epoch = False, False, 0, 0

    def __call__(self, event_name: str) -> Any:
        if not self._in_epochs:
            return None
        if event_name == "before_fit":
            self._nested += 1
        elif self._nested:
            self._nested -= event_name == "after_fit"
        elif answers(self, event_name):
            return super().__call__(event_name)
        return None

    def __getstate__(self) -> dict[str, Any]:
        "A copy that is made within a fit is not in that fit: it leaves out the private names with a class's default."
        return {
            name: value
            for name, value in vars(self).items()
            if name != "skip_to" and not (name.startswith("_") and hasattr(type(self), name))
        }

    def fit_starts(self) -> None:
        "Called before any event of a fit; the optimizer is ready and `learn.n_epoch` is set."

    def epochs_start(self) -> None:
        "Called before the first epoch, when every callback has had its `before_fit`."

    def fit_ends(self, failed: bool) -> None:
        "Called after the last event of the fit, or after the exception that ended it: undo what is only for the fit."


class SavedState:
    "Mixin of callbacks that a resumed fit continues: `_saved` names the attributes that make up their state."

    _saved: tuple[str, ...] = ()

    def state_dict(self) -> dict[str, Any]:
        "What a resumed fit needs to continue; the names have no underscore in front."
        return {name.lstrip("_"): getattr(self, name) for name in self._saved}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        "Make the fit that starts continue an earlier one."
        vars(self).update({name: state[name.lstrip("_")] for name in self._saved})


def check_callbacks(cbs: Any) -> L:
    "The callbacks in the argument `cbs` of a fit: one, several, or their classes. fastai would add some, then fail."
    for cb in (cbs := L(cbs)):
        if not issubclass(cb if isinstance(cb, type) else type(cb), Callback):
            raise ValueError(f"cbs must be a callback or a list of callbacks, got {cb!r}")
    return L(cb() if isinstance(cb, type) else cb for cb in cbs)


def find(learn: Learner, kind: type[Callback]) -> Any:
    "The Learner's first callback of this kind, or None."
    return next((cb for cb in learn.cbs if isinstance(cb, kind)), None)


def check_recorder(learn: Learner, who: str) -> None:
    "Raise `ValueError` if the Learner has no Recorder, which `who` reads."
    if find(learn, Recorder) is None:
        raise ValueError(f"{who} needs fastai's Recorder, and this Learner has none: learn.add_cb(Recorder())")


def _around(learn: Learner, event_type: str, go: Callable[[], None]) -> None:
    if event_type == "fit":
        _fit(learn, go)
    elif not _skip_epoch(learn):
        go()


def _fit(learn: Learner, go: Callable[[], None]) -> None:
    cbs = _ours(learn)
    of_outer_fit = [(cb, cb._nested) for cb in cbs if cb._in_fit]
    for cb, nested in of_outer_fit:
        cb._nested = nested + 1
    failed = True
    try:
        if not _fastai.in_range_test(learn):
            _start(learn)
        go()
        failed = False
    finally:
        outer = [cb for cb, _ in of_outer_fit]
        for cb in dict.fromkeys([*cbs, *_ours(learn)]):
            if cb._in_fit and cb not in outer:
                _end(cb, learn, failed)
        for cb, nested in of_outer_fit:
            cb._nested = nested


def _start(learn: Learner) -> None:
    for cb in (cbs := _ours(learn)):
        if cbs.count(cb) > 1:
            raise ValueError(f"one {type(cb).__name__} is in this fit twice, in the Learner or in cbs; pass it once")
        if not cb._in_fit:
            cb.learn = learn  # one that is in several Learners has that which got it last
            cb._in_fit = True
            cb.fit_starts()


def _end(cb: FitCallback, learn: Learner, failed: bool) -> None:
    attached, cb.learn = cb.learn, learn  # another callback may have removed it
    try:
        cb.fit_ends(failed)
    finally:
        cb._in_fit, cb._in_epochs, cb._nested, cb.skip_to = False, False, 0, 0
        cb.learn = attached


def _skip_epoch(learn: Learner) -> bool:
    "Prepare our callbacks for the epoch that begins; whether to leave it out."
    if _fastai.in_range_test(learn):
        return False
    _start(learn)  # callbacks that another callback has added since
    cbs = [cb for cb in _ours(learn) if not cb._nested]
    for cb in cbs:
        if not cb._in_epochs:
            cb._in_epochs = True
            cb.epochs_start()
    for cb in cbs:
        cb._epoch = learn.epoch  # `validate` within a fit sets learn.epoch to 0
    skip = learn.epoch < max((cb.skip_to for cb in cbs), default=0)
    bar = getattr(getattr(learn, "progress", None), "mbar", None)
    if skip and bar is not None:
        bar.update(learn.epoch)  # a progress bar must be updated with 0 before any other number
    return skip


def _ours(learn: Learner) -> list[FitCallback]:
    return [cb for cb in learn.cbs.sorted("order") if isinstance(cb, FitCallback)]


_fastai.wrap_events(_around)
