"""Weights & Biases: one run for each run, grouped by arm. `WANDB_MODE=offline` writes into the results folder."""

import os
from pathlib import Path

from lrlab.recipes.kitchen.logs.log_runs import LoggedRun


class WeightsAndBiases:
    def __init__(self, folder: Path):
        import wandb

        self.wandb = wandb
        self.folder = folder
        self.project = os.environ.get("WANDB_PROJECT", "lrlab")
        self.is_offline = os.environ.get("WANDB_MODE") == "offline"
        self.where = f"wandb sync {folder}/wandb/offline-run-*" if self.is_offline else f"project {self.project}"

    def write(self, run: LoggedRun, known: str | None) -> str:
        "Offline always the whole run: when its folders are synchronized, each replaces the one before."
        settings = self.wandb.Settings(silent=True, console="off", save_code=False, x_disable_stats=True)
        options = {"project": self.project, "group": run.arm, "name": run.name, "config": run.settings}
        with self.wandb.init(dir=self.folder, id=known, resume="allow", settings=settings, **options) as made:
            if known is None or self.is_offline:
                for step, values in run.curves:
                    made.log(values, step=step)
            made.summary.update(run.final | run.said)
            return made.id


open_writer = WeightsAndBiases
