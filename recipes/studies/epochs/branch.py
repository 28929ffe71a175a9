"""One trunk at a constant LR, and the cooldowns that branch off it (Hägele et al. 2024, arXiv:2405.18392).

A run of `Trapezoid` is the same at first for every number of epochs. So the run of 8 epochs continues from where the
cooldown of the run of 4 epochs began. Its numbers are those of a separate run, bit for bit on a CPU.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from lrlab.callbacks import Extendable, Trapezoid
from lrlab.callbacks.events import QuickCallback
from lrlab.callbacks.extend import CannotContinue
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.recording import Recording
from lrlab.recipes.kitchen.runs.train import test_measures
from lrlab.recipes.kitchen.store.tables import RunResult
from lrlab.recipes.kitchen.workloads import Workload

MOST_WARMUP = 100  # steps
FEWEST_STEPS = 8  # of the shortest run: two of them cool down


def trapezoid(steps_per_epoch: int) -> Trapezoid:
    """The schedule of every branch: warm-up, constant LR, and a cooldown over the last fifth.

    The warm-up is a quarter of an epoch, and at most 100 steps: it must not depend on the length of the run.

    >>> trapezoid(30)
    Trapezoid(warmup='7 steps', decay='20%', shape='1-sqrt', floor=0.0)
    """
    return Trapezoid(f"{min(max(1, steps_per_epoch // 4), MOST_WARMUP)} steps", "20%", "1-sqrt")


def train_branch(run: Run, data: Any, workload: Workload, trunks: Path) -> RunResult:
    """The run, continued from the latest state of its trunk in the folder `trunks`, or from scratch.

    Its own state replaces the earlier ones there. The run's branch.csv says how many epochs were trained for it.
    """
    found = [file for file in _files(run, trunks) if file.exists()]
    try:
        result = _train(run, data, workload, trunks, found[0] if found else None)
    except CannotContinue as error:
        print(f"{found[0].name} is not used ({error}); seed {run.seed} starts from scratch", flush=True)
        result = _train(run, data, workload, trunks, None)
    own, *earlier = _files(run, trunks)
    for file in earlier if own.exists() else ():
        file.unlink(missing_ok=True)
    return result


def _files(run: Run, trunks: Path) -> Iterator[Path]:
    "Where the state of this trunk lies after the run of each length, from this run's length down."
    return (trunks / f"{replace(run, epochs=epochs).run_id}.pth" for epochs in range(run.epochs, 0, -1))


def _train(run: Run, data: Any, workload: Workload, trunks: Path, start: Path | None) -> RunResult:
    recording, trained = Recording(), BatchCount()
    learn = workload.learner(run.seed, data)
    cbs = [Extendable(next(_files(run, trunks))), trained, *recording.callbacks()]
    with learn.no_bar(), learn.no_logging():
        workload.warm_up_head(learn)
        if start is None:
            learn.fit_schedule(run.epochs, run.schedule, lr_max=run.lr_max.to_fastai(), cbs=cbs)
        else:
            learn.cool_down(run.epochs, start, cbs=cbs)
        test = test_measures(learn, recording)
    cost = pd.DataFrame({"epochs_trained": [trained.count / len(learn.dls.train)]})
    return recording.result(run, test=test, extra={"branch.csv": cost})


class BatchCount(QuickCallback):
    "How many batches the fit trained on. A continued fit does not train on those before its state."

    run_valid = False

    def before_fit(self):
        self.count = 0

    def after_batch(self):
        self.count += 1
