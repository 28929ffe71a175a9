"""From the question of `lrlab claims` to its page: train each workload's groups of runs, judge every claim, tell it."""

import hashlib
import re
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd

from lrlab.recipes.kitchen.data.image_set import ImageSet
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.grid.study import Study
from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.store.tables import RUN_COLUMNS, RunRow, run_table
from lrlab.recipes.kitchen.text import plural
from lrlab.recipes.kitchen.workloads import ImageWorkload
from lrlab.recipes.studies.claims.bench import Bench
from lrlab.recipes.studies.claims.descents import judge_descents
from lrlab.recipes.studies.claims.experiments import GROUPS
from lrlab.recipes.studies.claims.question import Question, check_groups, load
from lrlab.recipes.studies.claims.report import Answer, Contents, made_by, write
from lrlab.recipes.studies.claims.row import COLUMNS, Judged, row
from lrlab.recipes.studies.claims.verdict import UNDECIDED, compare


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
        rows, tables, stopped = judge_descents(top, question), [], False
        for workload, image_set in zip(question.workloads, data, strict=True):
            with Store(top.out / folder_name(image_set.name)) as store:
                found, runs, stopped = _workload(store, question, workload, image_set, jobs)
                if stopped and not rows + found:
                    raise KeyboardInterrupt  # this store says how many runs are kept
            rows += found
            tables.append(runs)
            if stopped:
                print("Stopped: the page has the claims that are finished. The same command continues.")
                break
        runs = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["workload", *RUN_COLUMNS])
        cards = {image_set.name: image_set.describe() for image_set in data}
        found = Contents(pd.DataFrame(rows, columns=COLUMNS), runs, cards, made_by(top.manifest))
        return replace(write(top, found), stopped=stopped)


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
    rows = [row(own, image_set.name, _seconds(own, complete), question) for own in judged.values()]
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


def folder_name(name: str) -> str:
    "A workload's folder: the dataset's name; of a folder of images also a hash, for two may be called the same."
    if re.fullmatch(r"[a-z0-9_:]+", name):
        return name.replace(":", "-")
    base = re.sub(r"[^A-Za-z0-9.]+", "_", Path(name).name).strip("_.") or "images"
    return f"{base[:60]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
