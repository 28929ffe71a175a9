"""What a comparison returns: its tables and its answer, which show themselves in a notebook or go to other tools."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.figures.thumbnails import png_uri
from lrlab.recipes.kitchen.learning_rates import plain
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.text import printable, typed_path
from lrlab.recipes.studies.compare.advice import Advice

SHOWN = "schedule n mean low high behind behind_low behind_high verdict".split()  # of the summary, in a notebook


@dataclass(repr=False)
class Result:
    "The answer of a results folder. It shows itself in a notebook."

    out: Path  # the folder
    runs: pd.DataFrame  # one row per run
    epochs: pd.DataFrame  # one row per epoch of every run
    summary: pd.DataFrame  # one row per schedule, the recommended one first, with its word
    text: str  # what the terminal shows
    verdict: str  # the decision in one sentence
    best: Advice | None  # the recommended schedule, its call, lr_max and epochs; None if no run finished
    code: str  # trains with it
    stopped: bool = False  # by Ctrl-C, before all runs were done
    export_again: Callable[[Path, pd.Series], Path] | None = None  # trains a run of `runs` again; see `export`

    @property
    def report(self) -> Path:
        "The page that shows everything; it opens offline."
        return self.out / "report.html"

    @property
    def exit_code(self) -> int:
        "Of the command: 0, or 130 as after any Ctrl-C, or 1 if every run failed."
        return 130 if self.stopped else int((self.runs.status == "failed").all())

    def plot(self) -> "Image":
        "comparison.png, as a notebook shows it."
        return Image((self.out / "comparison.png").read_bytes())

    def export(self, file: Path | str = "model.pkl", seed: int | None = None) -> Path:
        """Train the recommended schedule again and write the Learner to `file`, for fastai's `load_learner`.

        The `seed` is the first one by default. It gives the same weights as its run in `runs`, whose values are
        therefore those of the file. Raises UserError for a seed that has no finished run, or if nothing was trained in
        this process.
        """
        if self.best is None or self.export_again is None:
            raise UserError("export needs the answer of `compare_schedules` or `compare.main`, with a finished run")
        own = self.runs[(self.runs.schedule == self.best.schedule) & (self.runs.budget == self.best.epochs)]
        own = own[own.status == "ok"]
        chosen = own if seed is None else own[own.seed.astype(str) == str(plain(seed))]
        if chosen.empty:
            finished = ", ".join(map(str, own.seed))
            raise UserError(f"`seed` {seed}: expected a seed of {self.best.schedule} that finished: {finished}")
        return self.export_again(typed_path(file).absolute(), chosen.iloc[0])

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        "What a notebook shows: the verdict, the figure and the table."
        table = self.summary[SHOWN].round(4).to_html(index=False, border=0)
        image = f'<img alt="comparison" style="max-width:100%" src="{png_uri(self.plot())}">'
        return f"<p><strong>{escape(self.verdict)}</strong></p>{image}{table}"


class Image(bytes):
    "The bytes of a PNG file. A notebook shows the image."

    def _repr_png_(self) -> bytes:
        return bytes(self)

    def __repr__(self) -> str:
        return f"<PNG of {len(self):,} bytes>"  # a notebook would save all of them as text


def run_table(runs: pd.DataFrame, summary: pd.DataFrame, manifest: Manifest) -> pd.DataFrame:
    """`data`, `model`, the columns of runs.csv, then `judge`, `measured_on`, `value` and `verdict`.

    `value` is the judged measure of the run. `verdict` is the word of its schedule at its budget. Tables of several
    comparisons can be put one below the other.
    """
    words = summary[["schedule", "budget", "judge", "measured_on", "verdict"]]
    table = runs.merge(words, how="left", on=["schedule", "budget"])
    table.insert(table.columns.get_loc("verdict"), "value", [_value(row) for _, row in table.iterrows()])
    table.insert(0, "model", printable(manifest.question.get("arch", "")))
    table.insert(0, "data", printable(manifest.data.get("name", "")))
    return table


def _value(row: pd.Series) -> float | None:
    return row.get(Measure.of(row.judge).column(on_test=row.measured_on == "test"))
