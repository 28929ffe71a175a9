"""Keep the weights at every cycle's minimum, and average their predictions."""

from __future__ import annotations

from typing import Any

import torch
from fastai.basics import Learner, get_model

from .arguments import whole, whole_or_none
from .cycle_callback import CycleCallback
from .events import SavedState


class SnapshotEnsemble(SavedState, CycleCallback):
    """Keep the weights at every cycle's minimum; `ensemble_preds` averages their predictions.

    Huang et al. 2017 (arXiv:1704.00109). A snapshot holds parameters and buffers in CPU memory, as they are after the
    step with the cycle's lowest LR. Each fit starts with an empty list. `missing` lists the cycles that have no
    snapshot because training was cut before their minimum.

    >>> from fastai.test_utils import synth_learner
    >>> from lrlab.callbacks import CosineRestarts, SnapshotEnsemble
    >>> learn, ensemble = synth_learner(), SnapshotEnsemble()
    >>> with learn.no_bar(), learn.no_logging():
    ...     learn.fit_schedule(3, CosineRestarts(cycle_mult=1), lr_max=0.1, cbs=ensemble)
    ...     preds, targs = ensemble.ensemble_preds(learn)
    >>> ensemble.steps, preds.shape
    ([9, 19, 29], torch.Size([32, 1]))
    """

    _saved = ("snapshots", "steps", "missing")

    def __init__(
        self,
        every: int | None = None,  # Epochs between snapshots; default: the ends of the cycles of the fit's ScheduleLR
        keep: int | None = None,  # Keep only this many of the latest snapshots
    ) -> None:
        super().__init__(every)
        self.keep = whole_or_none("keep", keep)
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
        last: int | None = None,  # Average only this many of the latest snapshots
        reorder: bool = True,  # Give the predictions in the order of the dataset, as `learn.get_preds` does
    ) -> tuple[Any, Any]:
        """The snapshots' mean prediction, and the targets, in the form of `learn.get_preds`.

        A model with several outputs gives a tuple of means. The model keeps its weights.
        """
        if not self.snapshots:
            raise ValueError("there are no snapshots yet: fit the Learner with this callback first")
        last = len(self.snapshots) if last is None else whole("last", last)
        if last > len(self.snapshots):
            raise ValueError(f"last must be a whole number in [1, {len(self.snapshots)}], got {last!r}")
        model, before = get_model(learn.model), _weights(learn)
        try:
            total: Any = None
            for snapshot in self.snapshots[-last:]:
                model.load_state_dict(snapshot)
                preds, targs = learn.get_preds(ds_idx=ds_idx, dl=dl, reorder=reorder)
                total = preds if total is None else _each(torch.add, total, preds)
        finally:
            model.load_state_dict(before)
        return _each(lambda sums: sums / last, total), targs


def _each(f: Any, *outputs: Any) -> Any:
    "`f` of the tensors in equal places of nested tuples, lists or dicts."
    first = outputs[0]
    if isinstance(first, dict):
        return type(first)({key: _each(f, *(output[key] for output in outputs)) for key in first})
    if isinstance(first, (tuple, list)):
        return type(first)(_each(f, *parts) for parts in zip(*outputs, strict=True))
    return f(*outputs)


def _weights(learn: Learner) -> dict[str, torch.Tensor]:
    return {name: value.detach().to("cpu", copy=True) for name, value in get_model(learn.model).state_dict().items()}
