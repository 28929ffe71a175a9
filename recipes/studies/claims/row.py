"""One row of claims.csv: a claim on one data set, as it was measured and judged."""

import shlex
from dataclasses import dataclass

import numpy as np

from lrlab.recipes.kitchen.stats.measures import TOLERANCE
from lrlab.recipes.studies.claims.bench import QUICK
from lrlab.recipes.studies.claims.catalogue import Claim
from lrlab.recipes.studies.claims.question import DATA, UNTIL_DECIDED, Question
from lrlab.recipes.studies.claims.verdict import FIRST_SEEDS, UNDECIDED, Measured, Rule, addition, seeds_needed

COLUMNS = (
    "claim workload n published ours diff diff_low diff_high level verdict addition loss_diff loss_low loss_high "
    "loss_verdict seeds_needed hours_needed minutes command better than margin tolerance p_value holm lost source"
).split()


@dataclass
class Judged:
    "A claim after its last look: what was measured, and the runs behind it."

    claim: Claim
    found: Measured
    run_ids: set[str]


def row(judged: Judged, workload: str, seconds: tuple[float, float], question: Question) -> dict:
    "One row of claims.csv; `holm` follows when all rows are there."
    claim, found, (all_seconds, per_seed) = judged.claim, judged.found, seconds
    rule = Rule(question.tolerance) if claim.group == "descent" else question.rule
    needed = None if found.gain.verdict != UNDECIDED else seeds_needed(found, claim.as_good, rule)
    sides = zip((claim.better, claim.than), (found.better, found.than), found.lrs, found.notes, strict=True)
    lost = [f"{count} {word}" for count, word in ((found.diverged, "diverged"), (found.failed, "failed")) if count]
    return {
        **{"claim": claim.name, "workload": workload, "n": found.n, "published": claim.published},
        **{"ours": " against ".join(_side(*side, lead=claim.group == "little") for side in sides)},
        **{"diff": found.gain.mean, "diff_low": found.gain.low, "diff_high": found.gain.high, "level": rule.level},
        **{"verdict": found.gain.verdict, "addition": addition(found.gain, claim.as_good, found.has_room, rule)},
        **{"loss_diff": found.loss.mean, "loss_low": found.loss.low, "loss_high": found.loss.high},
        **{"loss_verdict": "" if np.isnan(found.loss.mean) else found.loss.verdict, "seeds_needed": needed},
        **{"hours_needed": None if needed is None else round((needed - found.n) * per_seed / 3600, 2)},
        **{"minutes": round(all_seconds / 60, 2), "command": command(claim, question)},
        **{"better": claim.better, "than": claim.than, "margin": rule.tolerance if claim.as_good else 0.0},
        **{"tolerance": rule.tolerance, "p_value": found.gain.p_value, "holm": False},
        **{"lost": " and ".join(lost) + (" runs" if lost else ""), "source": claim.source},
    }


def _side(reading: str, mean: float, lr: str, note: str, lead: bool) -> str:
    "One side of a claim as measured."
    value = f"{100 * mean:+.1f} points" if lead else f"{100 * mean:.1f} %"
    return f"{reading} {value} (LR {lr}{', ' * bool(note)}{note})"


def command(claim: Claim, question: Question) -> str:
    "What measures this claim alone, with the question's own options where they differ from the defaults."
    seeds, usual_seeds = question.seeds, UNTIL_DECIDED if question.until_decided else FIRST_SEEDS
    options = {  # the value, and the default
        "--data": (",".join(str(workload.data) for workload in question.workloads), DATA),
        "--seeds": (len(seeds) if seeds == list(range(len(seeds))) else ",".join(map(str, seeds)), usual_seeds),
        "--tolerance": (f"{question.tolerance:g}", f"{TOLERANCE:g}"),
        "--precision": (question.workloads[0].precision, "auto"),
        "--threads": (question.threads, 1),
    }
    given = [text for name, (value, usual) in options.items() if value != usual for text in (name, str(value))]
    flags = ["--until-decided"] * question.until_decided + ["--quick"] * (question.scale == QUICK)
    return shlex.join(["lrlab", "claims", "--claims", claim.name, *given, *flags])
