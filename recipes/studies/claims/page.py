"""The words of `lrlab claims`: its finding, its table for the terminal, and the page beside the results."""

from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from lrlab.recipes.kitchen.figures.captions import data_caption
from lrlab.recipes.kitchen.text import listed, plural, text_table
from lrlab.recipes.studies.claims.catalogue import BY_NAME, Claim
from lrlab.recipes.studies.claims.verdict import FAILS, HOLDS, OPPOSITE, UNDECIDED, Rule

SHORT = {HOLDS: "**holds**", FAILS: "does not hold", UNDECIDED: "undecided"}  # in the table of all claims


def finding(claims: pd.DataFrame) -> str:
    "How many claims are decided, in at most twelve words; of a single claim its verdicts."
    names = claims.claim.unique()
    if len(names) == 1:
        return f"{names[0]}: {overall(dict(zip(claims.workload, claims.verdict, strict=True)))}"
    decided = claims[claims.verdict != UNDECIDED].claim.value_counts()
    if claims.workload.nunique() == 1:
        return f"Of {len(names)} claims, {len(decided)} are decided"
    return f"Of {len(names)} claims, {int((decided >= 2).sum())} are decided on two data sets or more"


def overall(verdicts: dict[str, str]) -> str:
    """The verdicts on several workloads: which on which.

    >>> overall({"solar": "holds", "digits": "undecided"}), overall({"solar": "holds", "digits": "holds"})
    ('holds on solar; undecided on digits', 'holds on solar, digits')
    """
    by_word = [(word, [name for name, own in verdicts.items() if own == word]) for word in (HOLDS, FAILS, UNDECIDED)]
    return "; ".join(f"{word.removesuffix(' here')} on {', '.join(names)}" for word, names in by_word if names)


def summary(claims: pd.DataFrame) -> list[str]:
    "The sentences after the finding: what was decided, where the loss disagrees, and how far to believe it."
    kinds = [_kind(set(own.verdict)) for _, own in claims.groupby("claim", sort=False)]
    hold, fail, depend, undecided = (kinds.count(kind) for kind in ("holds", "fails", "depends", "open"))
    return [
        f"Wherever they are decided, {hold} hold and {fail} do not. {depend} depend on the data, and {undecided} are "
        "undecided everywhere.",
        _loss_sentence(claims),
        _multiplicity(claims),
    ]


def _kind(verdicts: set[str]) -> str:
    "One word for the verdicts on all workloads."
    if HOLDS in verdicts:
        return "depends" if FAILS in verdicts else "holds"
    return "fails" if FAILS in verdicts else "open"


def _loss_sentence(claims: pd.DataFrame) -> str:
    by_loss = claims[claims.loss_verdict.isin([HOLDS, FAILS])]
    against = claims[disagrees(claims)]
    more = int((by_loss.verdict == UNDECIDED).sum())
    sentence = (
        f"The validation loss, judged beside it, decides {len(by_loss)} of these rows, {more} of them undecided here"
    )
    if against.empty:
        return sentence + ", and disagrees in none."
    named = ", ".join(f"{row.claim} on {row.workload}" for row in against.itertuples())
    return f"{sentence}. It disagrees in {len(against)}: {named}."


def disagrees(claims: pd.DataFrame) -> pd.Series:
    "The rows that accuracy and loss decide in different ways."
    return (
        (claims.verdict != UNDECIDED)
        & claims.loss_verdict.isin([HOLDS, FAILS])
        & (claims.verdict != claims.loss_verdict)
    )


def _multiplicity(claims: pd.DataFrame) -> str:
    n, decided, kept = len(claims), int((claims.verdict != UNDECIDED).sum()), int(claims.holm.sum())
    return (
        f"{n} differences are judged here and {decided} decided. A word is wrong with a chance of at most 2.5 %: of "
        f"{n}, {0.025 * n:.0f} or so at worst. The {kept} marked † stay decided after Holm's correction over all rows. "
        "Believe those first, and those that two data sets share."
    )


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
    claims: pd.DataFrame, runs: pd.DataFrame, cards: dict, words: dict, title: str, config: dict, rule: Rule
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
    templates.filters |= {"points": points, "by_loss": by_loss, "verdict_words": verdict_words}
    by_name = {name: own for name, own in claims.groupby("claim", sort=False)}
    return templates.get_template("page.md.jinja").render(
        title=title,
        summary=summary(claims),
        config=config,
        words=words,
        names=list(cards),
        short=SHORT,
        claims=[(BY_NAME[name], list(own.itertuples())) for name, own in by_name.items()],
        verdicts={name: dict(zip(own.workload, own.verdict, strict=True)) for name, own in by_name.items()},
        meanings={name: means(BY_NAME[name], own) for name, own in by_name.items()},
        minutes={name: _minutes(BY_NAME[name], own) for name, own in by_name.items()},
        level=f"{100 * rule.level:.4g}",
        cost=_cost(runs),
        rule=rule.sentences(),
        limits=_limits(cards),
    )


def _minutes(claim: Claim, own: pd.DataFrame) -> float:
    "All rows of a claim about descents come from the same descents."
    return own.minutes.max() if claim.group == "descent" else own.minutes.sum()


def _cost(runs: pd.DataFrame) -> list[str]:
    if runs.empty:
        return []
    lost = runs[runs.status != "ok"]
    by_workload = runs.groupby("workload", sort=False).seconds.sum() / 60
    each = ", ".join(f"{name} {minutes:.0f}" for name, minutes in by_workload.items())
    sentences = [
        "Minutes are those of one core for the claim's own command, with tuning and with runs that other claims share. "
        f"All {len(runs):,} runs together took {runs.seconds.sum() / 60:.0f} minutes of one core ({each})."
    ]
    if lost.empty:
        return [*sentences, "Every run finished."]
    named = "; ".join(
        f"{row.workload} {row.run_id}: {row.status}{f' ({row.error})' if pd.notna(row.error) else ''}"
        for row in lost.itertuples()
    )
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
        "The intervals cover the seeds (weights, order, augmentation, and the split where the data have none), not the "
        "choice of lr_max, which was made once.",
    ]
    if untested:
        limits.append(f"No test set in {' and '.join(untested)}: LRs were tuned on the same images, with other seeds.")
    return limits
