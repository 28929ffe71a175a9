"""From the question of `lrlab claims` to its page: train each workload's groups of runs, judge every claim, tell it."""

import hashlib
import re
import shlex
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.grid.study import Study
from lrlab.recipes.kitchen.learning_rates import format_number
from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.schedule_names import named_schedule
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.store.tables import RUN_COLUMNS, RunRow, run_table
from lrlab.recipes.kitchen.workloads import ImageWorkload, make_workload
from lrlab.recipes.studies.claims import figure as claims_figure
from lrlab.recipes.studies.claims import page as claims_page
from lrlab.recipes.studies.claims.bench import QUICK, Bench, Evidence, Scale
from lrlab.recipes.studies.claims.catalogue import CLAIMS, Claim
from lrlab.recipes.studies.claims.experiments import GROUPS
from lrlab.recipes.studies.claims.verdict import Measured, compare, survives_holm, verdict
from lrlab.recipes.studies.gradient_descent import descent

DATA = "solar,digits"  # the default
SEEDS, MANY_SEEDS = 5, 10
FEW_PIXELS = 1_000_000  # of all training images together: a run takes seconds, so twice the seeds are cheap
FEWEST_PX = 32  # smaller images, enlarged, say nothing about a model that was pretrained on images
COLUMNS = (
    "claim workload n published ours diff diff_low diff_high verdict minutes command "
    "better than margin p_value holm lost source"
).split()


@dataclass(frozen=True)
class Question:
    "`seeds` None: SEEDS, or MANY_SEEDS on small data."

    workloads: list[ImageWorkload]
    claims: list[Claim]
    seeds: list[int] | None
    scale: Scale
    threads: int = 1

    def seeds_of(self, image_set: ImageSet) -> list[int]:
        pixels = len(image_set.splits["train"]) * image_set.size**2
        return self.seeds or list(range(MANY_SEEDS if pixels < FEW_PIXELS else SEEDS))

    def few_seeds_of(self, image_set: ImageSet) -> list[int]:
        "For large models, whose runs take long on small data too."
        return self.seeds or self.seeds_of(image_set)[:SEEDS]

    def groups_on(self, image_set: ImageSet) -> list[str]:
        "The groups of runs that the claims need, as far as they make sense on these images."
        asked = {claim.group for claim in self.claims}
        return [group for group in GROUPS if group in asked and (group != "transfer" or image_set.size >= FEWEST_PX)]

    def labels(self) -> tuple[str, ...]:
        "The schedules whose tuned lr_max some claim uses."
        return tuple(dict.fromkeys(label for claim in self.claims for label in claim.schedules))

    def to_dict(self, workload: ImageWorkload, image_set: ImageSet) -> dict:
        "What the numbers of one workload depend on. Not the claims: another claim continues with the same runs."
        return workload.to_dict(image_set) | {
            "seeds": self.seeds_of(image_set),
            "scale": asdict(self.scale),
            "threads": self.threads,
        }


@dataclass
class Answer:
    "`claims`: one row a claim and workload (COLUMNS); `runs`: every run behind them; `stopped` by Ctrl-C."

    claims: pd.DataFrame
    runs: pd.DataFrame
    text: str
    stopped: bool = False

    @property
    def exit_code(self) -> int:
        return 130 if self.stopped else 0


def parse_workloads(data: str, precision: str, cache: bool = True) -> list[ImageWorkload]:
    "The workloads of a comma list. Raises UserError for none, or one twice."
    names = [name.strip() for name in str(data).split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise UserError(f"`data` {data}: expected different datasets or folders, such as solar,digits")
    return [make_workload(name, "small", None, 64, precision, cache=cache) for name in names]


def answer(question: Question, out: Path | str, jobs: int = 1, fresh: bool = False) -> Answer:
    "Train what is not there yet; write claims.csv, runs.csv, claims.png and README.md."
    data = [workload.load() for workload in question.workloads]
    if not any(map(question.groups_on, data)) and all(claim.group != "descent" for claim in question.claims):
        sizes = ", ".join(f"{image_set.name} has {image_set.size}" for image_set in data)
        raise UserError(f"`claims`: a pretrained model is tried on images of {FEWEST_PX} px or more; {sizes}")
    with Store(out) as top:
        top.begin(Manifest("claims", {"scale": asdict(question.scale)}, **environment()), fresh)
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


def _workload(store: Store, question: Question, workload: ImageWorkload, image_set: ImageSet, jobs: int) -> tuple:
    "The rows of claims.csv of one workload, its runs, and whether it was stopped before all was trained."
    precision, workload = workload.precision, workload.resolve(image_set)
    manifest = Manifest("claims", question.to_dict(workload, image_set), image_set.describe(), **environment())
    store.begin(manifest)
    study = Study(store, question, workload, image_set, Place(jobs=jobs))
    seeds, few = question.seeds_of(image_set), question.few_seeds_of(image_set)
    bench = Bench(study, seeds, few, question.scale, question.labels(), precision)
    evidence, stopped = {}, False
    try:
        for group in question.groups_on(image_set):
            evidence[group] = bench.measure(GROUPS[group])
    except KeyboardInterrupt:
        stopped = True
    ids = sorted(set().union(*(own.run_ids for own in evidence.values())))
    complete = store.complete()
    runs = run_table(complete[run_id] for run_id in ids)
    runs.insert(0, "workload", image_set.name)
    rows = [
        _row(claim, image_set.name, found, _minutes(evidence[claim.group], complete), question)
        for claim in question.claims
        if claim.group in evidence and (found := _compared(evidence[claim.group], claim)) is not None
    ]
    return rows, runs, stopped


def _compared(evidence: Evidence, claim: Claim) -> Measured | None:
    return compare(evidence.readings, claim.better, claim.than, claim.margin)


def _minutes(evidence: Evidence, complete: dict[str, RunRow]) -> float:
    "Of one core, with the shared runs and the tuning: what the claim's own command takes."
    return sum(complete[run_id].seconds for run_id in evidence.run_ids) / 60


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
    minutes, rows = top.manifest.other["descent_seconds"] / 60, []
    for claim, shares in tables.items():
        for surface, own in shares.groupby("surface", sort=False):
            by = own.set_index("schedule")
            a, b = by.loc[claim.better], by.loc[claim.than]
            p_value = _normal_p(a["diff"], a.diff_low, a.diff_high)
            lrs = (format_number(float(a.lr_max)), format_number(float(b.lr_max)))
            found = Measured(int(a.n), a.share, b.share, a["diff"], a.diff_low, a.diff_high, p_value, lrs=lrs)
            rows.append(_row(claim, f"{surface} minimum", found, minutes, question))
    return rows


def _normal_p(diff: float, low: float, high: float) -> float:
    "The two-sided p-value that belongs to a normal 95 % interval."
    from scipy.stats import norm

    return float(2 * norm.sf(abs(diff) / ((high - low) / (2 * norm.ppf(0.975))))) if high > low else float("nan")


def _row(claim: Claim, workload: str, found: Measured, minutes: float, question: Question) -> dict:
    "One row of claims.csv; `holm` follows when all rows are there."
    sides = zip((claim.better, claim.than), (found.better, found.than), found.lrs, found.notes, strict=True)
    return {
        **{"claim": claim.name, "workload": workload, "n": found.n, "published": claim.published},
        **{"ours": " against ".join(_side(*side, lead=claim.group == "little") for side in sides)},
        **{"diff": found.diff, "diff_low": found.low, "diff_high": found.high},
        **{"verdict": verdict(found, claim.margin), "minutes": round(minutes, 2), "command": command(claim, question)},
        **{"better": claim.better, "than": claim.than, "margin": claim.margin, "p_value": found.p_value},
        **{"holm": False, "lost": f"{found.missing} runs without an accuracy" if found.missing else ""},
        "source": claim.source,
    }


def _side(reading: str, mean: float, lr: str, note: str, lead: bool) -> str:
    "One side of a claim as measured."
    value = f"{100 * mean:+.1f} points" if lead else f"{100 * mean:.1f} %"
    return f"{reading} {value} (LR {lr}{', ' * bool(note)}{note})"


def command(claim: Claim, question: Question) -> str:
    "What measures this claim alone, with the question's own options where they differ from the defaults."
    data = ",".join(str(workload.data) for workload in question.workloads)
    options = ["--claims", claim.name]
    options += ["--data", data] if data != DATA else []
    options += ["--seeds", ",".join(map(str, question.seeds))] if question.seeds else []
    precision, threads = question.workloads[0].precision, question.threads
    options += ["--precision", precision] if precision != "auto" else []
    options += ["--threads", str(threads)] if threads != 1 else []
    options += ["--quick"] if question.scale == QUICK else []
    return shlex.join(["lrlab", "claims", *options])


def _tell(top: Store, question: Question, data: list[ImageSet], rows: list[dict], tables: list[pd.DataFrame]) -> Answer:
    "Tables, figure, page and text."
    claims = pd.DataFrame(rows, columns=COLUMNS)
    claims["holm"] = survives_holm(claims.p_value.tolist(), claims.verdict.tolist())
    order = {claim.name: i for i, claim in enumerate(CLAIMS)}
    claims = claims.sort_values("claim", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    runs = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["workload", *RUN_COLUMNS])
    for name, table in {"claims": claims, "runs": runs}.items():
        write_atomically(top.out / f"{name}.csv", table.to_csv(index=False))
    words = question.scale.words()
    cards = {image_set.name: image_set.describe() for image_set in data}
    title = claims_page.finding(claims)
    style.save(claims_figure.draw(claims, cards, words, title), top.out / "claims.png")
    page = claims_page.page(claims, runs, cards, words, title, top.manifest.to_dict())
    write_atomically(top.out / "README.md", page)
    return Answer(claims, runs, claims_page.text(claims, title, top.out))


def folder_name(name: str) -> str:
    "A workload's folder: the dataset's name; of a folder of images also a hash, for two may be called the same."
    if re.fullmatch(r"[a-z0-9_:]+", name):
        return name.replace(":", "-")
    base = re.sub(r"[^A-Za-z0-9.]+", "_", Path(name).name).strip("_.") or "images"
    return f"{base[:60]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
