"""Count how often each class is taken for each other one."""

import torch

from lrlab.callbacks.events import QuickCallback
from lrlab.recipes.kitchen.learner.classification import is_classification, is_plain


class ConfusionCounts(QuickCallback):
    "`counts` [true class, predicted class] of the last validation; None where items have no single class."

    order, run_train = 61, False

    def before_fit(self):
        self.scored_by = self.learn.loss_func

    def before_validate(self):
        self.counts: torch.Tensor | None = None

    def after_batch(self):
        pred, yb = self.learn.pred, self.learn.yb
        if not is_plain(pred, yb) or not is_classification(pred, yb[0], self.scored_by):
            return
        n, guessed = pred.shape[1], pred.detach().as_subclass(torch.Tensor).argmax(1)
        pairs = n * yb[0].as_subclass(torch.Tensor).reshape(-1).long() + guessed
        counts = torch.bincount(pairs, minlength=n * n).reshape(n, n).cpu()
        self.counts = counts if self.counts is None else self.counts + counts
