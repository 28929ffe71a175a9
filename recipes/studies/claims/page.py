"""The words of `lrlab claims`: its finding, its table for the terminal, and the page beside the results."""

from collections import Counter
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from lrlab.recipes.kitchen.figures.captions import data_caption
from lrlab.recipes.kitchen.stats.best import FEWEST_SEEDS
from lrlab.recipes.kitchen.stats.measures import RELATIVE_TOLERANCE
from lrlab.recipes.kitchen.text import listed, plural, text_table
from lrlab.recipes.studies.claims.catalogue import BY_NAME, Claim
from lrlab.recipes.studies.claims.verdict import FAILS, HOLDS, OPPOSITE, ROOM, UNDECIDED, Rule

SHORT = {HOLDS: "**holds**", FAILS: "does not hold", UNDECIDED: "undecided"}  # in the table of all claims


def finding(claims: pd.DataFrame) -> str:
    "How many claims are decided, in at most twelve words; of a single claim its verdicts."
    names = claims.claim.unique()
    if len(names) == 1:
        return f"{names[0]}: {overall(dict(zip(claims.workload, claims.verdict, strict=True)))}"
    decided = claims[claims.verdict != UNDECIDED].claim.value_counts()
    if claims.workload.nunique() == 1:
        return f"Of {len(names)} claims, {plural(len(decided), 'is', 'are')} decided"
    return f"Of {len(names)} claims, {plural(int((decided >= 2).sum()), 'is', 'are')} decided on two data sets or more"


def overall(verdicts: dict[str, str]) -> str:
    """The verdicts on several workloads: which on which.

    >>> overall({"solar": "holds", "digits": "undecided"}), overall({"solar": "holds", "digits": "holds"})
    ('holds on solar; undecided on digits', 'holds on solar, digits')
    """
    by_word = [(word, [name for name, own in verdicts.items() if own == word]) for word in (HOLDS, FAILS, UNDECIDED)]
    return "; ".join(f"{word.removesuffix(' here')} on {', '.join(names)}" for word, names in by_word if names)


def _counts(claims: pd.DataFrame) -> dict:
    "The numbers of the sentences after the finding: what was decided, and where the loss disagrees."
    decided, by_loss = claims.verdict != UNDECIDED, claims.loss_verdict.isin([HOLDS, FAILS])
    against = claims[decided & by_loss & (claims.verdict != claims.loss_verdict)]
    return {
        "kinds": Counter(_kind(set(own.verdict)) for _, own in claims.groupby("claim")),
        "n": len(claims),
        "decided": int(decided.sum()),
        "kept": int(claims.holm.sum()),
        "by_loss": int(by_loss.sum()),
        "by_loss_alone": int((by_loss & ~decided).sum()),
        "against": [f"{row.claim} on {row.workload}" for row in against.itertuples()],
    }


def _kind(verdicts: set[str]) -> str:
    "One word for the verdicts on all workloads."
    if HOLDS in verdicts:
        return "depends" if FAILS in verdicts else "holds"
    return "fails" if FAILS in verdicts else "open"


def means(claim: Claim, own: pd.DataFrame) -> str:
    "What a user should do, by the verdicts on each workload; one sentence."
    advice = {HOLDS: claim.if_so, FAILS: claim.if_not}
    groups = {word: own[own.verdict == word] for word in (HOLDS, FAILS, UNDECIDED) if (own.verdict == word).any()}
    parts = []
    for word, rows in groups.items():
        where = "" if len(groups) == 1 else f"on {listed(rows.workload)}, "
        opposite = rows[rows.addition == OPPOSITE]
        even = f" (on {listed(opposite.workload)}, {OPPOSITE})" if len(opposite) else ""
        parts.append(where + advice.get(word, _open(rows)).rstrip(".") + even)
    text = "; ".join(parts) + "."
    return text[0].upper() + text[1:]


def _open(rows: pd.DataFrame) -> str:
    "An undecided claim: what its intervals leave possible."
    known = rows.dropna(subset=["diff_low", "diff_high"])
    if known.empty:
        return "too few runs finished to say anything"
    low, high = 100 * known.diff_low.min(), 100 * known.diff_high.max()
    return f"these seeds cannot tell: the difference may be anything from {_signed(low)} to {_signed(high)} points"


def points(row) -> str:
    "A difference with its interval, in points. One or two seeds, or equal differences, have no interval."
    return _interval(row.diff, row.diff_low, row.diff_high) if pd.notna(row.diff) else "nothing to compare"


def by_loss(row) -> str:
    "The fall of the loss with its interval, in percent of B's loss, and its verdict."
    if pd.isna(row.loss_diff):
        return "-"
    return f"{_interval(row.loss_diff, row.loss_low, row.loss_high)} %: {SHORT[row.loss_verdict]}"


def _interval(mean: float, low: float, high: float) -> str:
    if pd.isna(low):
        return f"{_signed(100 * mean)} (no interval)"
    return f"{_signed(100 * mean)} ({_signed(100 * low)} to {_signed(100 * high)})"


def _signed(points: float) -> str:
    "With its sign, which zero does not have."
    shown = f"{points:+.1f}"
    return shown[1:] if shown in ("+0.0", "-0.0") else shown


def verdict_words(row) -> str:
    "The verdict with what is added to it; of an undecided claim, what it would take."
    words = f"{row.verdict}, {row.addition}" if row.addition else row.verdict
    return f"{words} ({needs})" if (needs := needed(row)) else words


def needed(row) -> str:
    "What an undecided claim would take, if mean and spread stay."
    if row.verdict != UNDECIDED or pd.isna(row.seeds_needed):
        return ""
    unit = "starts" if row.workload.endswith(" minimum") else "seeds"
    return f"about {int(row.seeds_needed):,} {unit} would decide it, {_hours(row.hours_needed)} more of one core"


def _hours(hours: float) -> str:
    return plural(max(1, round(60 * hours)), "minute") if hours < 1 else f"{hours:.1f} hours"


def text(claims: pd.DataFrame, title: str, out: Path) -> str:
    "The table for the terminal and the sentence."
    rows = [
        {
            "claim": row.claim,
            "workload": row.workload,
            "n": row.n,
            "points in its favour": points(row),
            "verdict": ", ".join(filter(None, (row.verdict, row.addition, row.lost))),
        }
        for row in claims.itertuples()
    ]
    end = [f"{title}.", f"Page: {out / 'README.md'}", f"Figure: {out / 'claims.png'}"]
    return "\n".join([text_table(rows), "", *end])


def page(
    claims: pd.DataFrame, runs: pd.DataFrame, cards: dict, words: dict, title: str, made: list[dict], rule: Rule
) -> str:
    "README.md: the finding, the figure, a table of all claims and one of each, the rule and the limits."
    # Markdown, not HTML: the text goes to a README, where a renderer escapes what it must.
    templates = Environment(  # noqa: S701
        loader=PackageLoader("lrlab.recipes.studies.claims", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = {"points": points, "by_loss": by_loss, "verdict_words": verdict_words, "data_caption": data_caption}
    templates.filters |= filters
    by_name = {name: own for name, own in claims.groupby("claim", sort=False)}
    return templates.get_template("page.md.jinja").render(
        title=title,
        made=made,
        words=words,
        cards=cards,
        short=SHORT,
        claims=[(BY_NAME[name], list(own.itertuples())) for name, own in by_name.items()],
        verdicts={name: dict(zip(own.workload, own.verdict, strict=True)) for name, own in by_name.items()},
        meanings={name: means(BY_NAME[name], own) for name, own in by_name.items()},
        minutes={name: _minutes(BY_NAME[name], own) for name, own in by_name.items()},
        minutes_of=runs.groupby("workload", sort=False).seconds.sum() / 60,
        n_runs=len(runs),
        lost=_lost(runs),
        rule=rule,
        level=f"{100 * rule.level:.4g}",
        fewest_seeds=FEWEST_SEEDS,
        room=ROOM,
        loss_tolerance=f"{100 * RELATIVE_TOLERANCE:g} %",
        **_counts(claims),
    )


def _minutes(claim: Claim, own: pd.DataFrame) -> float:
    "All rows of a claim about descents come from the same descents."
    return own.minutes.max() if claim.group == "descent" else own.minutes.sum()


def _lost(runs: pd.DataFrame) -> list[str]:
    "The runs that did not finish, each with its reason if one is known."
    return [
        f"{row.workload} {row.run_id}: {row.status}" + (f" ({row.error})" if pd.notna(row.error) else "")
        for row in runs[runs.status != "ok"].itertuples()
    ]
