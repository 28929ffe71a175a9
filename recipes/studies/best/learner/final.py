"""Steps 4 and 5 of `lrlab best --learner`: the final training, the test, and model.pkl."""

import math

import pandas as pd

from lrlab.recipes.kitchen.errors import NothingFinished, UserCodeError
from lrlab.recipes.kitchen.learner.users_code import users_code
from lrlab.recipes.kitchen.learner_workload import count_items, export_learner
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.runs.train import measures_on
from lrlab.recipes.kitchen.text import plural, show_share
from lrlab.recipes.studies.best.learner import plan
from lrlab.recipes.studies.best.learner.parts import loader_for_test
from lrlab.recipes.studies.best.learner.work import Work
from lrlab.recipes.studies.best.timed import CycleByTheClock, fit_until

FINAL, TEST = "Final training", "Test and export"  # the steps, by name


def train_final(work: Work, lr: LearningRate, before: float) -> None:
    """Step 4: trainings, each longer than the one of `before` seconds before it; the best model of all stays.

    One that diverged is done again with a smaller LR. Raises UserCodeError or NothingFinished if there is no model.
    """
    with work.journal.step(FINAL) as step:
        tried, failures, misses = [], 0, 0
        while failures < plan.MOST_FAILURES and misses < plan.MOST_MISSES:
            left = work.left() - work.speed.make
            if work.best.is_there and left < max(work.speed.epoch, before):
                break
            seconds = max(plan.next_seconds(left, before), work.speed.epoch)
            try:
                is_better, words = train_once(work, lr, seconds)
            except UserCodeError as error:
                if not work.best.is_there:
                    raise
                tried.append(str(error))
                break
            tried.append(words)
            if is_better is None:
                lr, failures = lr.scaled(plan.SMALLER), failures + 1
            else:
                misses, before = (0 if is_better else misses + 1), seconds
        if not work.best.is_there:
            raise NothingFinished(f"no training finished: {'; '.join(tried)}")
        step.evidence = "; ".join(tried) or "no time for another training"
        step.decision = f"{work.best.how}: the best on the items that decide"
        step.facts = {"how": work.best.how, "value": work.best.value}


def train_once(work: Work, lr: LearningRate, seconds: float) -> tuple[bool | None, str]:
    "A new Learner for `seconds`. Whether it is the best so far, None if it failed; and what came of it."
    journal, expected = work.journal, seconds / work.speed.epoch
    with users_code("in the final training"):
        learn = work.deciding.learner(work.seed)
        tell = lambda share: journal.now(f"{FINAL}, about {plural(round(expected), 'epoch')}, {show_share(share, 0)}")  # noqa: E731
        cycle = CycleByTheClock(seconds, journal.budget.clock, tell)
        epochs, failed = fit_until(learn, lr.to_fastai(), math.ceil(plan.HEADROOM * expected), cycle)
        how = f"{epochs:.1f} epochs of 1cycle, LR {lr}"
        if failed:
            return None, f"{how}: {failed}"
        value = measures_on(learn, learn.dls.valid)[work.measure.name]
        if not math.isfinite(value):
            return None, f"{how}: the {work.measure.label} is not finite"
        return work.offer(learn, value, how), f"{how}: {work.measure.label} {work.measure.with_unit(value)}"


def test_and_export(work: Work) -> None:
    "Step 5: the best model on the test items, once. Writes test.csv and model.pkl."
    store = work.study.store
    with work.journal.step(TEST) as step:
        learn = work.study.workload.learner(work.seed)
        work.best.put_into(learn)
        with users_code("in the test"):
            loader = loader_for_test(learn, work.parts, work.seed)
            measures = measures_on(learn, loader)
        store.write_tables(test=pd.DataFrame({"measure": measures.keys(), "value": measures.values()}))
        why_not = export_learner(learn, store.out / "model.pkl")
        if not why_not:
            work.best.file.unlink()
        value = measures[work.measure.name]
        step.evidence = f"{work.measure.label} {work.measure.with_unit(value)}"
        step.decision = f"model.pkl cannot be written: {why_not}" if why_not else "model.pkl is written"
        is_share = work.measure.name == "accuracy" and bool(work.study.image_set.classes)
        step.facts = {"n": count_items(loader), "is_share_of_items": is_share, "why_not": why_not}
