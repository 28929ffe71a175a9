"""Record what the optimizer did: every group's LR and momentum, and the loss, at every step."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pandas as pd
import torch

from .hypers import read_hypers
from .steps import StepCallback

_COLUMNS = {"step": "q", "epoch": "q", "groups": "q", "loss": "d", "lr": "d", "mom": "d"}


class HyperHistory(StepCallback):
    """Record every group's LR and momentum, and the loss, at every optimizer step.

    The loss of a step is the mean over its batches; under `GradientAccumulation` it has several. `skipped` lists the
    steps that were cancelled, for example by the loss scaler of mixed precision. Every fit starts a new history. LR
    range tests are not recorded.

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
        self._clear()

    def _clear(self) -> None:
        self.skipped: list[int] = []
        self._rows: dict[str, array] = {name: array(code) for name, code in _COLUMNS.items()}
        self._batch_losses: list[torch.Tensor] = []
        self._ends: list[int] = []  # number of batch losses at each step since the last `_flush`

    def begin(self) -> None:
        if not self._resumed:
            self._clear()

    def before_backward(self) -> None:
        # Keep the tensor: reading its number now would make a GPU wait at every step.
        loss = self.learn.loss.as_subclass(torch.Tensor).detach()  # fastai's own type is slow
        self._batch_losses.append(loss if loss.ndim == 0 else loss.mean())

    def after_cancel_step(self) -> None:
        self.skipped.append(self._steps.next)

    def after_step(self) -> None:
        super().after_step()
        lrs, moms = read_hypers(self.learn.opt)
        self._rows["step"].append(self._steps.step)
        self._rows["epoch"].append(self._epoch)
        self._rows["groups"].append(len(lrs))
        self._rows["lr"].extend(lrs)
        self._rows["mom"].extend(moms)
        self._ends.append(len(self._batch_losses))

    def after_train(self) -> None:
        self._flush()

    def _flush(self) -> None:
        "Move the losses of the steps made so far from the device into the rows, all at once."
        if not self._ends:
            return
        bounds = [0, *self._ends]
        device_losses = self._batch_losses[: bounds[-1]]
        losses = torch.stack(device_losses).double().cpu().numpy() if device_losses else np.empty(0)
        for first, end in zip(bounds, bounds[1:], strict=False):  # a step whose backward pass was cancelled has no loss
            self._rows["loss"].append(losses[first:end].sum() / (end - first) if end > first else np.nan)
        del self._batch_losses[: bounds[-1]]
        self._ends.clear()

    def to_df(self) -> pd.DataFrame:
        "One row per step and parameter group: step, epoch, group, lr, mom (NaN without momentum), loss."
        self._flush()
        groups = np.array(self._rows["groups"], dtype=int)
        return pd.DataFrame(
            {
                "step": np.repeat(self._rows["step"], groups),
                "epoch": np.repeat(self._rows["epoch"], groups),
                "group": np.concatenate([np.arange(n) for n in groups]) if len(groups) else groups,
                "lr": np.array(self._rows["lr"]),
                "mom": np.array(self._rows["mom"]),
                "loss": np.repeat(self._rows["loss"], groups),
            }
        )

    def state_dict(self) -> dict[str, Any]:
        "What a resumed fit needs to continue this history."
        self._flush()
        rows = {name: rows.tolist() for name, rows in self._rows.items()}
        return rows | {"skipped": self.skipped, "pending": [loss.item() for loss in self._batch_losses]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        "Make the fit that starts continue an earlier history."
        self._clear()
        self.skipped = list(state["skipped"])
        self._rows = {name: array(code, state[name]) for name, code in _COLUMNS.items()}
        # Batches of a step that is not complete yet: accumulation continues across epochs.
        device = next(self.learn.model.parameters()).device
        self._batch_losses = [torch.tensor(loss, device=device) for loss in state["pending"]]
