"""Training all layers of a pretrained model, starting from a head that is trained already."""

from collections.abc import Callable
from typing import Any

from torch import nn

from lrlab.recipes.kitchen.learner.no_validation import NoValidation
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.recording import Recording
from lrlab.recipes.kitchen.store.tables import RunResult
from lrlab.recipes.studies.best.features import split_head
from lrlab.recipes.studies.best.plan import MOST_EPOCHS
from lrlab.recipes.studies.best.timed import CycleByTheClock, EndWithoutTime, fit_until


def put_head(learn: Any, head: nn.Sequential) -> None:
    "Give the model a head that was trained on its features."
    split_head(learn.model[1])[1].load_state_dict(head.state_dict())


def train_layers(run: Run, learn: Any, has_time: Callable[[], bool]) -> RunResult:
    """All layers for the epochs of the run, from the learner's present weights.

    Raises TimeoutError where `has_time` says at one of the steps that there is none left.
    """
    recording, limit = Recording(), EndWithoutTime(has_time)
    cbs = [*recording.callbacks(), limit]
    with learn.no_bar(), learn.no_logging():
        learn.fit_schedule(run.epochs, run.schedule, lr_max=run.lr_max.to_fastai(), cbs=cbs)
    if limit.is_over:
        raise TimeoutError("this machine became slower, and there is no time for the rest of this training")
    return recording.result(run)


def train_layers_until(
    learn: Any, lr: float | slice, seconds: float, clock: Callable[[], float], tell: Callable[[float], None]
) -> tuple[float, str | None]:
    """All layers for `seconds`, and at most MOST_EPOCHS. Returns the epochs done, and why it failed or None.

    It fails if it diverges or if there is too little memory.
    """
    return fit_until(learn, lr, MOST_EPOCHS, CycleByTheClock(seconds, clock, tell), [NoValidation()])
