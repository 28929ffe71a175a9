"""1cycle by the clock: the LR reaches its end when the time does, on a slow machine as on a fast one."""

from collections.abc import Callable, Sequence

from fastai.basics import Learner
from fastai.callback.core import Callback, CancelFitException

from lrlab.callbacks import OneCycle, StopOnDivergence
from lrlab.callbacks.events import QuickCallback
from lrlab.recipes.kitchen.learner.out_of_memory import is_out_of_memory

POINTS = 1000  # of the curve


class CycleByTheClock(QuickCallback):
    """The LR of every group follows 1cycle over `seconds` of `clock`, or over the epochs of the fit if these end first.

    A step that would begin after the end is not made: the fit ends there, also in the middle of an epoch. `tell(share)`
    is called at every step with the share of the run that is done.
    """

    order, run_valid = 10, False

    def __init__(self, seconds: float, clock: Callable[[], float], tell: Callable[[float], None] = lambda share: None):
        self.seconds, self.clock, self.tell = seconds, clock, tell
        self.curve = OneCycle().multipliers(POINTS, POINTS)
        self.steps = 0

    def before_fit(self):
        self.began, self.lrs = self.clock(), [hyper["lr"] for hyper in self.opt.hypers]

    def before_batch(self):
        by_clock = (self.clock() - self.began) / self.seconds
        if by_clock >= 1:
            raise CancelFitException()
        share = max(by_clock, self.train_iter / (self.n_epoch * len(self.dls.train)))
        multiplier = self.curve[min(int(share * POINTS), POINTS - 1)]
        self.opt.set_hypers(lr=[float(lr * multiplier) for lr in self.lrs])
        self.steps += 1
        self.tell(share)


class EndWithoutTime(QuickCallback):
    "Ends the fit where `has_time()` is false, which is asked every eighth step. `is_over` tells whether it has."

    run_valid = False

    def __init__(self, has_time: Callable[[], bool]):
        self.has_time, self.is_over = has_time, False

    def before_batch(self):
        if self.train_iter % 8 == 0 and not self.has_time():
            self.is_over = True
            raise CancelFitException()


def fit_until(
    learn: Learner, lr: float | slice, epochs: int, cycle: CycleByTheClock, cbs: Sequence[Callback] = ()
) -> tuple[float, str | None]:
    """Train until the time of the `cycle` is up, and at most `epochs`. Returns the epochs done, and why it failed.

    It fails if it diverges or if there is too little memory. Else the reason is None.
    """
    divergence, reason = StopOnDivergence(), None
    try:
        with learn.no_bar(), learn.no_logging():
            learn.fit(epochs, lr=lr, cbs=[cycle, divergence, *cbs])
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        reason = "out of memory"
    reason = divergence.reason if divergence.diverged else reason
    return cycle.steps / len(learn.dls.train), reason
