"""What one sees while a grid runs: a bar on a terminal or in a notebook, one line per finished run elsewhere."""

import sys
import time
from importlib.util import find_spec

from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.store.tables import RunResult


class Lines:
    "For logs and CI: no control characters, one line per finished run."

    def __init__(self, todo: list[Run], done: int, jobs: int):
        self.left, self.total, self.done = len(todo), len(todo) + done, done
        self.start = time.monotonic()

    def __enter__(self):
        if self.done:
            print(f"{self.done} of {self.total} runs are there already")
        return self

    def __exit__(self, *_):
        pass

    def advance(self, result: RunResult) -> None:
        self.left -= 1
        print(f"[{self.total - self.left}/{self.total}] {describe(result)}, {self._time_left()} left", flush=True)

    def _time_left(self) -> str:
        finished = self.total - self.done - self.left
        return clock((time.monotonic() - self.start) / finished * self.left)


class Bar(Lines):
    "For terminals and notebooks: runs done, time left, and what is running now."

    def __init__(self, todo: list[Run], done: int, jobs: int):
        super().__init__(todo, done, jobs)
        self.waiting, self.jobs = {run.run_id: f"{run.arm} seed {run.seed}" for run in todo}, jobs

    def __enter__(self):
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
        self.progress = Progress(*columns, transient=True)
        self.progress.start()
        self.task = self.progress.add_task("runs", total=self.total, completed=self.done, note=self._now())
        return self

    def __exit__(self, *_):
        self.progress.stop()

    def advance(self, result: RunResult) -> None:
        self.left -= 1
        self.waiting.pop(result.row.run_id, None)
        note = f"{self._time_left()} left · {self._now()}"
        self.progress.update(self.task, advance=1, note=note)

    def _now(self) -> str:
        return "now: " + ", ".join(list(self.waiting.values())[: self.jobs])


def show_progress(todo: list[Run], done: int, jobs: int) -> Lines:
    "A bar where a person is looking, lines where a file is being written, or in a notebook that has no ipywidgets."
    notebook = "ipykernel" in sys.modules and find_spec("ipywidgets")
    return (Bar if sys.stdout.isatty() or notebook else Lines)(todo, done, jobs)


def describe(result: RunResult) -> str:
    "One finished run in words."
    row = result.row
    name = f"{row.schedule} lr_max {row.lr_max} seed {row.seed}"
    if row.status == "ok":
        note = f" ({row.error})" if row.error else ""  # how it was done after all
        return f"{name}: accuracy {row.accuracy:.3f} in {row.seconds:.0f} s{note}"
    return f"{name}: {row.status} ({row.error})"


def clock(seconds: float) -> str:
    "75 -> 1:15."
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
