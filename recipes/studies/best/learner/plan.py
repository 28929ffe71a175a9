"""What `lrlab best --learner` tries, in which order, and how much of it fits. Arithmetic; nothing here trains.

1. **Speed.** A few training batches and a validation are timed. Less time than one epoch needs is refused.
2. **LR range tests** in RANGE_SHARE of the time, of as many seeds as fit, or a single one in MOST_RANGE_SHARE; else the
   Learner's own LR.
3. **Trials** in TRIAL_SHARE of the time that is left: the LR and its neighbours by FACTORS, all seeds, judged by
   `lrlab.recipes.decide` with the Learner's own metric. Where the time is too short for them, the LR is as suggested.
4. **Final training** of a new Learner until the time is up. Where the trials took little of it, longer trainings follow
   each other, each GROWTH times as long, until MOST_MISSES in a row gain nothing. The best model of all stays, also if
   it is that of a trial.
5. **Test**, once.
"""

import math
from typing import NamedTuple

from lrlab.recipes.studies.best.budget import REPORT_SECONDS, REPORT_SHARE

THIRD, HALVES, SAME = "third loader", "halves", "same"  # where the test items come from
TEST_FROM = {
    THIRD: "the third loader of the Learner",
    HALVES: "a random half of the validation set; the other half decided",
    SAME: "the validation set, which also decided, because its loader cannot be divided",
}
SEEDS = (0, 1, 2)  # of the range tests and the trials
RANGE_SHARE, MOST_RANGE_SHARE, TRIAL_SHARE = 0.15, 0.3, 0.4  # of the time that is left
FACTORS = (1 / 3, 1.0, 3.0)  # of the suggested LR, in the trials
TRIAL_STEPS, LEAST_STEPS = 300, 30  # of a trial at least: of several seeds, and of a single one
TRIAL_EPOCHS = 50  # of a trial at most
GROWTH = 4  # of one training to the next
HEADROOM = 5  # epochs of a training at most, times those that are expected: the clock ends it, not their number
MOST_MISSES = 2  # trainings in a row that gain nothing: the best of several trials was partly lucky
MOST_FAILURES = 3  # trainings that diverge, before the search ends
SMALLER = 1 / 5  # the LR after a training that diverged


class Speed(NamedTuple):
    "Seconds to make the Learner, to train an epoch and validate, to validate alone, and to test; batches an epoch."

    make: float
    epoch: float
    valid: float
    test: float
    batches: int

    @property
    def step(self) -> float:
        "Seconds of a training step."
        return (self.epoch - self.valid) / self.batches

    @property
    def after(self) -> float:
        "Seconds from the end of the last training to the end of the test."
        return self.valid + self.make + self.test

    @property
    def least(self) -> float:
        "Seconds of the shortest training that counts."
        return self.make + self.epoch


def minutes_needed(speed: Speed, used: float) -> float:
    """The `minutes` in which one epoch fits, rounded up to a tenth, if the start took `used` seconds.

    >>> minutes_needed(Speed(make=2, epoch=60, valid=10, test=10, batches=100), used=20)
    2.0
    """
    seconds = (used + speed.least + speed.after + REPORT_SECONDS) / (1 - REPORT_SHARE)
    return math.ceil(10 * 1.05 * seconds / 60) / 10


def seeds_to_test(left: float, speed: Speed, step: float, steps: int) -> tuple[int, ...]:
    """The seeds whose range tests fit, if a step takes `step` seconds: so many that an epoch still fits after them.

    >>> speed = Speed(make=1, epoch=10, valid=1, test=1, batches=100)
    >>> [seeds_to_test(left, speed, step=0.1, steps=100) for left in (1000, 150, 40, 30)]
    [(0, 1, 2), (0, 1), (0,), ()]
    """
    cost = speed.make + steps * step
    several, single = (int(min(share * left, left - speed.least) / cost) for share in (RANGE_SHARE, MOST_RANGE_SHARE))
    return SEEDS[: max(several, min(single, 1), 0)]


class Trials(NamedTuple):
    "Trainings that show which LR is best: every LR with every seed, of equal length."

    seeds: list[int]
    epochs: int


def plan_trials(left: float, speed: Speed) -> Trials | None:
    """All seeds if TRIAL_STEPS fit; else one seed if an epoch and LEAST_STEPS fit; else none.

    >>> speed = Speed(make=1, epoch=10, valid=1, test=1, batches=100)
    >>> for left in (50, 100, 900, 100_000):
    ...     print(plan_trials(left, speed))
    None
    Trials(seeds=[0], epochs=1)
    Trials(seeds=[0, 1, 2], epochs=3)
    Trials(seeds=[0, 1, 2], epochs=50)
    """
    for seeds, steps in ((SEEDS, TRIAL_STEPS), (SEEDS[:1], LEAST_STEPS)):
        each = TRIAL_SHARE * left / (len(FACTORS) * len(seeds)) - speed.make
        epochs = min(int(each / speed.epoch), TRIAL_EPOCHS)
        if epochs >= min(math.ceil(steps / speed.batches), TRIAL_EPOCHS):
            return Trials(list(seeds), epochs)
    return None


def next_seconds(left: float, before: float) -> float:
    """How long the next training is: GROWTH times the one `before`, if then one is possible that is longer by as much.

    Else it takes all the time that is `left`.

    >>> next_seconds(1000, before=10), next_seconds(1000, before=100), next_seconds(1000, before=0)
    (40, 1000, 1000)
    """
    longer = GROWTH * before
    return longer if 0 < longer * (1 + GROWTH) <= left else left
