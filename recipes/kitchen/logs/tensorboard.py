"""TensorBoard: one folder of events for each run, below that of its arm."""

import re
import shutil
from pathlib import Path

from lrlab.recipes.kitchen.logs.log_runs import LoggedRun


class TensorBoard:
    def __init__(self, folder: Path):
        self.folder = folder / "tensorboard"
        self.where = f"tensorboard --logdir {self.folder}"

    def write(self, run: LoggedRun, known: str | None) -> str:
        "The whole run, also if it is there: a file of events cannot be changed."
        from torch.utils.tensorboard import SummaryWriter

        name = f"{re.sub(r'[^A-Za-z0-9._-]+', '_', run.arm)[:60]}/{run.name}"
        shutil.rmtree(self.folder / name, ignore_errors=True)
        with SummaryWriter(self.folder / name) as writer:
            for step, values in run.curves:
                for curve, value in values.items():
                    writer.add_scalar(curve, value, step)
            final = {f"final/{name}": value for name, value in run.final.items()}
            writer.add_hparams(run.settings | run.said, final, run_name=".")
        return name


open_writer = TensorBoard
