"""How fast this machine is with a model: seconds for an image, in prediction and in training."""

from collections.abc import Callable

import torch

from lrlab.recipes.kitchen.data.dataloaders import train_device
from lrlab.recipes.kitchen.learner.precision import autocast, resolve_precision
from lrlab.recipes.kitchen.models.create import create
from lrlab.recipes.studies.best.plan import MEASURED_SIZE, Speed

BATCH = 8
LEAST, MOST, SECONDS = 2, 10, 2.0  # batches that are timed, after one that is not; more of them in the first seconds


def measure_speed(arch: str, precision: str, size: int | None, clock: Callable[[], float]) -> Speed:
    """The fastest of a few batches of noise, at `size` pixels, by default MEASURED_SIZE.

    Raises UserError for a model that cannot be made.
    """
    size, device = size or MEASURED_SIZE, train_device()
    model = create(arch, 2, 3, size, pretrained=False).to(device, memory_format=torch.channels_last)
    precision = resolve_precision(precision, lambda: model)
    x = torch.randn(BATCH, 3, size, size, device=device).to(memory_format=torch.channels_last)

    def predict():
        with torch.no_grad(), autocast(precision, device):
            model[0].eval()(x)

    def train():
        with autocast(precision, device):
            loss = model.train()(x).float().square().mean()
        loss.backward()

    return Speed(size, _seconds(predict, device, clock) / BATCH, _seconds(train, device, clock) / BATCH)


def _seconds(work: Callable[[], None], device: torch.device, clock: Callable[[], float]) -> float:
    "Seconds of the fastest call. Another program can slow some of them down."
    times: list[float] = []
    while len(times) <= LEAST or (len(times) <= MOST and sum(times) < SECONDS):
        start = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(clock() - start)
    return min(times[1:])
