"""The report of a comparison: computed once from the stored runs, then written as tables, figures, page and text.

Nothing here trains. `make_report` computes; `report_text`, `report_html` and the figures only show what it holds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.stats.summary import summarize
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import plural
from lrlab.recipes.studies.compare import protocol, report_html, report_text
from lrlab.recipes.studies.compare.advice import Advice, advice, code, no_advice
from lrlab.recipes.studies.compare.pictures import Gallery, Picture
from lrlab.recipes.studies.compare.ranking import Ranking, rankings, words_used
from lrlab.recipes.studies.compare.result import Result
from lrlab.recipes.studies.compare.results import Results, merge, read


@dataclass(frozen=True)
class Report:
    "All that a report says. Its renderers add nothing."

    results: Results
    summary: pd.DataFrame
    question: str
    finding: str  # the title
    rankings: list[Ranking]  # the longest budget first
    words: str  # what the words in their tables mean
    advice: Advice | None
    no_advice: str  # what to say instead of an advice
    code: str
    caption: str
    pictures: list[Picture]  # of the page; some are also files
    poster: Callable[[], Figure]  # comparison.png
    lr_rule: str
    tuning: str
    gaps: str
    far_from_suggestion: str
    unfinished: str

    def files(self) -> dict[str, Figure]:
        "The figures that stand alone, by the name of their file."
        alone = {picture.file: picture.draw_alone() for picture in self.pictures if picture.file}
        return {"comparison": self.poster(), **alone}


def make_report(results: Results) -> Report:
    "Compute everything that the terminal, the page and the figures show."
    judge, tolerance = results.measure.judge, results.tolerance
    summary = summarize(results.runs, results.reference, judge, tolerance, looks=results.looks)
    ranks, best = rankings(results, summary), advice(results, summary)
    of_best = next((rank for rank in ranks if best and rank.epochs == best.epochs), ranks[0])
    left, gallery = results.planned - len(results.runs), Gallery(results, summary, ranks)
    return Report(
        results,
        summary,
        question=protocol.question(results),
        finding=_title(of_best, ranks),
        rankings=ranks,
        words=words_used(ranks),
        advice=best,
        no_advice="" if best else no_advice(results),
        code=code(best, results.config) if best else "",
        caption=protocol.caption(results, results.of_budget(results.budget)[0]),
        pictures=gallery.pictures(),
        poster=partial(gallery.poster, _title(ranks[0], ranks)),
        lr_rule=protocol.lr_rule(results),
        tuning=protocol.lr_find_words(results) + protocol.tuning_words(results),
        gaps=protocol.gaps(results, summary[summary.budget == results.budget]),
        far_from_suggestion=protocol.far_from_suggestion(results),
        unfinished=f"{plural(left, 'run')} unfinished: the same command continues." if left > 0 else "",
    )


def _title(rank: Ranking, ranks: list[Ranking]) -> str:
    return rank.finding if len(ranks) == 1 else f"After {plural(rank.epochs, 'epoch')}: {rank.finding}"


def redraw(store: Store, stopped: bool = False) -> Result:
    "All tables, figures and report.html of a folder, from its complete runs."
    return write(read(store), store.out, stopped)


def merged(stores: list[Store], out: Store) -> Result:
    "One report in `out` from several folders that asked the same question of other seeds, schedules or budgets."
    results = merge([read(store) for store in stores], [str(store.out) for store in stores])
    out.write_merged(Manifest.from_dict(results.config | {"origins": results.origins}))
    return write(results, out.out)


def write(results: Results, out: Path, stopped: bool = False) -> Result:
    "Write runs.csv, epochs.csv, cycles.csv, tuning.csv, summary.csv, the PNG figures and report.html."
    report = make_report(results)
    tables = {"runs": results.runs, "epochs": results.epochs, "summary": report.summary}
    tables |= {"cycles": results.cycles} if len(results.cycles) else {}
    tables |= {"tuning": results.trials} if len(results.trials) else {}
    Store(out).write_tables(**tables)
    for name, fig in report.files().items():
        style.save(fig, out / f"{name}.png")
    write_atomically(out / "report.html", report_html.render(report))
    text = report_text.render(report, out)
    verdict, answer = report.rankings[0].notes[0], (report.advice, report.code)
    return Result(out, results.runs, results.epochs, report.summary, text, verdict, *answer, stopped)
