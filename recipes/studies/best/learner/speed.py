"""Step 1 of `lrlab best --learner`: how fast this machine is with the Learner, and which items are for the test."""

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import torch
from fastai.basics import Callback, CancelTrainException, Learner
from fastai.torch_core import find_bs

from lrlab.callbacks import _fastai
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.learner.users_code import users_code
from lrlab.recipes.kitchen.learner_workload import LearnerWorkload
from lrlab.recipes.kitchen.text import plural
from lrlab.recipes.studies.best.budget import Budget
from lrlab.recipes.studies.best.journal import Step
from lrlab.recipes.studies.best.learner.parts import WithoutTest, find_parts, loader_for_test
from lrlab.recipes.studies.best.learner.plan import HALVES, SAME, TEST_FROM, Speed, minutes_needed

SPEED = "Speed and test part"  # the name of the step
BATCHES, SECONDS = 4, 2.0  # that are timed at least


class EpochTimes(Callback):
    "Times the first batches of an epoch, where it ends the training, and the validation, whose items it counts."

    order = 60  # after fastai's Recorder

    def __init__(self, clock: Callable[[], float]):
        self.clock, self.n_valid, self.ends = clock, 0, [0.0]

    def before_train(self):
        self.ends = [self._now()]

    def after_batch(self):
        if not self.training:
            with suppress(AttributeError, TypeError, IndexError):  # a batch of another kind than fastai's
                self.n_valid += find_bs(self.xb)
            return
        self.ends.append(self._now())
        if len(self.ends) > BATCHES and self.ends[-1] - self.ends[0] >= SECONDS:
            raise CancelTrainException

    def after_cancel_train(self):
        _fastai.keep_train_metrics(self.learn.recorder)  # for callbacks that read the values of the epoch

    def after_validate(self):
        self.valid = self._now() - self.ends[-1]

    def epoch_of(self, batches: int) -> float:
        "Seconds of an epoch of so many batches, with its validation. The first batch may take longer than the others."
        first, *others = np.diff(self.ends)
        return float(first + (batches - 1) * np.median(others or [first]) + self.valid)

    def _now(self) -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return self.clock()


def measure_speed(workload: LearnerWorkload, learn: Learner, seed: int, budget: Budget) -> Step:
    """The step, with the speed and where the test items come from.

    `learn` is one of the workload's. Raises UserError where the time is too short for an epoch.
    """
    parts, clock = find_parts(learn, seed), budget.clock
    began = clock()
    trial = LearnerWorkload(WithoutTest(workload.make_learner, parts, seed)).learner(seed)
    make, times = clock() - began, EpochTimes(clock)
    with users_code("while timing a few batches"), trial.no_bar(), trial.no_logging():
        trial.fit(1, cbs=times)
    if parts == HALVES and times.n_valid != trial.dls.valid.n:
        parts = SAME
    batches, n_test = len(trial.dls.train), len(loader_for_test(learn, parts, seed))
    test = times.valid * n_test / len(trial.dls.valid)
    speed = Speed(make, times.epoch_of(batches), times.valid, test, batches)
    left = budget.for_training() - speed.after
    if left < speed.least:
        used = budget.seconds - budget.left()
        raise UserError(
            f"`minutes` {budget.seconds / 60:g}: no epoch fits. One takes about {speed.epoch:.3g} s here, and the "
            f"start took {used:.3g} s; give it at least {minutes_needed(speed, used):g}"
        )
    evidence = f"an epoch with its validation takes {speed.epoch:.3g} s, and to make the Learner {make:.3g} s"
    decision = f"time for {plural(round(left / speed.epoch), 'epoch')} in all; test items: {TEST_FROM[parts]}"
    return Step(SPEED, evidence, decision, facts={"speed": list(speed), "parts": parts})
