"""What a run predicts for the validation data after its last step, kept so that any measure can be computed later."""

import io

import numpy as np
import torch

from lrlab.callbacks.events import QuickCallback
from lrlab.recipes.kitchen.learner.classification import is_classification, is_plain
from lrlab.recipes.kitchen.stats.predictions import classification_measures

MOST_VALUES = 2_000_000  # of a run; what is larger is not kept


class PredictionLog(QuickCallback):
    "Keep the model's outputs and the targets of the validation in the last epoch, if they are one tensor each."

    order, run_train = 61, False

    def before_fit(self):
        self.kept: list[tuple[torch.Tensor, torch.Tensor]] | None = None
        self.scored_by = self.learn.loss_func

    def before_validate(self):
        self.kept, self.count = ([] if self.epoch == self.n_epoch - 1 else None), 0

    def after_batch(self):
        if self.kept is None:
            return
        pred, yb = self.learn.pred, self.learn.yb
        self.count += pred.numel() + yb[0].numel() if is_plain(pred, yb) else MOST_VALUES + 1
        if self.count > MOST_VALUES:
            self.kept = None
            return
        self.kept.append(tuple(tensor.detach().as_subclass(torch.Tensor).cpu() for tensor in (pred, yb[0])))

    def arrays(self) -> dict[str, np.ndarray]:
        "`targets`, and `log_probabilities` [n, classes] of a classification, else the model's `outputs`."
        if not self.kept:
            return {}
        columns = list(zip(*self.kept, strict=True))
        if any(len({tensor.shape[1:] for tensor in column}) > 1 for column in columns):
            return {}  # texts of another length in every batch, as of a language model, are no table
        outputs, targets = map(torch.cat, columns)
        if not outputs.is_floating_point() or not torch.isfinite(outputs).all():
            return {}
        if is_classification(outputs, targets, self.scored_by):
            scores = torch.log_softmax(outputs.float(), 1)
            return {"log_probabilities": scores.numpy(), "targets": targets.reshape(-1).long().numpy()}
        return {"outputs": outputs.float().numpy(), "targets": targets.numpy()}


def measures_of(arrays: dict[str, np.ndarray]) -> dict[str, float]:
    "Accuracy, loss and Brier score of a classification; nothing for other predictions."
    if "log_probabilities" not in arrays:
        return {}
    return classification_measures(arrays["log_probabilities"].astype(float), arrays["targets"])


def packed(arrays: dict[str, np.ndarray]) -> bytes | None:
    "The content of predictions.npz; None if there is nothing to keep. Classes are stored as small integers."
    if not arrays:
        return None
    targets = arrays["targets"]
    small = (
        np.min_scalar_type(int(targets.max())) if targets.dtype.kind == "i" and targets.min() >= 0 else targets.dtype
    )
    stream = io.BytesIO()
    np.savez_compressed(stream, **(arrays | {"targets": targets.astype(small)}))  # type: ignore[arg-type]
    return stream.getvalue()
