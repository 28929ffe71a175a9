"""What lrlab adds to a fit of a user's Learner: processor time of its run and of a plain fit, side by side, as a ratio.

Checks that the run trains as the plain fit does, and prints the ratio (`-s`); the goal is at most 1.03. With PAIRS = 5
the ratio hardly varies.
"""

import gc
import time
from collections.abc import Callable
from functools import partial

import torch
from fastai.basics import DataLoaders, Learner, nn
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy
from fastai.torch_core import set_seed

from lrlab.callbacks import Constant
from lrlab.callbacks.random_state import seed_loaders
from lrlab.recipes.kitchen.learner_workload import LearnerWorkload
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.train import train_run

EPOCHS, PAIRS = 2, 1


def make_learner() -> Learner:
    "A small net on images of 64 pixels."
    x = torch.rand(320, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    items = list(zip(x, (x[:, 0].mean((1, 2)) > 0.5).long(), strict=True))
    dls = DataLoaders.from_dsets(items[:256], items[256:], bs=32, num_workers=0)
    body = [nn.Sequential(nn.Conv2d(i, o, 3, 2, 1), nn.BatchNorm2d(o), nn.ReLU()) for i, o in ((3, 32), (32, 64))]
    model = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 2))
    return Learner(dls, model, loss_func=CrossEntropyLossFlat(), metrics=accuracy)


def plain_fit() -> Learner:
    "The same training, by fastai alone."
    set_seed(0)
    learn = make_learner()
    set_seed(0)
    seed_loaders(learn.dls, 0)
    with learn.no_bar(), learn.no_logging():
        learn.fit(EPOCHS, 1e-3)
    return learn


def processor_time(work: Callable) -> float:
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


def test_a_run_trains_as_a_plain_fit_and_takes_hardly_more():
    workload = LearnerWorkload(make_learner)
    run = partial(train_run, Run("constant", Constant(), LearningRate(1e-3), 0, EPOCHS), None, workload)
    assert run().row.valid_loss == plain_fit().recorder.values[-1][1]
    pairs = [(processor_time(plain_fit), processor_time(run)) for _ in range(PAIRS)]
    plain, ours = (min(times) for times in zip(*pairs, strict=True))
    step = 1000 * plain / (EPOCHS * 8)
    print(f"\na run of lrlab takes {ours / plain:.3f} times a plain fit of {step:.0f} ms a step")
