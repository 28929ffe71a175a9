"""Leave out validations that nobody reads, and validate without what looks for the values of a training."""

from typing import Any

import torch
from fastai.basics import Learner
from fastai.callback.core import CancelValidException
from fastai.callback.tracker import TrackerCallback

from lrlab.callbacks.events import QuickCallback


class NoValidation(QuickCallback):
    "Skip every validation, but draw the random number that each takes, so that no result changes."

    def before_validate(self):
        torch.empty((), dtype=torch.int64).random_()  # as torch does for every iteration over a DataLoader
        raise CancelValidException()


def validate_on(learn: Learner, loader: Any, cbs: Any = None) -> list:
    """What `learn.validate` returns for the items of a loader: the loss and the metrics.

    The trackers of fastai stand aside: they would look for the values of a training.
    """
    trackers = [cb for cb in learn.cbs if isinstance(cb, TrackerCallback)]
    with learn.no_bar(), learn.no_logging(), learn.removed_cbs(trackers):
        return learn.validate(dl=loader, cbs=cbs)
