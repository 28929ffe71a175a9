"""End a fit that has diverged, and say where."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from fastai.basics import CancelFitException

from .arguments import number, whole, whole_or_none
from .hypers import read_hypers
from .steps import StepCallback


class Divergence(NamedTuple):
    "Where a fit diverged."

    step: int
    lr: float
    loss: float
    reason: str = ""

    def __str__(self) -> str:
        return f"diverged at step {self.step}, LR {self.lr:.3g}: loss {self.loss:.3g}"


class StopOnDivergence(StepCallback):
    """End the fit when the training loss is not finite, or stays far above its first value.

    A loss above `factor * max(loss of the first step, floor)` for `patience` batches in a row has diverged. The rule is
    tolerant on purpose: a high 1cycle peak or a warm restart may multiply a small loss a hundredfold and still recover.
    Divergence grows exponentially, so this delays detection by only a few batches. After the fit, `diverged` is a bool;
    `step`, `lr` (of the last parameter group), `loss` and `reason` describe where the high losses began.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import StopOnDivergence
    >>> learn, stop = synth_learner(), StopOnDivergence()
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit(5, lr=100.0, cbs=stop)
    >>> stop.diverged, stop.step < 10, stop.lr
    (True, True, 100.0)
    """

    def __init__(
        self,
        factor: float = 10.0,  # A loss this many times the first loss is too high
        floor: float = 1.0,  # A first loss below this counts as this: a well-trained model may start near 0
        patience: int = 10,  # Number of batches in a row with a loss that is too high
        every: int | None = None,  # Check the loss every N batches; default 1 on a CPU, 20 on a GPU (it waits)
        verbose: bool = False,  # Print the reason
    ) -> None:
        self.factor, self.floor = number("factor", factor, "(1, inf)"), number("floor", floor, "(0, inf)")
        self.patience, self.every = whole("patience", patience), whole_or_none("every", every)
        self.verbose = verbose
        self._unread: list[tuple[int, float, torch.Tensor]] = []
        self._row: list[Divergence] = []  # the latest batches in a row above the limit
        self._found: Divergence | None = None
        self._limit: float | None = None

    # Properties, because plain attributes named like the Learner's would make fastai warn.
    diverged = property(lambda self: self._found is not None, doc="Whether the latest fit diverged.")
    step = property(lambda self: self._found and self._found.step, doc="The 0-based optimizer step, or None.")
    lr = property(lambda self: self._found and self._found.lr, doc="The last parameter group's LR there, or None.")
    loss = property(lambda self: self._found and self._found.loss, doc="The loss there, or None.")
    reason = property(lambda self: self._found.reason if self._found else "", doc="All of these, in words.")

    def begin(self) -> None:
        if not self._resumed:
            self._found, self._limit, self._row = None, None, []
        self._unread.clear()
        device = next(self.learn.model.parameters()).device
        self._period = self.every or (1 if device.type == "cpu" else 20)

    def after_loss(self) -> None:
        loss = self.learn.loss.as_subclass(torch.Tensor).detach()  # fastai's own type is slow
        lrs, _ = read_hypers(self.learn.opt)
        self._unread.append((self._steps.next, lrs[-1], loss if loss.ndim == 0 else loss.mean()))

    def after_batch(self) -> None:
        if len(self._unread) >= self._period:
            self._check()
        if self.diverged:
            raise CancelFitException()

    def after_train(self) -> None:
        self._check()
        if self.diverged:
            raise CancelFitException()

    def after_fit(self) -> None:
        # Another callback, such as TerminateOnNaNCallback, may have ended the fit before this one's `after_batch`.
        self._check()
        if self.diverged and self.verbose:
            print(self.reason)

    def _check(self) -> None:
        if not self._unread:
            return
        losses = torch.stack([loss for _, _, loss in self._unread]).float()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            # All processes must end the fit at the same batch. Otherwise the others wait forever.
            torch.distributed.all_reduce(losses)
            losses /= torch.distributed.get_world_size()
        for (step, lr, _), loss in zip(self._unread, losses.tolist(), strict=True):
            if self._found is None:
                self._found = self._judge(Divergence(step, lr, loss))
        self._unread.clear()

    def state_dict(self) -> dict[str, Any]:
        "What a resumed fit needs to continue the check."
        self._check()
        return {"limit": self._limit, "row": [tuple(batch) for batch in self._row]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        "Make the fit that starts use an earlier limit."
        self._found, self._limit = None, state["limit"]
        self._row = [Divergence(*batch) for batch in state["row"]]

    def _judge(self, now: Divergence) -> Divergence | None:
        "The divergence that `now` reveals, or None."
        if not math.isfinite(now.loss):
            return now._replace(reason=f"{now}: not finite")
        if self._limit is None:
            self._limit = self.factor * max(now.loss, self.floor)
        if now.loss <= self._limit:
            self._row.clear()
            return None
        self._row.append(now)
        if len(self._row) < self.patience:
            return None
        first = self._row[0]
        return first._replace(reason=f"{first}, above {self._limit:.3g} for {self.patience} batches in a row")
