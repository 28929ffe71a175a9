"""The report as the terminal shows it, in at most 80 columns as far as names allow."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from lrlab.recipes.kitchen.text import plural, shorten, text_table
from lrlab.recipes.studies.compare.ranking import Ranking

if TYPE_CHECKING:
    from lrlab.recipes.studies.compare.report import Report

WIDTH = 80
SHORTEST_NAME = 18  # a longer one is cut where the table would be too wide


def render(report: "Report", out: Path) -> str:
    "The finding, the table and the notes of every budget, what to use and why, and the code that uses it."
    reference, blocks = report.results.reference, []
    for rank in report.rankings:
        epochs = f"After {plural(rank.epochs, 'epoch')}: " if len(report.rankings) > 1 else ""
        blocks += [_wrapped(f"{epochs}{rank.finding}."), table(rank, reference), "\n".join(map(_wrapped, rank.notes))]
    blocks += map(_wrapped, filter(None, [report.words, report.tuning]))
    if report.advice:
        why = textwrap.fill(f"Why: {report.advice.why}.", WIDTH, subsequent_indent="     ", break_on_hyphens=False)
        blocks += [f"{report.advice.headline}\n{why}", textwrap.indent(report.code, "    ")]
    else:
        blocks.append(_wrapped(report.no_advice))
    end = f"Report: {out / 'report.html'} (opens offline); figures and tables beside it."
    return "\n" + "\n\n".join([*blocks, "\n".join(filter(None, [report.unfinished, end]))])


def table(rank: Ranking, reference: str) -> str:
    "The ranking as text. lr_max is a line above it where it is the same for all."
    lrs = {row.lr_max for row in rank.rows}
    header = "%" if rank.measure.name == "accuracy" else rank.measure.label + " %" * rank.measure.is_share
    rows = [
        {
            "schedule": row.schedule,
            **({"lr_max": row.lr_max} if len(lrs) > 1 else {}),
            "n": row.n,
            f"{rank.measured_on} {header} (95 %)": row.value,
            f"{rank.measure.unit} vs best": row.behind,
            "verdict": row.verdict,
        }
        for row in rank.rows
    ]
    drawn = text_table(rows)
    too_wide = max(map(len, drawn.splitlines())) - WIDTH
    if too_wide > 0:
        longest = max(len(row.schedule) for row in rank.rows)
        room = max(SHORTEST_NAME, longest - too_wide)
        drawn = text_table([row | {"schedule": shorten(row["schedule"], room)} for row in rows])
    return drawn if len(lrs) > 1 else f"lr_max = {lrs.pop()} for every schedule.\n{drawn}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
