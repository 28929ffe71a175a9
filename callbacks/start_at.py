"""Begin a fit at a later epoch, as if the earlier ones had been trained elsewhere."""

from __future__ import annotations

from typing import Any

from fastai.basics import Callback, Learner, noop

from .hypers import check_whole


class StartAt(Callback):
    """Start the fit at `epoch`: no event is sent for the epochs before it.

    fastai's own `start_epoch` sends `after_epoch` for every epoch that it skips, so that SaveModelCallback and
    EarlyStoppingCallback stop with an IndexError, or write this run's weights over earlier checkpoints.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import StartAt
    >>> learn = synth_learner()
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit(3, cbs=StartAt(1))
    >>> len(learn.recorder.values)
    2
    """

    order = -100  # Before anything that may raise, so that `after_fit` always finds what `before_fit` did.

    def __init__(
        self,
        epoch: int,  # First epoch to train, counted from 0
    ) -> None:
        self.first_epoch = check_whole("epoch", epoch, least=0)

    def before_fit(self) -> None:
        skip_epochs(self.learn, self.first_epoch)

    def after_fit(self) -> None:
        skip_epochs(self.learn, 0)


def skip_epochs(learn: Learner, first: int) -> None:
    "Make the fit that is about to start its epochs leave out those before `first`."
    learn.__dict__.pop("_with_events", None)
    if first == 0:
        return
    with_events = learn._with_events

    def _with_events(f: Any, event_type: str, ex: type[Exception], final: Any = noop) -> None:
        if event_type == "epoch":
            if learn.epoch < first:
                bar = getattr(getattr(learn, "progress", None), "mbar", None)
                if bar is not None:
                    bar.update(learn.epoch)  # A progress bar must have been at 0 to be anywhere else.
                return
            learn.__dict__.pop("_with_events", None)  # From the first epoch trained on, all is fastai's own again.
        with_events(f, event_type, ex, final)

    learn._with_events = _with_events
