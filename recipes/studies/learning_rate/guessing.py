"""The loss of guessing on a Learner of the user's own: that of the best answer that is the same for every item."""

from collections.abc import Callable
from typing import Any

import torch
from fastai.torch_core import default_device

from lrlab.recipes.kitchen.runs.predictions import PredictionLog
from lrlab.recipes.kitchen.workloads import Workload, using_threads
from lrlab.recipes.studies.learning_rate.diagnosis import guessing_loss


def measure_guessing_loss(workload: Workload, data: Any, seed: int) -> float:
    """On the validation data, from one pass over them.

    It is the loss of the untrained model where no constant answer is known, as for several outputs.
    """
    learn, log = workload.learner(seed, data), PredictionLog()
    with learn.no_bar(), learn.no_logging(), using_threads(1):
        untrained = float(learn.validate(cbs=log)[0])
    arrays = log.arrays()
    if "log_probabilities" in arrays:
        return guessing_loss(torch.bincount(torch.from_numpy(arrays["targets"])).tolist())
    if not arrays:
        return untrained
    device = getattr(learn.dls, "device", default_device())  # as fastai does: torch's own loaders have none
    outputs, targets = (torch.from_numpy(arrays[name]).to(device) for name in ("outputs", "targets"))
    return min(constant_losses(learn.loss_func, outputs, targets), default=untrained)


def constant_losses(loss_func: Callable, outputs: torch.Tensor, targets: torch.Tensor) -> list[float]:
    """The losses of two constant answers to targets that are numbers: their mean, and its logit.

    The mean is best for a squared error, the logit for a binary cross-entropy.
    """
    if not targets.is_floating_point() or outputs.numel() != targets.numel():
        return []
    mean = targets.mean(0, keepdim=True)
    answers = [mean]
    if 0 <= targets.min() and targets.max() <= 1:
        answers.append(torch.logit(mean.clamp(1e-6, 1 - 1e-6)))
    return [float(loss_func(answer.expand_as(targets).reshape(outputs.shape), targets)) for answer in answers]
