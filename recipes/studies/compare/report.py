"""Rebuilds the tables, the figures and the report of a results folder from its stored runs. Never trains."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lrlab.recipes.kitchen.errors import Refused
from lrlab.recipes.kitchen.figures import plots
from lrlab.recipes.kitchen.stats.summary import summarize
from lrlab.recipes.kitchen.stats.tuning import tuning_scores
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.studies.compare import advice as answer
from lrlab.recipes.studies.compare import panels, protocol, report_html
from lrlab.recipes.studies.compare.results import Results, merge, read
from lrlab.recipes.studies.compare.samples import png_uri


@dataclass
class Result:
    "The answer of a results folder: `runs` and `summary` are DataFrames, `plot()` shows the figure in a notebook."

    out: Path
    runs: pd.DataFrame
    summary: pd.DataFrame
    text: str
    stopped: bool = False  # by Ctrl-C, before all runs were done

    @property
    def exit_code(self) -> int:
        "Of the command: 0, or 130 as after any Ctrl-C, or 1 if every run failed."
        return 130 if self.stopped else int((self.runs.status == "failed").all())

    def plot(self) -> "Picture":
        "comparison.png, as a notebook shows it."
        return Picture((self.out / "comparison.png").read_bytes())

    def _repr_html_(self) -> str:
        "What a notebook shows: the figure and the table."
        table = self.summary.drop(columns=["p_value"]).round(4).to_html(index=False, border=0)
        return f'<img alt="comparison" style="max-width:100%" src="{png_uri(self.plot())}">{table}'


class Picture(bytes):
    "The bytes of a PNG file; a notebook shows the picture."

    def _repr_png_(self) -> bytes:
        return bytes(self)

    def __repr__(self) -> str:
        return f"<PNG of {len(self):,} bytes>"  # and not all of them, which a notebook would save as text


def redraw(store: Store, stopped: bool = False) -> Result:
    "All tables, figures and report.html of a folder, from its complete runs."
    return write(read(store), store.out, stopped)


def merged(stores: list[Store], out: Store) -> Result:
    """One report in `out` from several folders that asked the same question of other seeds, schedules or budgets.

    Raises Refused where `out` holds anything but an earlier report of this kind: its config.json would be lost.
    """
    if (out.out / "config.json").exists() and not out.manifest.merged:
        raise Refused(f"`out` {out.out}: holds other results; choose a new folder, or one of an earlier merged report")
    results = merge([read(store) for store in stores], [str(store.out) for store in stores])
    out.write_manifest(Manifest.from_dict(results.config | {"origins": results.origins}))
    return write(results, out.out)


def write(results: Results, out: Path, stopped: bool = False) -> Result:
    "Write runs.csv, epochs.csv, cycles.csv, tuning.csv, summary.csv, the PNG figures and report.html."
    reference = results.reference
    summary = summarize(results.runs, reference)
    tables = {"runs": results.runs, "epochs": results.epochs, "summary": summary}
    tables |= {"cycles": results.cycles} if len(results.cycles) else {}
    tables |= {"tuning": results.trials} if len(results.trials) else {}
    for name, table in tables.items():
        write_atomically(out / f"{name}.csv", table.to_csv(index=False))
    for name, figure in figures(results, summary).items():
        plots.save(figure, out / f"{name}.png")
    write_atomically(out / "report.html", report_html.render(results, summary))
    return Result(out, results.runs, summary, text(results, summary, out), stopped)


def figures(results: Results, summary: pd.DataFrame) -> dict[str, plots.Figure]:
    "The figures that stand alone, by name, each with its finding and its caption."
    runs, epochs, cycles = results.of_budget(results.budget)
    longest = summary[summary.budget == results.budget].reset_index(drop=True)
    style, reference = plots.style_of(list(results.schedules)), results.reference
    caption = protocol.caption(results, runs)
    title = answer.finding(longest, reference)
    curves = {s: results.lr_curves[s] for s in results.schedules if s in results.lr_curves}
    drawn = {"comparison": plots.comparison(runs, epochs, cycles, longest, curves, title, caption, reference)}
    if curves:
        groups, per_epoch = results.config["groups"], protocol.steps_per_epoch(results)
        bare = panels.lr_curves(curves, groups, style, per_epoch, wide=True)
        title = f"The learning rate of every layer group: {len(curves)} schedules over {results.budget} epochs"
        note = f"{protocol.where(results)}. Recorded at every optimizer step of one run each; 0 is at the lower edge."
        drawn["schedules"] = plots.framed(bare, title, note)
    if summary.budget.nunique() > 1:
        bare = panels.budgets(summary, list(longest.schedule), style, wide=True)
        drawn["budgets"] = plots.framed(
            bare, protocol.budgets_finding(summary), protocol.caption(results, results.runs)
        )
    if len(results.trials):
        chosen = results.config.get("tuned", {}).get("chosen", {}).get(str(results.budget), {})
        scores = tuning_scores(results.trials[results.trials.budget == results.budget])
        if len(scores):
            order = [label for label in results.schedules if label in set(scores.schedule)]
            bare = panels.tuning(scores, chosen, order, style, wide=True)
            drawn["tuning"] = plots.framed(bare, protocol.tuning_finding(chosen), protocol.tuning(results))
    return drawn


def text(results: Results, summary: pd.DataFrame, out: Path) -> str:
    "What the terminal shows at the end: the table, what is tied, and the code that uses the answer."
    lines = []
    for budget in summary.budget.unique():
        own = summary[summary.budget == budget].reset_index(drop=True)
        epochs = f"After {budget} epochs: " if summary.budget.nunique() > 1 else ""
        lines += ["", f"{epochs}{answer.finding(own, results.reference)}.", ""]
        lines += [answer.ranked_table(own, results.reference), "", answer.ties(own, results.reference)]
        lines += [answer.seeds_needed(results.runs, own)]
    lines += ["", protocol.tuning(results)]
    best = answer.advice(results, summary)
    if best:
        lines += ["", answer.advice_text(best, results.config), ""]
    if len(results.runs) < results.planned:
        left = results.planned - len(results.runs)
        lines.append(f"{left} of {results.planned} runs are still to be done: the same command continues.")
    lines.append(f"Report: {out / 'report.html'} (opens offline); figures and tables beside it.")
    return "\n".join(lines)
