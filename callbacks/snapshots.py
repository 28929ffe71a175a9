"""One training run, several models: the weights at every cycle's minimum, and their joint predictions."""

from __future__ import annotations

from typing import Any

import torch
from fastai.basics import Learner, get_model

from .hypers import check_whole
from .schedule_lr import ScheduleLR
from .steps import StepCallback


class CycleCallback(StepCallback):
    "Base of the callbacks that act at every cycle's minimum: `cycle_end` is called after its last step."

    def __init__(
        self,
        every: int | None = None,  # Epochs between minima; default: the ends of the cycles of the fit's ScheduleLR
    ) -> None:
        super().__init__()
        self.every = None if every is None else check_whole("every", every)
        self._ends: list[int] = []

    def begin(self) -> None:
        total, per_epoch = self._steps.total, self._steps.per_epoch
        if self.every is not None:
            ends = [first - 1 for first in self._steps.firsts[self.every :: self.every]]
        else:
            scheduler = next(iter(self.learn._grab_cbs(ScheduleLR)), None)
            if scheduler is None:
                raise ValueError(
                    f"{type(self).__name__} finds the cycles in the ScheduleLR of the same fit, and there is none; use "
                    "learn.fit_schedule, or say every=... epochs"
                )
            ends = scheduler.schedule.cycle_ends(total, per_epoch)
        if not ends:
            raise ValueError(f"no cycle ends within the {total} steps of this fit, so {type(self).__name__} gets none")
        self._ends[:] = [end for end in ends if end >= self._steps.firsts[self.learn.epoch]]

    def after_batch(self) -> None:
        # The step may be over only some batches later (accumulation), or have been skipped (mixed precision).
        if self._ends and self._steps is not None and self._steps.step >= self._ends[0]:
            del self._ends[0]
            self.cycle_end()

    def cycle_end(self) -> None:
        raise NotImplementedError


class SnapshotEnsemble(CycleCallback):
    """Keep the weights at every cycle's minimum; `ensemble_preds` averages what they predict.

    Huang et al. 2017 (arXiv:1704.00109). A snapshot holds parameters and buffers, in the CPU's memory, as they are
    after the step with the cycle's lowest LR. Each fit starts anew.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import CosineRestarts, SnapshotEnsemble
    >>> learn, ensemble = synth_learner(), SnapshotEnsemble()
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit_schedule(3, CosineRestarts(cycle_mult=1), lr_max=0.1, cbs=ensemble)
    ...     preds, targs = ensemble.ensemble_preds(learn)
    >>> ensemble.steps, preds.shape
    ([9, 19, 29], torch.Size([32, 1]))
    """

    def __init__(
        self,
        every: int | None = None,  # Epochs between snapshots; default: the ends of the cycles of the fit's ScheduleLR
        keep: int | None = None,  # Keep only the last so many
    ) -> None:
        super().__init__(every)
        self.keep = None if keep is None else check_whole("keep", keep)
        self.snapshots: list[dict[str, torch.Tensor]] = []
        self.steps: list[int] = []

    def begin(self) -> None:
        super().begin()
        if not self._resumed:
            self.snapshots, self.steps = [], []

    def cycle_end(self) -> None:
        self.snapshots.append(_weights(self.learn))
        self.steps.append(self._steps.step)
        if self.keep is not None:
            del self.snapshots[: -self.keep], self.steps[: -self.keep]

    def ensemble_preds(
        self,
        learn: Learner,
        ds_idx: int = 1,  # DataLoader to predict on if `dl` is None: 0 train, 1 valid
        dl: Any = None,  # DataLoader to predict on
        last: int | None = None,  # Average only the last so many snapshots
    ) -> tuple[torch.Tensor, torch.Tensor]:
        "The snapshots' mean prediction, and the targets, as `learn.get_preds` gives them; the model stays as it was."
        if last is not None and not 1 <= last <= len(self.snapshots):
            raise ValueError(f"last must be a whole number in [1, {len(self.snapshots)}], got {last!r}")
        chosen = self.snapshots if last is None else self.snapshots[-last:]
        if not chosen:
            raise ValueError("there are no snapshots yet: fit the Learner with this callback first")
        model, own = get_model(learn.model), _weights(learn)
        try:
            total = 0.0
            for snapshot in chosen:
                model.load_state_dict(snapshot)
                preds, targs = learn.get_preds(ds_idx=ds_idx, dl=dl)
                total = total + preds
        finally:
            model.load_state_dict(own)
        return total / len(chosen), targs

    def state_dict(self) -> dict[str, Any]:
        "What a resumed fit needs to go on with these snapshots."
        return {"snapshots": self.snapshots, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        "Let the fit that is starting go on with earlier snapshots."
        self._resumed = True
        self.snapshots, self.steps = state["snapshots"], state["steps"]


def _weights(learn: Learner) -> dict[str, torch.Tensor]:
    return {name: value.detach().to("cpu", copy=True) for name, value in get_model(learn.model).state_dict().items()}
