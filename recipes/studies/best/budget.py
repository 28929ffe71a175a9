"""The time that a command has: how much is left, and how much the end of it needs."""

import time
from collections.abc import Callable
from dataclasses import dataclass

REPORT_SECONDS, REPORT_SHARE = 5.0, 0.03  # for export, figure and report on an idle machine; and of all time
MOST_SLOWNESS = 10.0


@dataclass
class Budget:
    """`seconds` from `began` on, of which `used` are gone already: those of the finished steps of a stopped command.

    `busy` is the processor time of this thread. The clock runs faster than that where other programs take their share.

    >>> budget = Budget(120, clock=lambda: 0.0, used=20.0)
    >>> round(budget.left(), 1), round(budget.for_training(), 1)
    (100.0, 91.4)
    """

    seconds: float
    clock: Callable[[], float] = time.monotonic
    used: float = 0.0
    began: float | None = None  # on the clock; default: now
    busy: Callable[[], float] | None = None

    def __post_init__(self):
        self.start = self.clock(), self.busy() if self.busy else 0.0
        self.zero = self.start[0] if self.began is None else self.began

    def left(self) -> float:
        "Seconds until the command should have ended."
        return self.seconds - self.used - (self.clock() - self.zero)

    def for_training(self) -> float:
        "Seconds until the last training step, so that there is time for the report. At least 0."
        return max(0.0, self.left() - self.for_report())

    def for_report(self) -> float:
        "Seconds that the end takes: export, figure and report."
        return REPORT_SECONDS * self.slowness() + REPORT_SHARE * self.seconds

    def slowness(self) -> float:
        "How many times as long as on an idle machine everything takes, from 1 to 10."
        if self.busy is None:
            return 1.0
        elapsed, busy = self.clock() - self.start[0], self.busy() - self.start[1]
        return min(max(elapsed / max(busy, 1e-9), 1.0), MOST_SLOWNESS)
