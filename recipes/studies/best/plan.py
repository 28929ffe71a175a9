"""What `lrlab best` tries, in which order, and how much of it fits into the time. Arithmetic; nothing here trains.

1. **Size.** A few batches are timed. The largest of SIZES is taken at which the features can be computed in
   FEATURES_SHARE of the time, or in HEAD_FEATURES_SHARE where there is no time for all layers.
2. **Features**, which is what the frozen body makes of the images. They and the test get MOST_FEATURES_SHARE of the
   time at most; images that would come later are left out. The images that are taken are mirrored too if that fits.
3. **Head.** It trains on the features in seconds. Its LR is one of HEAD_LRS, by three seeds and `lrlab.recipes.decide`.
4. **All layers**, starting from that head: trials in TRIAL_SHARE of the time show on the validation images whether they
   gain anything, and at which of LAYER_LRS. Where the time is too short for trials, this is left to step 5.
5. **Final model.** All layers are trained until the time is up, and kept if they are better than the head on validation
   images. Where not even LEAST_STEPS fit, the head is the result, and the command ends early. What the trials have
   shown before, or the head alone, is trained with half of the validation images too. The other half then sets the
   temperature, and catches a training that went wrong.
6. **Test**, once, on images that nothing of the above has seen.
"""

import math
from typing import NamedTuple

import pandas as pd

from lrlab.recipes.kitchen.data.dataloaders import DEFAULT_BS

SIZES = (64, 96, 128, 160, 192, 224)  # pixels
MEASURED_SIZE = 96  # at which the machine is timed; times grow with the number of pixels
HEAD_LRS = (1e-3, 3e-3, 1e-2)
HEAD_EPOCHS = 5
LAYER_LRS = (3e-4, 1e-3)  # of the head; the first layers get it divided by DIVISOR
DIVISOR = 100  # as in fine_tune of fastai
SEEDS = (0, 1, 2)  # of the comparisons
FEATURES_SHARE, HEAD_FEATURES_SHARE = 0.3, 0.5  # of the time, for the features; if the head alone will be trained
MOST_FEATURES_SHARE = 0.7  # of the time, with the test; images that would come later are left out
VIEWS = 2  # of an image that may be mirrored
HEAD_SHARE = 0.2  # of the time, for all heads; the rest of their seeds are not trained then
TRIAL_SHARE = 0.3  # of the time that is left after the heads
MOST_TRIAL_SHARE = 0.6  # the same where the machine became slower: a trial ends there, unfinished
TRIAL_STEPS, TRIAL_EPOCHS = 300, 4  # of a trial at least: of several seeds, and of a single one
LEAST_EPOCHS, LEAST_STEPS = 1.0, 200  # of all layers in the final training: with fewer steps the head alone is better
MOST_EPOCHS = 30  # of all layers; more time than that is not used
TOO_SHORT = f"all layers are not trained: no time for {LEAST_STEPS} steps, and fewer lose accuracy"


class Speed(NamedTuple):
    "Seconds for one image of `size` pixels: to predict it, and to train on it once."

    size: int
    predict: float
    train: float

    def at(self, size: int) -> "Speed":
        """At another size: the time grows with the number of pixels.

        >>> Speed(96, 0.01, 0.04).at(192)
        Speed(size=192, predict=0.04, train=0.16)
        """
        factor = (size / self.size) ** 2
        return Speed(size, self.predict * factor, self.train * factor)

    def corrected(self, predict: float) -> "Speed":
        """As measured later, on the images themselves: training is as many times slower as prediction is.

        >>> Speed(96, 0.01, 0.04).corrected(0.02)
        Speed(size=96, predict=0.02, train=0.08)
        """
        return Speed(self.size, predict, self.train * predict / self.predict)


def choose_size(speed: Speed, n_images: int, seconds: float, views: int = VIEWS, sizes: tuple[int, ...] = SIZES) -> int:
    """The largest size at which the features of all views of all images fit into their time; else the smallest.

    Where there is no time for all layers after that, the head alone will be trained, and the share is larger.

    >>> [choose_size(Speed(96, 0.005, 0.02), 1000, seconds) for seconds in (10, 50, 1000)]
    [64, 128, 224]
    """

    def largest(share: float) -> int:
        fitting = [size for size in sizes if views * n_images * speed.at(size).predict <= share * seconds]
        return max(fitting, default=min(sizes))

    size = largest(FEATURES_SHARE)
    rest = (1 - FEATURES_SHARE - HEAD_SHARE) * seconds
    return size if is_long_enough(rest, speed.at(size), n_images, DEFAULT_BS) else largest(HEAD_FEATURES_SHARE)


def epochs_in(seconds: float, speed: Speed, n_train: int) -> float:
    """How many epochs of all layers `seconds` are enough for, at `speed`'s size.

    >>> epochs_in(60, Speed(96, 0.005, 0.02), 1000)
    3.0
    """
    return seconds / (n_train * speed.train)


def has_time_to_mirror(used: float, train_share: float, seconds: float) -> bool:
    """Whether the features of mirrored training images fit into HEAD_FEATURES_SHARE of `seconds` too.

    `used` seconds went into the features of all images, of which `train_share` are training images.

    >>> has_time_to_mirror(25, 0.8, 100), has_time_to_mirror(30, 0.8, 100)
    (True, False)
    """
    return used * (1 + train_share) <= HEAD_FEATURES_SHARE * seconds


def is_long_enough(seconds: float, speed: Speed, n_train: int, bs: int) -> bool:
    """Whether all layers can gain anything in `seconds`: LEAST_EPOCHS and LEAST_STEPS fit.

    Shorter trainings lose accuracy: the batch norms have to find new statistics.

    >>> [is_long_enough(seconds, Speed(96, 0.005, 0.02), 1000, 64) for seconds in (60, 300)]
    [False, True]
    """
    epochs = epochs_in(seconds, speed, n_train)
    return epochs >= LEAST_EPOCHS and epochs * n_train >= LEAST_STEPS * bs


class Trials(NamedTuple):
    "Trainings of all layers that show whether they gain anything: every LR with every seed, of equal length."

    lrs: tuple[float, ...]
    seeds: tuple[int, ...]
    epochs: int


def plan_trials(seconds: float, speed: Speed, n_train: int, bs: int) -> Trials | None:
    """All LRs and seeds if TRIAL_STEPS fit; else one LR and one seed if TRIAL_EPOCHS fit and a long training after it.

    Shorter trials would only show that a training starts badly: the batch norms have to find new statistics.

    >>> for seconds in (100, 400, 40000):
    ...     print(plan_trials(seconds, Speed(96, 0.005, 0.02), 1000, 64))
    None
    Trials(lrs=(0.001,), seeds=(0,), epochs=6)
    Trials(lrs=(0.0003, 0.001), seeds=(0, 1, 2), epochs=30)
    """
    epochs = TRIAL_SHARE * epochs_in(seconds, speed, n_train)
    each = min(int(epochs / (len(LAYER_LRS) * len(SEEDS))), MOST_EPOCHS)
    if each * n_train >= TRIAL_STEPS * bs:
        return Trials(LAYER_LRS, SEEDS, each)
    if epochs >= TRIAL_EPOCHS and is_long_enough((1 - TRIAL_SHARE) * seconds, speed, n_train, bs):
        return Trials(LAYER_LRS[-1:], SEEDS[:1], min(int(epochs), MOST_EPOCHS))
    return None


class Layers(NamedTuple):
    """What is decided about training all layers. JSON types.

    `lr` is that of the head; None: they are not trained. `is_shown`: trials have shown that they gain something.
    """

    lr: float | None
    is_shown: bool
    words: str


def untried_layers(seconds: float, speed: Speed, n_train: int, bs: int) -> Layers:
    "The decision where there is no time for trials."
    if not is_long_enough(seconds, speed, n_train, bs):
        return Layers(None, False, TOO_SHORT)
    return Layers(LAYER_LRS[-1], False, "no time for trials: all layers are trained, and kept if they beat the head")


def decide_layers(table: pd.DataFrame, lrs: dict[str, float]) -> Layers:
    """The decision by a table of `decide` over the head and the arms `lrs`, the LR of each arm by its name.

    A trial is shorter than the final training, which favours the head. So all layers always get their chance.
    """
    best = table.iloc[0].schedule
    if best in lrs:
        return Layers(lrs[best], True, f"{best}, in the final training too")
    arm = next(name for name in table.schedule if name in lrs)
    return Layers(lrs[arm], False, f"{arm} may gain with more time: trained, and kept if better than the head")


def is_accepted(after: float, before: float, n_valid: int, is_shown: bool) -> bool:
    """Whether all layers are kept, by the accuracy before and after their training on `n_valid` images.

    Where trials have shown a gain, these few images only catch a training that went wrong: two standard errors.

    >>> is_accepted(0.84, 0.85, 100, is_shown=False), is_accepted(0.84, 0.85, 100, is_shown=True)
    (False, True)
    """
    return after >= before - (1 / math.sqrt(n_valid) if is_shown else 0.0)
