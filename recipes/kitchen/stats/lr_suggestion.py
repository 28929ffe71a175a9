"""One learning rate and its range, from the LR range tests of several seeds."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np

from lrlab.recipes.kitchen.learning_rates import format_number, two_digits
from lrlab.recipes.kitchen.text import plural

FAR = 3.0  # An LR is far from the range if it is beyond its ends by more than this factor.


@dataclass(frozen=True)
class LRSuggestion:
    """What the LR range tests of several seeds suggest.

    `by_seed` holds the LR of fastai's valley rule, or None where the loss never fell. The suggestion is the median over
    the seeds on a log axis, to two digits; the range goes from the lowest to the highest.
    results/reference/lr_find/README.md compares it with other rules.

    >>> found = LRSuggestion({0: 3.63e-3, 1: 6.31e-3, 2: 4.37e-3})
    >>> found.lr, found.range
    (0.0044, [0.0036, 0.0063])
    >>> print(found)
    4.4e-3 (3.6e-3 to 6.3e-3 over 3 seeds)
    """

    by_seed: Mapping[int, float | None]

    @classmethod
    def of_config(cls, config: dict) -> "LRSuggestion":
        "That of a manifest as a dictionary. A folder of lrlab 1.0 has one seed."
        lr = config.get("lr_find")
        stored = config.get("lr_find_by_seed") or ({0: lr} if lr else {})
        return cls({int(seed): lr for seed, lr in stored.items()})

    @property
    def _found(self) -> list[float]:
        return [lr for lr in self.by_seed.values() if lr]

    @property
    def lr(self) -> float | None:
        "None if no seed suggests an LR."
        return two_digits(np.exp(median(np.log(self._found)))) if self._found else None

    @property
    def range(self) -> list[float]:
        "The lowest and the highest LR; empty if no seed suggests one."
        return [two_digits(end(self._found)) for end in (min, max)] if self._found else []

    def __str__(self) -> str:
        if self.lr is None:
            return "no LR"
        n, seeds = len(self._found), plural(len(self.by_seed), "seed")
        over = seeds if n == len(self.by_seed) else f"{n} of {seeds}"
        low, high = map(format_number, self.range)
        return f"{format_number(self.lr)} ({f'{low} to {high} over ' if n > 1 else ''}{over})"

    def distance(self, lr: float) -> str:
        """Words for an LR that is far above or below the range; empty if it is not.

        >>> LRSuggestion({0: 3e-3, 1: 6e-3}).distance(0.1)
        '17 times the highest LR that lr_find suggests, 4.2e-3 (3e-3 to 6e-3 over 2 seeds)'
        """
        low, high = self.range or (lr, lr)
        if low / FAR <= lr <= high * FAR:
            return ""
        times = f"{lr / high:.0f} times the highest" if lr > high else f"1/{low / lr:.0f} of the lowest"
        return f"{times} LR that lr_find suggests, {self}"
