"""The claims about local minima: descents on two surfaces, from the study of `lrlab gradient-descent`."""

import math
import time
from dataclasses import replace
from functools import partial

from scipy.stats import norm

from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.schedule_names import named_schedule
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.studies.claims.question import Question
from lrlab.recipes.studies.claims.row import Judged, row
from lrlab.recipes.studies.claims.verdict import Gain, Measured, Rule, word
from lrlab.recipes.studies.gradient_descent import descent


def judge_descents(top: Store, question: Question) -> list[dict]:
    "The claims about descents: restarts against each other schedule, on both surfaces."
    claims = [claim for claim in question.claims if claim.group == "descent"]
    if not claims:
        return []
    epochs, start = 15, time.perf_counter()
    schedules = {label: named_schedule(label, epochs) for label in ("constant", "cosine", "sgdr")}
    asked = descent.Question(schedules, epochs, question.scale.starts, noise=1.0, seed=0)
    tuning = top.once("descent_tuning", lambda: descent.tune(asked))
    tables = {}
    for claim in claims:
        pair = replace(asked, schedules={label: schedules[label] for label in (claim.than, claim.better)})
        tables[claim] = top.once(f"descent_{claim.than}", partial(descent.measure, pair, tuning))
    if "descent_seconds" not in top.manifest.other:
        seconds = round(time.perf_counter() - start, 2)
        top.update(other=top.manifest.other | {"descent_seconds": seconds})
    seconds, rows, rule = top.manifest.other["descent_seconds"], [], Rule(question.tolerance)
    for claim, shares in tables.items():
        for surface, own in shares.groupby("surface", sort=False):
            by = own.set_index("schedule")
            a, b = by.loc[claim.better], by.loc[claim.than]
            gain, error = _normal_gain(a["diff"], a.diff_low, a.diff_high, rule.tolerance)
            lrs = (format_number(float(a.lr_max)), format_number(float(b.lr_max)))
            spread = error * math.sqrt(a.n)
            found = Measured(int(a.n), a.share, b.share, gain, spread=spread, lrs=lrs)
            rows.append(row(Judged(claim, found, set()), f"{surface} minimum", (seconds, seconds / a.n), question))
    return rows


def _normal_gain(diff: float, low: float, high: float, tolerance: float) -> tuple[Gain, float]:
    "The verdict of a normal 95 % interval that is given, and the standard error of the difference."
    error = (high - low) / (2 * norm.ppf(0.975))
    p_value = 2 * norm.sf(max(diff, tolerance - diff) / error) if error else math.nan
    return Gain(diff, low, high, word(low, high, 0.0, tolerance), float(p_value)), float(error)
