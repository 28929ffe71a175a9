"""What one sees while runs are trained: one line per finished run, and on a terminal or in a notebook a bar below."""

import heapq
import math
import time

from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.stage import is_watched, no_spinner
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.store.tables import RunResult


class TimeLeft:
    """Estimates when the last run will finish, from the runs that have finished and those in flight.

    `epochs` holds the length of each run in the order in which they start; `jobs` run at the same time.

    >>> left = TimeLeft({"a": 2, "b": 2, "c": 2, "d": 2}, jobs=2)
    >>> left.finish("a", seconds=10, now=15)  # processes take time to start: 15 s for a run of 10 s
    >>> left.seconds(now=15)  # b is finishing too, then c and d take 10 s
    10.0
    """

    def __init__(self, epochs: dict[str, int], jobs: int):
        self.waiting, self.jobs = dict(epochs), jobs
        self.began: dict[str, float | None] = dict.fromkeys(list(epochs)[:jobs])  # None: its process may still start
        self.trained_seconds, self.trained_epochs = 0.0, 0

    def finish(self, run_id: str, seconds: float, now: float) -> None:
        "Count a run that took `seconds` and ended at `now`; the next one starts. A run that failed took 0 or nan."
        began, epochs = self.began.pop(run_id, None), self.waiting.pop(run_id, 0)
        if seconds > 0:
            self.trained_seconds += seconds if began is None else now - began
            self.trained_epochs += epochs
            self.began = {other: now - seconds if at is None else at for other, at in self.began.items()}
        for other in list(self.waiting)[: self.jobs]:
            self.began.setdefault(other, now)

    def seconds(self, now: float) -> float | None:
        "None before the first run has finished."
        if not self.trained_epochs:
            return None
        per_epoch = self.trained_seconds / self.trained_epochs
        ends = [max(0.0, (at or now) + per_epoch * self.waiting[run_id] - now) for run_id, at in self.began.items()]
        heapq.heapify(ends)
        for run_id, epochs in self.waiting.items():
            if run_id not in self.began:
                heapq.heapreplace(ends, ends[0] + per_epoch * epochs)
        return max(ends, default=0.0)


class Lines:
    "For logs: no control characters, one line per finished run. `todo` are those of the `runs` that are not there yet."

    def __init__(self, runs: list[Run], todo: list[Run], jobs: int, measure: Measure = Measure()):  # noqa: B008  (frozen)
        self.total, self.finished, self.jobs, self.measure = len(runs), len(runs) - len(todo), jobs, measure
        self.waiting = {run.run_id: f"{run.arm} seed {run.seed}" for run in todo}
        self.time_left = TimeLeft({run.run_id: run.epochs for run in todo}, jobs)
        self.tells_lr = len({str(run.lr_max) for run in runs}) > 1

    def __enter__(self):
        if self.finished:
            self.write(f"Already there: {self.finished} of {self.total} runs")
        return self

    def __exit__(self, *_):
        pass

    def advance(self, result: RunResult) -> None:
        "Tell that a run has finished."
        row = result.row
        self.finished += 1
        self.waiting.pop(row.run_id, None)
        self.time_left.finish(row.run_id, row.seconds or 0, time.monotonic())
        self.write(f"[{self.finished}/{self.total}] {describe(result, self.measure, self.tells_lr)}{self._left()}")

    def write(self, line: str) -> None:
        print(line, flush=True)

    def _left(self) -> str:
        left = self.time_left.seconds(time.monotonic())
        return f"; about {clock(left)} left" if left and self.waiting else ""


class Bar(Lines):
    "For terminals and notebooks: below the lines, how many runs are done, the time left, and what is running now."

    def __enter__(self):
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("Training"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn())
        self.paused = no_spinner()
        self.paused.__enter__()
        self.progress = Progress(*columns, TextColumn("{task.fields[now]}"), transient=True)
        self.progress.start()
        self.task = self.progress.add_task("", total=self.total, completed=self.finished, now=self._now())
        return super().__enter__()

    def __exit__(self, *error):
        self.progress.stop()
        self.paused.__exit__(*error)

    def advance(self, result: RunResult) -> None:
        super().advance(result)
        self.progress.update(self.task, completed=self.finished, now=self._now())

    def write(self, line: str) -> None:
        self.progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _now(self) -> str:
        return ", ".join(list(self.waiting.values())[: self.jobs])


def show_progress(runs: list[Run], todo: list[Run], jobs: int, measure: Measure = Measure()) -> Lines:  # noqa: B008
    "A bar where a person is looking, else lines. They show the `measure` of every finished run."
    return (Bar if is_watched() else Lines)(runs, todo, jobs, measure)


def describe(result: RunResult, measure: Measure, with_lr: bool = True) -> str:
    "One finished run in words, with what judges it, or else its loss."
    row = result.row
    lr_max = f" lr_max {row.lr_max}" if with_lr else ""
    name = f"{row.schedule}{lr_max} seed {row.seed}"
    if row.status == "ok":
        note = f" ({row.error})" if row.error else ""  # what it took to finish
        value = {**row.measures, "accuracy": row.accuracy}.get(measure.column())
        score = f"loss {row.valid_loss:.4g}" if value is None else f"{measure.label} {measure.with_unit(value)}"
        if value is not None and math.isnan(value):
            score = f"{measure.label} is not a number"
        return f"{name}: {score} in {row.seconds:.0f} s{note}"
    return f"{name}: {row.status} ({row.error})"


def clock(seconds: float) -> str:
    """
    >>> clock(75), clock(3675)
    ('1:15', '1:01:15')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
