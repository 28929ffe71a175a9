"""Steps 2 and 3 of `lrlab best --learner`: the LR by range tests, then by trials around their suggestion."""

from functools import partial
from itertools import product
from typing import Any

from lrlab.callbacks import LRRange, OneCycle
from lrlab.recipes.kitchen.errors import UserCodeError
from lrlab.recipes.kitchen.grid.range_tests import STEPS, THREADS, SeedTest, one_test, seconds_per_step
from lrlab.recipes.kitchen.grid.study import LR_FIND
from lrlab.recipes.kitchen.learner.users_code import users_code
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.recording import Recording
from lrlab.recipes.kitchen.runs.train import fit_run
from lrlab.recipes.kitchen.stats.decide import decide
from lrlab.recipes.kitchen.stats.lr_suggestion import LRSuggestion
from lrlab.recipes.kitchen.stats.summary import judged
from lrlab.recipes.kitchen.store.tables import RunResult, RunRow, run_table
from lrlab.recipes.kitchen.text import plural
from lrlab.recipes.kitchen.workloads import using_threads
from lrlab.recipes.studies.best.learner import plan
from lrlab.recipes.studies.best.learner.work import Work

RANGE, TRIALS = "LR range tests", "Trials around that LR"  # the steps, by name


def suggest_lr(work: Work) -> LearningRate:
    "Step 2: what the LR range tests suggest. Without the time for one, or without a suggestion, the Learner's own LR."
    if done := work.journal.find(RANGE):
        return LearningRate.parse(done.facts["lr"])
    with work.journal.step(RANGE) as step:
        if not (work.study.store.out / LR_FIND).exists():
            make_range_tests(work)
        found = LRSuggestion.of_config(work.study.store.manifest.to_dict())
        if found.lr:
            step.evidence, lr = f"they suggest {found}", work.study.workload.spread(found.lr)
        else:
            step.evidence = "they suggest no LR" if found.by_seed else "no time for one"
            lr = LearningRate.parse(work.deciding.learner(work.seed).lr, "lr")
        step.decision = f"LR {lr}" if found.lr else f"LR {lr}, the Learner's own"
        step.facts = {"lr": str(lr)}
    return lr


def make_range_tests(work: Work) -> None:
    """The LR range tests of as many seeds as fit, one after another, so that the clock can end them.

    They take one thread, as in every recipe, in which a step may be slower than it was so far.
    """
    clock, began, step = work.journal.budget.clock, work.journal.budget.clock(), work.speed.step
    least_left = max(work.speed.least, (1 - plan.MOST_RANGE_SHARE) * work.left())
    tests: dict[int, LRRange] = {}
    if plan.seeds_to_test(work.left(), work.speed, step, STEPS):
        with using_threads(THREADS):
            step = max(step, seconds_per_step(work.deciding, work.seed, work.study.image_set))
    for seed in plan.seeds_to_test(work.left(), work.speed, step, STEPS):
        if tests and work.left() - (clock() - began) / len(tests) < least_left:
            break
        work.journal.now(f"LR range test, seed {seed}")
        tests[seed] = one_test(SeedTest(str(seed), seed), work.study.image_set, work.deciding, STEPS)
    if tests:
        work.study.keep_tests(tests, clock() - began)


def try_lrs(work: Work, suggested: LearningRate) -> tuple[LearningRate, float]:
    "Step 3: the LR that trials show to be the best, and the seconds of a trial; 0 if there is no time for trials."
    if done := work.journal.find(TRIALS):
        return LearningRate.parse(done.facts["lr"]), done.facts["seconds"]
    with work.journal.step(TRIALS) as step:
        lr, seconds = suggested, 0.0
        step.evidence, step.decision = "no time for trials", f"LR {lr}, as it is"
        if trials := planned_trials(work):
            rows = train_trials(work, suggested, trials)
            lr, step.evidence = judge_trials(work, rows)
            n_seeds = len({row.seed for row in rows})
            step.evidence = f"{plural(trials.epochs, 'epoch')}, {plural(n_seeds, 'seed')}: {step.evidence}"
            step.decision = f"LR {lr}"
            seconds = max(trials.epochs * work.speed.epoch, *(row.seconds for row in rows))  # as planned, or slower
        step.facts = {"lr": str(lr), "seconds": seconds}
    return lr, seconds


def planned_trials(work: Work) -> plan.Trials | None:
    "The trials that fit. A command that resumes makes those that were planned at first."
    other = work.study.store.manifest.other
    if "trials" not in other:
        trials = plan.plan_trials(work.left(), work.speed)
        work.study.store.update(other=other | {"trials": trials and trials._asdict()})
    stored = work.study.store.manifest.other["trials"]
    return plan.Trials(**stored) if stored else None


def train_trials(work: Work, suggested: LearningRate, trials: plan.Trials) -> list[RunRow]:
    "All LRs get a seed, then the next one, while their share of the time lasts."
    lrs = [suggested.scaled(factor) for factor in plan.FACTORS]
    least_left, before = (1 - plan.TRIAL_SHARE) * work.left(), work.left()
    rows: list[RunRow] = []
    for seed, lr in product(trials.seeds, lrs):
        left = work.left()
        each = (before - left) / max(len(rows), 1)  # seconds of a run
        if rows and (left <= each or (lr == lrs[0] and left - len(lrs) * each < least_left)):
            break
        run = Run(f"LR {lr}", OneCycle(), lr, seed, trials.epochs)
        work.journal.now(f"{run.arm}, seed {seed}")
        rows.append(work.study.train_one(run, partial(train_trial, work=work)))
    return rows


def train_trial(run: Run, data: Any, work: Work) -> RunResult:
    "The run, whose model is kept if it is the best so far."
    recording = Recording()
    with users_code("in a trial"):
        learn = fit_run(run, data, work.deciding, recording)
    result = recording.result(run)
    if result.row.status == "ok":
        value = float(judged(run_table([result.row]), work.measure.judge).iloc[0])
        work.offer(learn, value, f"the trial of {plural(run.epochs, 'epoch')} with seed {run.seed}, {run.arm}")
    return result


def judge_trials(work: Work, rows: list[RunRow]) -> tuple[LearningRate, str]:
    """The best LR and the evidence. If all trials diverged, a fraction of the lowest LR.

    Raises UserCodeError if trials failed and none finished.
    """
    runs, measure = run_table(rows), work.measure
    if not (runs.status == "ok").any():
        failed = runs[runs.status == "failed"]
        if len(failed):
            raise UserCodeError(f"no trial finished: {failed.error.iloc[0].removeprefix('UserCodeError: ')}")
        return LearningRate.parse(rows[0].lr_max).scaled(plan.SMALLER), "every one diverged"
    table = decide(runs.assign(**{measure.name: judged(runs, measure.judge)}), measure.judge)
    shown = "; ".join(f"{row.schedule} {measure.with_unit(row['mean'])} ({row.verdict})" for _, row in table.iterrows())
    lr_of = dict(zip(runs.schedule, runs.lr_max, strict=True))
    return LearningRate.parse(lr_of[table.iloc[0].schedule]), f"{measure.label}: {shown}"
