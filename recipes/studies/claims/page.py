"""The words of `lrlab claims`: its finding, its table for the terminal, and the page beside the results."""

from pathlib import Path

import pandas as pd

from lrlab.recipes.studies.claims.catalogue import BY_NAME, Claim
from lrlab.recipes.studies.claims.verdict import FAILS, HOLDS, RULE, UNDECIDED, overall


def finding(claims: pd.DataFrame) -> str:
    "How many claims hold, depend, do not hold or stay undecided, in one sentence."
    kinds = [_kind(set(own.verdict)) for _, own in claims.groupby("claim", sort=False)]
    if len(kinds) == 1:
        return f"{claims.claim.iloc[0]}: {overall(_by_workload(claims))}"
    said = [
        "hold{s} wherever tried",
        "hold{s} on some data and {is_} undecided on the rest",
        "depend{s} on the data",
        "do{es} not hold here",
        "{is_} undecided",
    ]
    one, many = {"s": "s", "es": "es", "is_": "is"}, {"s": "", "es": "", "is_": "are"}
    counts = [kinds.count(kind) for kind in range(len(said))]
    parts = [f"{n} {words.format(**one if n == 1 else many)}" for n, words in zip(counts, said, strict=True) if n]
    return f"Of {len(kinds)} published claims, {', '.join(parts)}"


def _kind(verdicts: set[str]) -> int:
    if HOLDS in verdicts:
        return 2 if FAILS in verdicts else int(UNDECIDED in verdicts)
    return 3 if FAILS in verdicts else 4


def _by_workload(own: pd.DataFrame) -> dict[str, str]:
    return dict(zip(own.workload, own.verdict, strict=True))


def means(claim: Claim, own: pd.DataFrame) -> str:
    "What a user should do, by the verdicts on each workload; one sentence."
    said = {HOLDS: claim.if_so, FAILS: claim.if_not}
    groups = {word: own[own.verdict == word] for word in (HOLDS, FAILS, UNDECIDED) if (own.verdict == word).any()}
    parts = []
    for word, rows in groups.items():
        where = "" if len(groups) == 1 else f"on {' and '.join(rows.workload)}, "
        parts.append(where + said.get(word, _open(rows)).rstrip("."))
    text = "; ".join(parts) + "."
    return text[0].upper() + text[1:]


def _open(rows: pd.DataFrame) -> str:
    "An undecided claim: what its intervals leave possible."
    known = rows.dropna(subset=["diff_low", "diff_high"])
    if known.empty:
        return "too few runs finished to say anything"
    low, high = 100 * known.diff_low.min(), 100 * known.diff_high.max()
    return f"these seeds cannot tell; the difference may be anything from {low:+.1f} to {high:+.1f} points"


def points(row) -> str:
    "A difference with its interval, in points; one or two seeds, or equal differences, have none."
    if pd.isna(row.diff):
        return "nothing to compare"
    if pd.isna(row.diff_low):
        return f"{100 * row.diff:+.1f} (no interval)"
    return f"{100 * row.diff:+.1f} ({100 * row.diff_low:+.1f} to {100 * row.diff_high:+.1f})"


def text(claims: pd.DataFrame, title: str, out: Path) -> str:
    "The table for the terminal and the sentence."
    width = max(len("workload"), *claims.workload.str.len())
    head = f"{'claim':<22} {'workload':<{width}} {'n':>4}  {'points in its favour':<24} verdict"
    lines = [head, "-" * (len(head) + 12)]
    for row in claims.itertuples():
        lost = f", {row.lost}" if row.lost else ""
        lines.append(f"{row.claim:<22} {row.workload:<{width}} {row.n:>4}  {points(row):<24} {row.verdict}{lost}")
    return "\n".join([*lines, "", f"{title}.", f"Page: {out / 'README.md'}", f"Figure: {out / 'claims.png'}"])


def page(claims: pd.DataFrame, runs: pd.DataFrame, cards: dict, words: dict, title: str, config: dict) -> str:
    "README.md: the figure, the table, what each claim means, how each was tried, the rule and the limits."
    names = list(dict.fromkeys(claims.claim))
    by_name = {name: claims[claims.claim == name] for name in names}
    lines = [
        "# Published claims about learning rates, re-checked",
        "",
        f"**{title}.** Points are points of accuracy (of starts, in the claims about minima) in the claim's "
        "favour, with the 95 % interval of the difference paired by seed. Made by "
        f"`{config['command']}` on {config['date'][:10]} ({config['machine']['cpu']}, "
        f"{config['machine']['cores']} cores); nothing on this page was written by hand.",
        "",
        "![Every claim's difference with its interval and verdict](claims.png)",
        "",
        "| claim | published | here: points in its favour (n) | verdict |",
        "|---|---|---|---|",
    ]
    for name, own in by_name.items():
        here = "<br>".join(f"{row.workload}: {points(row)} (n = {row.n}){_mark(row)}" for row in own.itertuples())
        claim = BY_NAME[name]
        lines.append(
            f"| **{name}**: {claim.says.format(**words)} | {claim.published} <br>*{claim.source}* | {here} | "
            f"{overall(_by_workload(own))} |"
        )
    lines += ["", *_multiplicity(claims), "", "## What it means for you", ""]
    lines += [f"- **{name}**: {means(BY_NAME[name], own)}" for name, own in by_name.items()]
    lines += [
        "",
        "## How each was tried",
        "",
        "| claim | setting | measured | command | minutes |",
        "|---|---|---|---|---|",
    ]
    for name, own in by_name.items():
        measured = "<br>".join(f"{row.workload}: {row.ours}{_lost(row)}" for row in own.itertuples())
        minutes = own.minutes.max() if BY_NAME[name].group == "descent" else own.minutes.sum()
        setting, command = BY_NAME[name].setting.format(**words), own.command.iloc[0]
        lines.append(f"| {name} | {setting} | {measured} | `{command}` | {minutes:.1f} |")
    lines += ["", *_cost(runs), "", "## The rule", "", *(f"- {line}" for line in RULE), "", "## Limits", ""]
    lines += [f"- {line}" for line in _limits(cards)]
    return "\n".join(lines) + "\n"


def _mark(row) -> str:
    return " †" if row.holm else ""


def _lost(row) -> str:
    return f"; {row.lost}" if row.lost else ""


def _multiplicity(claims: pd.DataFrame) -> list[str]:
    n, decided = len(claims), int((claims.verdict != UNDECIDED).sum())
    return [
        f"{n} differences are judged here, each at 95 %: were all of them 0, about {0.05 * n:.1f} would still be "
        f"decided one way or the other. {decided} are decided; the {int(claims.holm.sum())} marked † stay decided "
        "after Holm's correction over all rows of this page. Believe those, and take the others as likely."
    ]


def _cost(runs: pd.DataFrame) -> list[str]:
    if runs.empty:
        return []
    lost = runs[runs.status != "ok"]
    said = [
        "Minutes are those of one core for the claim's own command, with tuning and with runs that other claims share: "
        f"all {len(runs)} runs together took {runs.seconds.sum() / 60:.0f} minutes of one core."
    ]
    if len(lost):
        named = "; ".join(f"{row.workload} {row.run_id}: {row.status} ({row.error})" for row in lost.itertuples())
        said.append(f"{len(lost)} of them did not finish: {named}.")
    else:
        said.append("Every run finished.")
    return said


def _limits(cards: dict) -> list[str]:
    data = "; ".join(
        f"{card['title']}: {card['images']['train']:,} training and {card['images']['valid']:,} validation images of "
        f"{card['size']} px, the most frequent class alone {card['majority']:.1%}"
        for card in cards.values()
    )
    untested = [card["title"] for card in cards.values() if "test" not in card["images"]]
    said = [
        f"Small data, a small net, short runs, fastai's Adam ({data}). The papers trained larger nets far longer, "
        "mostly with SGD: a claim that does not hold here may hold there.",
        "Weight decay, momentum, batch size (64) and augmentation are the same for all and not tuned.",
        "Margins of equality are one point of accuracy, chosen before the runs.",
    ]
    if untested:
        said.append(f"No test set in {' and '.join(untested)}: LRs were tuned on the same images, on other seeds.")
    return said
