"""The head on the frozen body. It trains in seconds, because the features are computed already."""

from fastai.data.core import DataLoaders
from fastai.metrics import accuracy
from fastai.torch_core import set_seed
from torch import nn

from lrlab.callbacks import OneCycle
from lrlab.recipes.kitchen.learner.quick_learner import PlainCrossEntropy, QuickLearner
from lrlab.recipes.kitchen.runs.frozen_body import TensorDL
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.recording import Recording
from lrlab.recipes.kitchen.store.tables import RunResult
from lrlab.recipes.kitchen.workloads import using_threads
from lrlab.recipes.studies.best.features import Features


def train_head(run: Run, features: Features) -> tuple[nn.Sequential, RunResult]:
    "A new head, trained on the features, and the run."
    recording = Recording()
    set_seed(run.seed)
    bs = features.bs
    loaders = TensorDL(*features.train, bs, shuffle=True), TensorDL(*features.valid, 4 * bs, shuffle=False)
    dls = DataLoaders(*loaders, device=features.train[0].device)
    learn = QuickLearner(dls, features.new_head(), PlainCrossEntropy(), metrics=accuracy)
    with using_threads(1), learn.no_bar(), learn.no_logging():  # more would wait for each other at so little work
        learn.fit_schedule(run.epochs, OneCycle(), lr_max=run.lr_max.to_fastai(), cbs=recording.callbacks())
    return learn.model, recording.result(run)
