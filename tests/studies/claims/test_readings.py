"""The readings of every group of runs of the claims, on runs that are made up."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lrlab.callbacks import Constant, ScheduleFree, TailAverage
from lrlab.recipes.kitchen.grid.study import Study
from lrlab.recipes.kitchen.grid.tuning import lr_at
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.recording import Recording
from lrlab.recipes.kitchen.runs.train import fit_run
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.store.tables import EPOCH_COLUMNS, RunResult, RunRow
from lrlab.recipes.kitchen.workloads import ImageWorkload
from lrlab.recipes.studies.claims import question as questions
from lrlab.recipes.studies.claims import since_2023
from lrlab.recipes.studies.claims import study as claims
from lrlab.recipes.studies.claims.bench import FULL, TUNED, Bench
from lrlab.recipes.studies.claims.catalogue import BY_NAME, parse_claims
from lrlab.recipes.studies.claims.experiments import (
    BAND_GRID,
    GROUPS,
    fifth,
    lead,
    share_within_a_point,
    steps_per_epoch,
)
from lrlab.recipes.studies.claims.settings import early_epochs
from lrlab.recipes.studies.claims.verdict import (
    HOLDS,
    Measured,
    Rule,
    compare,
)
from tests.studies.claims.test_verdict import GUESS, readings


class Paper(Bench):
    "A bench whose runs are made up: `outcome(run)` gives a run's accuracies by epoch, or None if it diverged."

    def train(self, runs, what="runs", **options):
        self.run_ids |= {run.run_id for run in runs}
        for run in runs:
            self.study.store.write_run(made_up(run, self.outcome(run)))

    def tune(self, budget, schedules, **options):
        return dict.fromkeys(schedules, LearningRate(1e-2))

    def lr_of(self, label):
        return LearningRate(1e-2)

    suggested_lr = 3e-3


def made_up(run, accuracies) -> RunResult:
    "A run with these accuracies after its epochs; a dict also has `models`."
    models = accuracies if isinstance(accuracies, dict) else {}
    curve = [models.get("last", 0.5)] * run.epochs if models else accuracies or []
    curve = curve * run.epochs if len(curve) == 1 else curve
    row = RunRow(
        **vars(run.key),
        status="ok" if curve else "diverged",
        epochs=len(curve),
        accuracy=curve[-1] if curve else None,
        valid_loss=0.5 if curve else None,
        seconds=6.0,
        budget=run.epochs,
    )
    epochs = pd.DataFrame({"epoch": range(1, len(curve) + 1), "accuracy": curve}).reindex(columns=EPOCH_COLUMNS)
    epochs = epochs.assign(train_loss=0.5, valid_loss=0.5)
    steps = pd.DataFrame({"step": [0], "epoch": [0], "group": [0], "lr": [1e-2], "mom": [0.9], "loss": [0.5]})
    table = pd.DataFrame({"model": list(models), "valid_loss": 0.5, "accuracy": list(models.values())})
    return RunResult(row, epochs, steps, extra={"models.csv": table} if models else {})


@pytest.fixture
def paper(tmp_path):
    "A Paper bench of two seeds on digits; set its `outcome`."
    workload = ImageWorkload("digits", size=8, precision="fp32")
    with Store(tmp_path) as store:
        question = questions.Question([workload], [], [0, 1], FULL)
        study = Study(store, question, workload, workload.load())
        yield Paper(study, FULL, TUNED)


def measured(bench, group: str, name: str) -> Measured:
    claim = BY_NAME[name]
    evidence = bench.measure(GROUPS[group], {claim.better, claim.than}, [0, 1])
    assert set(evidence.readings.reading) == {claim.better, claim.than}, "nothing is trained for other claims"
    return compare(evidence.readings, claim.better, claim.than, claim.as_good)


def by_label(**values):
    return lambda run: values[run.arm]


def test_the_lesson_compares_every_accident_with_the_right_choice(paper):
    ends = {"too high": None, "too low": [0.1], "too short": [0.4], "too long": [0.95], "right": [0.9]}
    paper.outcome = lambda run: ends[run.arm]
    diverged = measured(paper, "lesson", "high-lr")
    assert diverged.diverged == 2 and diverged.gain.mean == pytest.approx(0.9 - paper.image_set.majority(), abs=1e-3)
    assert measured(paper, "lesson", "low-lr").gain.mean == pytest.approx(0.8)
    assert measured(paper, "lesson", "too-short").gain.mean == pytest.approx(0.5)
    long = measured(paper, "lesson", "too-long")
    assert long.gain.mean == pytest.approx(-0.05) and long.lrs == ("3e-3", "3e-3") and long.notes[0] != ""


def test_peaks_are_held_against_the_troughs_around_them(paper):
    steady = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    paper.outcome = lambda run: steady
    assert measured(paper, "clr", "clr-trough").gain.mean == pytest.approx(0), "steady progress is no effect of the LR"
    paper.outcome = lambda run: [value - 0.05 * (epoch % 2) for epoch, value in enumerate(steady, 1)]
    assert measured(paper, "clr", "clr-trough").gain.mean == pytest.approx(0.05)


def test_restarts_are_read_at_the_ends_of_their_first_cycles(paper):
    curves = dict.fromkeys(TUNED, [0.5])
    curves |= {"sgdr": [0.5, 0.1, 0.7, 0.1, 0.1, 0.1, 0.8], "cosine": [0.4, 0.9, 0.4, 0.9, 0.9, 0.9, 0.85]}
    paper.outcome = by_label(**curves)
    assert measured(paper, "tuned", "sgdr-early").gain.mean == pytest.approx(((0.5 - 0.4) + (0.7 - 0.4)) / 2)
    assert measured(paper, "tuned", "sgdr-end").gain.mean == pytest.approx(0.05)
    assert measured(paper, "tuned", "cosine-constant").gain.mean == pytest.approx(0.35)


def test_models_made_of_a_run_are_compared(paper):
    made = {"snapshot 1": 0.6, "snapshot 3": 0.7, "ensemble": 0.75}
    paper.outcome = lambda run: made if run.arm == "sgdr" else {"final": 0.78}
    assert measured(paper, "snapshots", "snapshot-last").gain.mean == pytest.approx(0.05)
    assert measured(paper, "snapshots", "snapshot-single").gain.mean == pytest.approx(-0.03)
    paper.outcome = lambda run: {"last": 0.7, "average": 0.74}
    assert measured(paper, "averaging", "averaging").gain.mean == pytest.approx(0.04)


def test_one_cycle_is_compared_at_short_budgets_and_with_little_data(paper):
    ends = {"short_one_cycle": 0.80, "short_step": 0.70, "little_one_cycle": 0.65, "little_step": 0.40, "step": 0.79}
    paper.outcome = lambda run: [ends[run.arm]]
    assert measured(paper, "short", "one-cycle-sooner").gain.mean == pytest.approx(0.01)
    assert measured(paper, "short", "one-cycle-short").gain.mean == pytest.approx(0.10)
    assert measured(paper, "little", "one-cycle-little-data").gain.mean == pytest.approx(0.25 - 0.10)


def test_transfer_takes_the_best_lr_of_its_grid_and_reads_the_accident_after_one_epoch(paper):
    best = lr_at(LearningRate(1e-3), -1)

    def outcome(run):
        lr = run.lr_max.peak
        end = {"one_lr": 0.8 if lr == best.peak else 0.7, "slice": 0.75, "gradual": 0.82, "head_only": 0.6}[run.arm]
        return [0.2 if run.arm == "one_lr" and lr == 1e-3 else 0.5, end, end]

    paper.outcome = outcome
    found = measured(paper, "transfer", "discriminative")
    assert found.gain.mean == pytest.approx(-0.05) and found.lrs[1] == str(best)
    assert measured(paper, "transfer", "gradual").gain.mean == pytest.approx(0.02)
    assert measured(paper, "transfer", "naive-unfreeze").gain.mean == pytest.approx(0.3)


def test_methods_since_2023_are_compared_with_cosine_and_with_each_other(paper):
    ends = {"cooldown_sqrt": 0.80, "cooldown_linear": 0.78, "cosine": 0.81, "tail_average": 0.79, "schedule_free": 0.82}
    ends["prodigy"] = 0.80
    paper.outcome = lambda run: [ends[run.arm]]
    assert measured(paper, "cooldown", "cooldown-cosine").gain.mean == pytest.approx(-0.01)
    assert measured(paper, "cooldown", "sqrt-cooldown").gain.mean == pytest.approx(0.02)
    assert measured(paper, "tail", "tail-average").gain.mean == pytest.approx(-0.01)
    assert measured(paper, "schedule_free", "schedule-free").gain.mean == pytest.approx(0.01)
    found = measured(paper, "prodigy", "prodigy")
    assert found.gain.mean == pytest.approx(0.01) and found.lrs[1] == "1", "its LR is a factor"


@pytest.mark.parametrize("make_callback", [since_2023.AVERAGE, ScheduleFree])
def test_averaged_and_schedule_free_learners_are_evaluated_with_their_averages(make_callback):
    free = make_callback is ScheduleFree
    settings = {"opt": "lrlab.callbacks:schedule_free_adamw", "wd": since_2023.WEIGHT_DECAY} if free else {}
    settings |= {"size": 8, "bs": 16, "precision": "fp32", "make_callback": make_callback}
    workload = since_2023.WithCallback("digits:100", **settings)
    run = Run("arm", (since_2023.FREE["schedule_free"] if free else Constant()), LearningRate(1e-2), 0, 2)
    learn = fit_run(run, workload.load(), workload, recording := Recording())
    shown = recording.result(run).row.accuracy
    with learn.no_bar(), learn.no_logging():
        assert learn.validate()[1] == pytest.approx(shown)
    if free:
        assert learn.opt.hypers[0]["train_mode"] is False and learn.opt.hypers[0]["wd"] == since_2023.WEIGHT_DECAY
    else:
        assert next(cb for cb in learn.cbs if isinstance(cb, TailAverage)).n_averaged > 0


@pytest.mark.parametrize(("name", "package"), [("schedule-free", "schedulefree"), ("prodigy", "prodigyopt")])
def test_without_its_package_a_claim_is_left_out_in_a_sentence(name, package, monkeypatch, capsys):
    monkeypatch.setattr(questions, "is_installed", lambda module: False)
    question = questions.Question([], parse_claims(f"{name},sgdr-end"), [0], FULL)
    digits = ImageWorkload("digits", size=8).load()
    questions.check_groups(question, [digits])
    assert question.groups_on(digits) == ["tuned"] and "it is excluded" in capsys.readouterr().err
    with pytest.raises(questions.UserError, match=f"{name} needs the package {package}"):
        questions.check_groups(replace(question, claims=parse_claims(name)), [digits])


def test_lr_finds_suggestion_is_held_against_the_grids_best(paper):
    paper.outcome = lambda run: [0.9 if run.lr_max.peak == 1e-2 else 0.88]
    found = measured(paper, "lr_find", "lr-find-one-cycle")
    assert found.gain.mean == pytest.approx(-0.02) and found.lrs == ("3e-3", "1e-2")
    assert measured(paper, "lr_find", "lr-find-constant").lrs == ("3e-3", "1e-2")


def test_only_undecided_claims_get_more_seeds_and_the_first_decision_stands(paper, capsys):
    names = "cosine-constant,clr-constant,sgdr-end"
    question = questions.Question(
        [paper.study.workload], parse_claims(names), list(range(20)), FULL, until_decided=True
    )
    noise = np.random.default_rng(0).normal(0, 0.01, 20)
    sure, late = {"cosine": 0.90, "sgdr": 0.88, "constant": 0.80}, 0.005
    cosine = np.where(np.arange(20) < 5, 1e-3 * (np.arange(20) % 3), -0.2)  # later seeds would overturn the decision
    paper.outcome = lambda run: [
        0.80 + late + noise[run.seed] * (1 if run.seed < 5 else 0.1)
        if run.arm == "triangular"
        else sure[run.arm] + (cosine[run.seed] if run.arm == "cosine" else 0)
    ]
    judged = {}
    claims.look_until_decided(paper, question, judged)
    assert question.rule == Rule(looks=(5, 10, 20))
    assert (judged["cosine-constant"].found.n, judged["sgdr-end"].found.n) == (5, 5)
    assert judged["cosine-constant"].found.gain.verdict == HOLDS
    assert judged["clr-constant"].found.n > 5
    seeds = {}
    for row in paper.study.store.complete().values():
        seeds.setdefault(row.schedule, set()).add(row.seed)
    assert seeds["cosine"] == seeds["sgdr"] == set(range(5)) and seeds["triangular"] == seeds["constant"]
    assert len(seeds["triangular"]) == judged["clr-constant"].found.n
    assert "2 of 3 claims decided, 1 open: clr-constant" in capsys.readouterr().out


def test_the_safe_band_is_the_share_of_lrs_within_a_point_of_the_best(paper):
    lrs = [lr_at(LearningRate(3e-3), position) for position in BAND_GRID]
    place = {str(lr): i for i, lr in enumerate(lrs)}
    ends = {
        "linear": [0.5, 0.6, 0.895, 0.9, 0.89, 0.7, 0.6, 0.5],
        "constant": [0.5, 0.6, 0.9, 0.88, 0.7, 0.6, 0.5, 0.4],
    }

    def outcome(run):
        at = place[str(run.lr_max)]
        return [ends[run.arm][at]] if at < 8 else None

    paper.outcome = outcome
    found = measured(paper, "band", "linear-band")
    assert (found.better, found.than) == (pytest.approx(3 / 9), pytest.approx(1 / 9)), "the highest LR diverged"
    assert found.lrs == (str(lrs[3]), str(lrs[2]))
    table = pd.DataFrame({"reading": "linear", "seed": [0, 0, 1, 1], "lr_max": ["1", "2"] * 2})
    table = table.assign(accuracy=[0.9, None, 0.9, 0.8], status=["ok", "failed", "ok", "ok"])
    assert share_within_a_point(table).accuracy.isna().tolist() == [True, False]
    nothing = share_within_a_point(table.assign(accuracy=GUESS, status="diverged"))
    assert list(nothing.accuracy) == [0, 0] and list(nothing.status) == ["diverged", "diverged"]


def test_a_lead_is_flagged_where_one_of_the_two_diverged_and_lost_where_one_failed():
    gap = lead("gap", readings(a=[0.9, None, 0.8]), readings(b=[0.7, 0.7, float("nan")]))
    assert gap.accuracy.tolist()[:2] == pytest.approx([0.2, GUESS - 0.7])
    assert gap.accuracy.isna().tolist() == [False, False, True] and gap.loss.isna().all()
    assert gap.status.tolist() == ["ok", "diverged", "failed"]


def test_little_data_is_a_fifth_of_every_class_and_the_same_validation_images():
    workload = ImageWorkload("digits", size=8, bs=64)
    image_set = workload.load()
    few = fifth(image_set)
    counts, all_counts = few.class_counts("train"), image_set.class_counts("train")
    assert all(abs(counts[name] - 0.2 * all_counts[name]) < 1 for name in counts)
    assert set(few.splits["train"]) < set(image_set.splits["train"])
    assert np.array_equal(few.splits["valid"], image_set.splits["valid"])
    assert steps_per_epoch(workload, few) == len(few.splits["train"]) // 64


def test_restarts_never_end_within_an_epoch():
    assert [early_epochs(n) for n in (7, 3, 15)] == [[1, 3], [1], [1, 3, 7]]
