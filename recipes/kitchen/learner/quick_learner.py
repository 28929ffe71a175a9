"""fastai's Learner and loss with less Python: a small net makes a step in the time of a few thousand calls."""

from operator import attrgetter

import torch
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat

from lrlab.callbacks.events import answers


class QuickLearner(Learner):
    """fastai's Learner, which at an event calls those callbacks alone that have a method for it, in the same order.

    Where a batch raises, callbacks with a `close` may leave what they have entered before it.
    """

    def __call__(self, event_name: str | list[str]) -> None:
        for name in [event_name] if isinstance(event_name, str) else event_name:
            for cb in sorted(self.cbs, key=attrgetter("order")):
                if answers(cb, name):
                    cb(name)

    def one_batch(self, i: int, b: tuple) -> None:
        try:
            super().one_batch(i, b)
        except BaseException:  # Ctrl-C too: an autocast that stays on would serve the next fit with its old weights
            for cb in self.cbs:
                if hasattr(type(cb), "close"):
                    cb.close()
            raise


class PlainCrossEntropy(CrossEntropyLossFlat):
    "fastai's loss for scores [n, classes] alone: nothing to flatten, and the backward pass gets a plain tensor."

    def __call__(self, inp: torch.Tensor, targ: torch.Tensor, **kwargs) -> torch.Tensor:
        return self.func(inp, targ, **kwargs)
