"""What the optimizer really did: every group's LR and momentum, and the loss, at every step."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pandas as pd
import torch

from .hypers import read_hypers
from .steps import StepCallback

_COLUMNS = {"step": "q", "epoch": "q", "loss": "d", "lr": "d", "mom": "d"}


class HyperHistory(StepCallback):
    """Record every group's LR and momentum and the loss at every optimizer step.

    Under `GradientAccumulation` the loss of a step is the mean over its batches. `skipped` lists the steps that the
    loss scaler of mixed precision skipped. Each fit starts anew; LR range tests are left out.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import HyperHistory
    >>> learn, history = synth_learner(), HyperHistory()
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit_one_cycle(2, 0.1, cbs=history)
    >>> history.to_df()[["step", "epoch", "group", "lr", "mom"]].round(3).iloc[[0, 5, 19]]
        step  epoch  group     lr    mom
    0      0      0      0  0.004  0.950
    5      5      0      0  0.100  0.850
    19    19      1      0  0.001  0.949
    """

    def __init__(self) -> None:
        super().__init__()
        self.skipped: list[int] = []
        self._rows: dict[str, array] = {name: array(code) for name, code in _COLUMNS.items()}
        self._batch_losses: list[torch.Tensor] = []
        self._ends: list[int] = []  # how many of them there were at each step since the last `_flush`

    def begin(self) -> None:
        if not self._resumed:
            self.load_state_dict({"skipped": [], "pending": []} | dict.fromkeys(_COLUMNS, ()))

    def after_loss(self) -> None:
        if self._steps is not None:
            # A reference: asking for the number now would make a GPU wait, every step.
            loss = self.learn.loss.detach()
            self._batch_losses.append(loss if loss.ndim == 0 else loss.mean())

    def before_step(self) -> None:
        super().before_step()
        if self._steps is None:
            return
        lrs, moms = read_hypers(self.learn.opt)
        self._rows["step"].append(self._steps.step)
        self._rows["epoch"].append(self.learn.epoch)
        self._rows["lr"].extend(lrs)
        self._rows["mom"].extend(moms)
        self._ends.append(len(self._batch_losses))

    def after_cancel_step(self) -> None:
        if self._steps is not None:
            self.skipped.append(self._steps.step)

    def after_train(self) -> None:
        self._flush()

    def _flush(self) -> None:
        "Move the losses of the steps made so far from the device into the rows, all at once."
        if not self._ends:
            return
        bounds = [0, *self._ends]
        losses = torch.stack(self._batch_losses[: bounds[-1]]).double().cpu().numpy()
        self._rows["loss"].extend(np.add.reduceat(losses, bounds[:-1]) / np.diff(bounds))
        del self._batch_losses[: bounds[-1]]
        self._ends.clear()

    def to_df(self) -> pd.DataFrame:
        "One row for every step and parameter group: step, epoch, group, lr, mom (NaN without momentum), loss."
        self._flush()
        steps = len(self._rows["step"])
        groups = len(self._rows["lr"]) // steps if steps else 0
        return pd.DataFrame(
            {
                "step": np.repeat(self._rows["step"], groups),
                "epoch": np.repeat(self._rows["epoch"], groups),
                "group": np.tile(np.arange(groups), steps),
                "lr": np.array(self._rows["lr"]),
                "mom": np.array(self._rows["mom"]),
                "loss": np.repeat(self._rows["loss"], groups),
            }
        )

    def state_dict(self) -> dict[str, Any]:
        "What a resumed fit needs to go on with this history."
        self._flush()
        rows = {name: rows.tolist() for name, rows in self._rows.items()}
        return rows | {"skipped": self.skipped, "pending": [loss.item() for loss in self._batch_losses]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        "Let the fit that is starting go on with an earlier history."
        self._resumed = True
        self.skipped = list(state["skipped"])
        self._rows = {name: array(code, state[name]) for name, code in _COLUMNS.items()}
        # Batches of a step that is not complete yet: accumulation goes on across epochs.
        device = next(self.learn.model.parameters()).device
        self._batch_losses = [torch.tensor(loss, device=device) for loss in state["pending"]]
        self._ends = []
