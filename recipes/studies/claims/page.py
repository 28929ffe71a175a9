"""The words of `lrlab claims`: its finding, its table for the terminal, and the page beside the results."""

from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from lrlab.recipes.kitchen.figures.captions import data_caption
from lrlab.recipes.kitchen.text import text_table
from lrlab.recipes.studies.claims.catalogue import BY_NAME, Claim
from lrlab.recipes.studies.claims.verdict import FAILS, HOLDS, RULE, UNDECIDED, overall

KINDS = {
    "hold": "everywhere",
    "partly": "hold on some data, undecided on the rest",
    "mixed": "hold on some data, fail on other",
    "fail": "hold nowhere, fail somewhere",
    "undecided": "everywhere",
}


def kinds_in_words() -> str:
    "What the words of `finding` mean."
    return "; ".join(f"{word}: {meaning}" for word, meaning in KINDS.items())


def finding(claims: pd.DataFrame) -> str:
    "How many claims hold, hold partly, are mixed, fail or stay undecided, in at most twelve words. KINDS explains."
    kinds = [_kind(set(own.verdict)) for _, own in claims.groupby("claim", sort=False)]
    if len(kinds) == 1:
        return f"{claims.claim.iloc[0]}: {overall(_by_workload(claims))}"
    counts = [f"{kinds.count(word)} {word}" for word in KINDS if word in kinds]
    return f"{len(kinds)} claims: {', '.join(counts)}"


def _kind(verdicts: set[str]) -> str:
    "One word of KINDS for the verdicts on all workloads."
    if HOLDS in verdicts:
        return "mixed" if FAILS in verdicts else "partly" if UNDECIDED in verdicts else "hold"
    return "fail" if FAILS in verdicts else "undecided"


def _by_workload(own: pd.DataFrame) -> dict[str, str]:
    return dict(zip(own.workload, own.verdict, strict=True))


def means(claim: Claim, own: pd.DataFrame) -> str:
    "What a user should do, by the verdicts on each workload; one sentence."
    advice = {HOLDS: claim.if_so, FAILS: claim.if_not}
    groups = {word: own[own.verdict == word] for word in (HOLDS, FAILS, UNDECIDED) if (own.verdict == word).any()}
    parts = []
    for word, rows in groups.items():
        where = "" if len(groups) == 1 else f"on {' and '.join(rows.workload)}, "
        parts.append(where + advice.get(word, _open(rows)).rstrip("."))
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
    if pd.isna(row.diff):
        return "nothing to compare"
    diff, low, high = 100 * row.diff, 100 * row.diff_low, 100 * row.diff_high
    return f"{_signed(diff)} (no interval)" if pd.isna(low) else f"{_signed(diff)} ({_signed(low)} to {_signed(high)})"


def _signed(points: float) -> str:
    "With its sign, which zero does not have."
    shown = f"{points:+.1f}"
    return shown[1:] if shown in ("+0.0", "-0.0") else shown


def text(claims: pd.DataFrame, title: str, out: Path) -> str:
    "The table for the terminal and the sentence."
    rows = [
        {
            "claim": row.claim,
            "workload": row.workload,
            "n": row.n,
            "points in its favour": points(row),
            "verdict": f"{row.verdict}, {row.lost}" if row.lost else row.verdict,
        }
        for row in claims.itertuples()
    ]
    end = [f"{title}.", f"Page: {out / 'README.md'}", f"Figure: {out / 'claims.png'}"]
    return "\n".join([text_table(rows), "", *end])


def page(claims: pd.DataFrame, runs: pd.DataFrame, cards: dict, words: dict, title: str, config: dict) -> str:
    "README.md: the figure, the table, what each claim means, how each was tried, the rule and the limits."
    # Markdown, not HTML: the text goes to a README, where a renderer escapes what it must.
    templates = Environment(  # noqa: S701
        loader=PackageLoader("lrlab.recipes.studies.claims", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["points"] = points
    by_name = {name: own for name, own in claims.groupby("claim", sort=False)}
    return templates.get_template("page.md.jinja").render(
        title=title,
        kinds=kinds_in_words(),
        config=config,
        words=words,
        claims=[
            (name, BY_NAME[name], list(own.itertuples()), overall(_by_workload(own))) for name, own in by_name.items()
        ],
        meanings={name: means(BY_NAME[name], own) for name, own in by_name.items()},
        minutes={name: _minutes(BY_NAME[name], own) for name, own in by_name.items()},
        multiplicity=_multiplicity(claims),
        cost=_cost(runs),
        rule=RULE,
        limits=_limits(cards),
    )


def _minutes(claim: Claim, own: pd.DataFrame) -> float:
    "All rows of a claim about descents come from the same descents."
    return own.minutes.max() if claim.group == "descent" else own.minutes.sum()


def _multiplicity(claims: pd.DataFrame) -> str:
    n, decided = len(claims), int((claims.verdict != UNDECIDED).sum())
    return (
        f"This page judges {n} differences, each at 95 %. If all of them were 0, about {0.05 * n:.1f} would still be "
        f"decided one way or the other. {decided} are decided. The {int(claims.holm.sum())} marked † stay decided "
        "after Holm's correction over all rows of this page: believe those, and take the others as likely."
    )


def _cost(runs: pd.DataFrame) -> list[str]:
    if runs.empty:
        return []
    lost = runs[runs.status != "ok"]
    sentences = [
        "Minutes are those of one core for the claim's own command, with tuning and with runs that other claims share. "
        f"All {len(runs)} runs together took {runs.seconds.sum() / 60:.0f} minutes of one core."
    ]
    if lost.empty:
        return [*sentences, "Every run finished."]
    named = "; ".join(f"{row.workload} {row.run_id}: {row.status} ({row.error})" for row in lost.itertuples())
    return [*sentences, f"{len(lost)} of them did not finish: {named}."]


def _limits(cards: dict) -> list[str]:
    data = "; ".join(
        f"{data_caption(card)}, the most frequent class alone {card['majority']:.1%}" for card in cards.values()
    )
    untested = [card["title"] for card in cards.values() if "test" not in card["images"]]
    limits = [
        f"Small data, a small net, short runs, fastai's Adam ({data}). The papers trained larger nets far longer, "
        "mostly with SGD: a claim that does not hold here may hold there.",
        "Weight decay, momentum, batch size (64) and augmentation are the same for all and not tuned.",
        "Margins of equality are one point of accuracy, chosen before the runs.",
    ]
    if untested:
        limits.append(f"No test set in {' and '.join(untested)}: LRs were tuned on the same images, with other seeds.")
    return limits
