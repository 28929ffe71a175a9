"""Trackio: one run for each run, grouped by arm, in its own local database."""

import os
from pathlib import Path
from secrets import token_hex

from lrlab.recipes.kitchen.logs.log_runs import LoggedRun


class Trackio:
    def __init__(self, folder: Path):
        import trackio

        self.trackio = trackio
        self.project = os.environ.get("TRACKIO_PROJECT", "lrlab")
        self.where = f"trackio show --project {self.project}"

    def write(self, run: LoggedRun, known: str | None) -> str:
        name = known or f"{run.name}-{token_hex(3)}"  # a run is found again by its name alone
        options = {"project": self.project, "name": name, "group": run.arm, "config": run.settings | run.said}
        resume = "never" if known is None else "must"
        made = self.trackio.init(**options, resume=resume, embed=False, auto_log_gpu=False, auto_log_cpu=False)
        if known is None:
            for step, values in run.curves:
                made.log(values, step=step)
        made.log({f"final/{name}": value for name, value in run.final.items()} | run.said)
        made.finish()
        return name


open_writer = Trackio
