"""Start a fit at a later epoch, as if the earlier ones had been trained elsewhere."""

from __future__ import annotations

from .arguments import whole
from .events import FitCallback


class StartAt(FitCallback):
    """Start the fit at `epoch`: no event is sent for the epochs before it.

    fastai's own `start_epoch` sends `after_epoch` for every epoch that it skips. So SaveModelCallback and
    EarlyStoppingCallback stop with an IndexError, or overwrite earlier checkpoints with this run's weights.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import StartAt
    >>> learn = synth_learner()
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit(3, cbs=StartAt(1))
    >>> len(learn.recorder.values)
    2
    """

    def __init__(
        self,
        epoch: int,  # First epoch to train, counted from 0
    ) -> None:
        self.first_epoch = whole("epoch", epoch, least=0)

    def epochs_start(self) -> None:
        self.skip_to = self.first_epoch
