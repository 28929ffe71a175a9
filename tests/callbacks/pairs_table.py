"""Writes results/reference/callbacks: which of fastai's callbacks work beside ours, pair by pair.

    python tests/callbacks/pairs_table.py

Every pair trains a small Learner for two epochs. The test beside this file does the same and compares.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from fastai.basics import SGD, Callback, Learner, MSELossFlat, nn, noop, set_seed
from fastai.callback.channelslast import ChannelsLast
from fastai.callback.core import FetchPredsCallback
from fastai.callback.data import CollectDataCallback
from fastai.callback.hook import ActivationStats
from fastai.callback.mixup import MixUp
from fastai.callback.progress import CSVLogger, ProgressCallback
from fastai.callback.rnn import ModelResetter
from fastai.callback.schedule import ParamScheduler, SchedCos
from fastai.callback.tracker import EarlyStoppingCallback, ReduceLROnPlateau, SaveModelCallback, TerminateOnNaNCallback
from fastai.callback.training import BnFreeze, GradientAccumulation, GradientClip, ShortEpochCallback
from fastai.test_utils import synth_dbunch

from lrlab.callbacks import (
    Constant,
    CycleAverage,
    GradualUnfreeze,
    HyperHistory,
    ReduceOnPlateau,
    Resumable,
    ScheduleHyper,
    ScheduleLR,
    SnapshotEnsemble,
    StartAt,
    StopOnDivergence,
)

README = Path(__file__).parents[2] / "results" / "reference" / "callbacks" / "README.md"

FASTAI: dict[str, Callable[[], Callback]] = {
    "ActivationStats": ActivationStats,
    "BnFreeze": BnFreeze,
    "CSVLogger": CSVLogger,
    "ChannelsLast": ChannelsLast,
    "CollectDataCallback": CollectDataCallback,
    "EarlyStoppingCallback": lambda: EarlyStoppingCallback(patience=9),
    "FetchPredsCallback": FetchPredsCallback,
    "GradientAccumulation": lambda: GradientAccumulation(32),
    "GradientClip": GradientClip,
    "MixUp": MixUp,
    "ModelResetter": ModelResetter,
    "ParamScheduler of lr": lambda: ParamScheduler({"lr": SchedCos(1e-2, 1e-3)}),
    "ParamScheduler of wd": lambda: ParamScheduler({"wd": SchedCos(0.1, 0.01)}),
    "ProgressCallback": ProgressCallback,
    "ReduceLROnPlateau": ReduceLROnPlateau,
    "SaveModelCallback": SaveModelCallback,
    "SaveModelCallback(at_end=True)": lambda: SaveModelCallback(at_end=True),
    "ShortEpochCallback": lambda: ShortEpochCallback(0.7),
    "TerminateOnNaNCallback": TerminateOnNaNCallback,
}
OURS: dict[str, Callable[[], Callback]] = {
    "ScheduleLR": lambda: ScheduleLR(Constant()),
    "ScheduleHyper of wd": lambda: ScheduleHyper("wd", Constant()),
    "HyperHistory": HyperHistory,
    "StopOnDivergence": StopOnDivergence,
    "SnapshotEnsemble": lambda: SnapshotEnsemble(every=1),
    "CycleAverage": lambda: CycleAverage(every=1),
    "ReduceOnPlateau": lambda: ReduceOnPlateau(patience=9),
    "GradualUnfreeze": lambda: GradualUnfreeze(start=3),
    "Resumable": lambda: Resumable("a"),
    "StartAt": lambda: StartAt(0),
}
CHANGES_WEIGHTS = {"CycleAverage"}

TEXT = """# fastai's callbacks beside ours

Each pair trains a small Learner for two epochs. **same**: the weights are, bit for bit, those without our callback,
which is set so that it changes nothing. **works**: the fit completes; our callback changes the weights, as it should.
A number is a refusal, with a sentence below.

| fastai's | {ours} |
|---|{rule}|
{rows}

{refusals}

Made with fastai {fastai} and torch {torch} by

    python tests/callbacks/pairs_table.py
"""


class Net(nn.Sequential):
    "A model that ModelResetter can reset."

    def reset(self) -> None:
        "Nothing to reset."


def weights(*cbs: Callback) -> list[torch.Tensor]:
    "The weights of a small Learner after two epochs with these callbacks."
    set_seed(0)
    model = Net(nn.Linear(1, 4), nn.Sequential(nn.BatchNorm1d(4), nn.ReLU()), nn.Linear(4, 1))
    splitter = lambda m: [list(layer.parameters()) for layer in m]  # noqa: E731
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        learn = Learner(synth_dbunch(n_train=4), model, MSELossFlat(), SGD, splitter=splitter, path=Path(folder))
        learn.remove_cbs(ProgressCallback)
        learn.logger = noop
        with learn.no_bar() if any(isinstance(cb, ProgressCallback) for cb in cbs) else contextlib.nullcontext():
            learn.fit(2, 1e-2, wd=0.01, cbs=list(cbs))
    return [value.detach().clone() for value in learn.model.state_dict().values()]


def pair(fastais: str, ours: str, alone: list[torch.Tensor]) -> str:
    "What becomes of a pair: same, works, or the sentence of the refusal."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            together = weights(FASTAI[fastais](), OURS[ours]())
        except ValueError as error:
            return str(error).split("\n")[-1].strip()
    return "same" if all(map(torch.equal, alone, together)) else "works"


def table() -> dict[tuple[str, str], str]:
    "The outcome of every pair."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = {name: weights(make()) for name, make in FASTAI.items()}
    return {(name, ours): pair(name, ours, alone[name]) for name in FASTAI for ours in OURS}


def text(outcomes: dict[tuple[str, str], str]) -> str:
    "The table as Markdown."
    sentences = list(dict.fromkeys(outcome for outcome in outcomes.values() if outcome not in ("same", "works")))
    shown = {key: f"{sentences.index(o) + 1}" if o in sentences else o for key, o in outcomes.items()}
    return TEXT.format(
        ours=" | ".join(OURS),
        rule="---|" * (len(OURS) - 1) + "---",
        rows="\n".join(f"| {name} | {' | '.join(shown[name, ours] for ours in OURS)} |" for name in FASTAI),
        refusals="\n".join(f"{number}. {sentence}" for number, sentence in enumerate(sentences, 1)),
        fastai=version("fastai"),
        torch=version("torch"),
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    README.parent.mkdir(parents=True, exist_ok=True)
    README.write_text(text(table()))
    print(README.read_text())
