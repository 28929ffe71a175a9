"""From the question of `lrlab claims` to its page: train each workload's groups of runs, judge every claim, tell it."""

import hashlib
import math
import re
import shlex
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.grid.study import Study
from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.machine.optional_packages import is_installed, remedy
from lrlab.recipes.kitchen.schedule_names import named_schedule
from lrlab.recipes.kitchen.stage import print_note
from lrlab.recipes.kitchen.stats.measures import TOLERANCE
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.store.tables import RUN_COLUMNS, RunRow, run_table
from lrlab.recipes.kitchen.text import plural
from lrlab.recipes.kitchen.workloads import ImageWorkload, make_workload
from lrlab.recipes.studies.claims import figure as claims_figure
from lrlab.recipes.studies.claims import page as claims_page
from lrlab.recipes.studies.claims.bench import QUICK, Bench, Scale
from lrlab.recipes.studies.claims.catalogue import CLAIMS, Claim
from lrlab.recipes.studies.claims.experiments import GROUPS
from lrlab.recipes.studies.claims.verdict import (
    FIRST_SEEDS,
    UNDECIDED,
    Gain,
    Measured,
    Rule,
    addition,
    compare,
    looks_of,
    seeds_needed,
    survives_holm,
    word,
)
from lrlab.recipes.studies.gradient_descent import descent

DATA = "digits,fashion_mnist:1000,cifar:1000,solar"  # the default: what trains fastest comes first
UNTIL_DECIDED = 20  # seeds at most
FEWEST_PX = 32  # smaller images, enlarged, say nothing about a model that was pretrained on images
COLUMNS = (
    "claim workload n published ours diff diff_low diff_high level verdict addition loss_diff loss_low loss_high "
    "loss_verdict seeds_needed hours_needed minutes command better than margin tolerance p_value holm lost source"
).split()


@dataclass(frozen=True)
class Question:
    "`until_decided`: the claims are judged several times, and only the undecided ones get all seeds."

    workloads: list[ImageWorkload]
    claims: list[Claim]
    seeds: list[int]
    scale: Scale
    threads: int = 1
    until_decided: bool = False
    tolerance: float = TOLERANCE
    skips_missing: bool = False  # data that cannot be loaded are named, and left out

    @property
    def rule(self) -> Rule:
        return Rule(self.tolerance, looks_of(len(self.seeds), self.until_decided))

    def groups_on(self, image_set: ImageSet) -> list[str]:
        "The groups of runs that the claims need, as far as they make sense on these images."
        asked = {claim.group for claim in self.claims}
        cannot = {"transfer": image_set.size < FEWEST_PX, "schedule_free": not is_installed("schedulefree")}
        return [group for group in GROUPS if group in asked and not cannot.get(group)]

    def labels(self) -> tuple[str, ...]:
        "The schedules whose tuned lr_max some claim uses."
        return tuple(dict.fromkeys(label for claim in self.claims for label in claim.schedules))

    def to_dict(self, workload: ImageWorkload, image_set: ImageSet) -> dict:
        "What the numbers of one workload depend on. Not the claims: another claim continues with the same runs."
        return workload.to_dict(image_set) | {
            "seeds": self.seeds,
            "scale": asdict(self.scale),
            "threads": self.threads,
            **asdict(self.rule),
        }


@dataclass
class Answer:
    "`claims`: one row a claim and workload (COLUMNS); `runs`: every run behind them; `stopped` by Ctrl-C."

    claims: pd.DataFrame
    runs: pd.DataFrame
    text: str
    stopped: bool = False


def parse_workloads(data: str, precision: str, cache: bool = True) -> list[ImageWorkload]:
    "The workloads of a comma list. Raises UserError for none, or one twice."
    names = [name.strip() for name in str(data).split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise UserError(f"`data` {data}: expected different datasets or folders, such as solar,digits")
    return [make_workload(name, "small", None, 64, precision, cache=cache) for name in names]


def answer(question: Question, out: Path | str, jobs: int = 1, fresh: bool = False) -> Answer:
    "Train what is not there yet; write claims.csv, runs.csv, claims.png and README.md."
    question, data = load(question)
    check_groups(question, data)
    with Store(out) as top:
        top.begin(
            Manifest("claims", {"scale": asdict(question.scale), **asdict(question.rule)}, **environment()), fresh
        )
        # The page names this command, whatever earlier ones have trained for it.
        top.update(**environment(), other=top.manifest.other | {"asked": [claim.name for claim in question.claims]})
        rows, tables, stopped = _surfaces(top, question), [], False
        for workload, image_set in zip(question.workloads, data, strict=True):
            with Store(top.out / folder_name(image_set.name)) as store:
                found, runs, stopped = _workload(store, question, workload, image_set, jobs)
            rows += found
            tables.append(runs)
            if stopped and not rows:
                raise KeyboardInterrupt
            if stopped:
                print("Stopped: the page has the claims that are finished. The same command continues.")
                break
        return replace(_tell(top, question, data, rows, tables), stopped=stopped)


def load(question: Question) -> tuple[Question, list[ImageSet]]:
    "The images of every workload, and the question with those workloads whose images are there."
    data, there = [], []
    for workload in question.workloads:
        try:
            data.append(workload.load())
        except UserError as error:
            if not question.skips_missing:
                raise
            print_note(str(workload.data), f"left out: {error}")
            continue
        there.append(workload)
    return replace(question, workloads=there), data


def check_groups(question: Question, data: list[ImageSet]) -> None:
    "Say what is left out for want of a package. Raises UserError where no claim can be tried."
    groups = {claim.group for claim in question.claims}
    reasons = []
    if "schedule_free" in groups and not is_installed("schedulefree"):
        reasons.append(f"schedule-free needs the package schedulefree: {remedy('schedulefree')}")
    if "descent" in groups or any(map(question.groups_on, data)):
        for reason in reasons:
            print_note("claims", f"{reason}; it is left out")
        return
    if "transfer" in groups:
        sizes = ", ".join(f"{image_set.name} has {image_set.size}" for image_set in data)
        reasons.append(f"a pretrained model is tried on images of {FEWEST_PX} px or more; {sizes}")
    raise UserError(f"`claims`: {'; '.join(reasons)}")


@dataclass
class Judged:
    "A claim after its last look: what was measured, and the runs behind it."

    claim: Claim
    found: Measured
    run_ids: set[str]


def _workload(store: Store, question: Question, workload: ImageWorkload, image_set: ImageSet, jobs: int) -> tuple:
    "The rows of claims.csv of one workload, its runs, and whether it was stopped before all was trained."
    precision, workload = workload.precision, workload.resolve(image_set)
    manifest = Manifest("claims", question.to_dict(workload, image_set), image_set.describe(), **environment())
    store.begin(manifest)
    study = Study(store, question, workload, image_set, Place(jobs=jobs))
    bench = Bench(study, question.scale, question.labels(), precision)
    judged: dict[str, Judged] = {}
    stopped = False
    try:
        look_until_decided(bench, question, judged)
    except KeyboardInterrupt:
        stopped = True
    complete = store.complete()
    runs = run_table(complete[run_id] for run_id in sorted(set().union(*(own.run_ids for own in judged.values()))))
    runs.insert(0, "workload", image_set.name)
    rows = [_row(own, image_set.name, _seconds(own, complete), question) for own in judged.values()]
    return rows, runs, stopped


def look_until_decided(bench: Bench, question: Question, judged: dict[str, Judged]) -> None:
    "Judge the claims at every look, and train more seeds for those that are undecided. `judged` is filled by name."
    groups = question.groups_on(bench.image_set)
    still_open, rule = [claim for claim in question.claims if claim.group in groups], question.rule
    for n_seeds in rule.looks:
        seeds = question.seeds[:n_seeds]
        for group in groups:
            own = [claim for claim in still_open if claim.group == group]
            if not own:
                continue
            bench.measure(GROUPS[group], {side for claim in own for side in (claim.better, claim.than)}, seeds)
            for claim in own:  # alone: the runs are there, and they are those of its own command
                evidence = bench.measure(GROUPS[group], {claim.better, claim.than}, seeds)
                found = compare(evidence.readings, claim.better, claim.than, claim.as_good, rule)
                judged[claim.name] = Judged(claim, found, evidence.run_ids)
        asked = len(still_open)
        still_open = [claim for claim in still_open if judged[claim.name].found.gain.verdict == UNDECIDED]
        names = f": {', '.join(claim.name for claim in still_open)}" if still_open else ""
        print(
            f"{bench.image_set.name}, {plural(n_seeds, 'seed')}: {asked - len(still_open)} of {plural(asked, 'claim')} "
            f"decided, {len(still_open)} open{names}",
            flush=True,
        )
        if not still_open:
            break


def _seconds(judged: Judged, complete: dict[str, RunRow]) -> tuple[float, float]:
    "Of one core: for the claim's own command, with tuning and with runs that others share, and for one more seed."
    seconds = {run_id: complete[run_id].seconds for run_id in judged.run_ids}
    n_seeds = len({complete[run_id].seed for run_id in seconds if not run_id.startswith("tune-")})
    return sum(seconds.values()), sum(s for run_id, s in seconds.items() if not run_id.startswith("tune-")) / n_seeds


def _surfaces(top: Store, question: Question) -> list[dict]:
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
            rows.append(_row(Judged(claim, found, set()), f"{surface} minimum", (seconds, seconds / a.n), question))
    return rows


def _normal_gain(diff: float, low: float, high: float, tolerance: float) -> tuple[Gain, float]:
    "The verdict of a normal 95 % interval that is given, and the standard error of the difference."
    from scipy.stats import norm

    error = (high - low) / (2 * norm.ppf(0.975))
    p_value = 2 * norm.sf(max(diff, tolerance - diff) / error) if error else math.nan
    return Gain(diff, low, high, word(low, high, 0.0, tolerance), float(p_value)), float(error)


def _row(judged: Judged, workload: str, seconds: tuple[float, float], question: Question) -> dict:
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


def _tell(top: Store, question: Question, data: list[ImageSet], rows: list[dict], tables: list[pd.DataFrame]) -> Answer:
    "Tables, figure, page and text."
    claims = pd.DataFrame(rows, columns=COLUMNS)
    claims["holm"] = survives_holm(claims.p_value.tolist(), claims.verdict.tolist())
    order = {claim.name: i for i, claim in enumerate(CLAIMS)}
    claims = claims.sort_values("claim", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    runs = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["workload", *RUN_COLUMNS])
    top.write_tables(claims=claims, runs=runs)
    words = question.scale.words()
    cards = {image_set.name: image_set.describe() for image_set in data}
    title = claims_page.finding(claims)
    style.save(claims_figure.draw(claims, cards, words, title, question.rule), top.out / "claims.png")
    page = claims_page.page(claims, runs, cards, words, title, top.manifest.to_dict(), question.rule)
    write_atomically(top.out / "README.md", page)
    return Answer(claims, runs, claims_page.text(claims, title, top.out))


def folder_name(name: str) -> str:
    "A workload's folder: the dataset's name; of a folder of images also a hash, for two may be called the same."
    if re.fullmatch(r"[a-z0-9_:]+", name):
        return name.replace(":", "-")
    base = re.sub(r"[^A-Za-z0-9.]+", "_", Path(name).name).strip("_.") or "images"
    return f"{base[:60]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
