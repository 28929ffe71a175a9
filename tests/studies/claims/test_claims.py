"""The claims: their table, the rule, the readings of every group of runs, the page, and the recipe end to end."""

import re
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lrlab.callbacks import Constant, ScheduleFree, TailAverage
from lrlab.recipes import cli, report
from lrlab.recipes.kitchen.grid.study import Study
from lrlab.recipes.kitchen.grid.tuning import Tuning, lr_at
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.recording import Recording
from lrlab.recipes.kitchen.runs.train import fit_run
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.store.tables import EPOCH_COLUMNS, RunResult, RunRow
from lrlab.recipes.kitchen.workloads import ImageWorkload
from lrlab.recipes.studies.claims import figure as claims_figure
from lrlab.recipes.studies.claims import page as claims_page
from lrlab.recipes.studies.claims import question as questions
from lrlab.recipes.studies.claims import since_2023
from lrlab.recipes.studies.claims import study as claims
from lrlab.recipes.studies.claims.bench import FULL, TUNED, Bench, Scale
from lrlab.recipes.studies.claims.catalogue import BY_NAME, CLAIMS, parse_claims
from lrlab.recipes.studies.claims.experiments import (
    BAND_GRID,
    GROUPS,
    fifth,
    lead,
    share_within_a_point,
    steps_per_epoch,
)
from lrlab.recipes.studies.claims.row import COLUMNS
from lrlab.recipes.studies.claims.settings import early_epochs, words
from lrlab.recipes.studies.claims.verdict import (
    FAILS,
    HOLDS,
    OPPOSITE,
    READING_COLUMNS,
    UNDECIDED,
    Measured,
    Rule,
    addition,
    bounds,
    compare,
    judge,
    seeds_needed,
    survives_holm,
)
from lrlab.recipes.studies.gradient_descent import descent
from tests.conftest import write_images

GUESS = 0.1  # the accuracy of a diverged run


def readings(losses=None, **accuracies) -> pd.DataFrame:
    "`a=[0.8, None, ...]` seed by seed; None is a diverged run, nan a failed one. `losses` likewise."
    rows = []
    for name, values in accuracies.items():
        for seed, value in enumerate(values):
            status = "diverged" if value is None else "failed" if np.isnan(value) else "ok"
            loss = losses[name][seed] if losses else np.nan
            rows.append((name, seed, GUESS if value is None else value, loss, status, "1e-3", ""))
    return pd.DataFrame(rows, columns=READING_COLUMNS).astype({"accuracy": float})


BASE = [0.80, 0.81, 0.79, 0.80, 0.82]


def above(by: float, spread: float = 0.002) -> list[float]:
    "BASE plus `by` on average."
    return [value + by + spread * sign for value, sign in zip(BASE, (-1, 1, 0, 1, -1), strict=True)]


@pytest.mark.parametrize(
    ("better", "as_good", "expected", "adds"),
    [
        (above(0.02), False, HOLDS, ""),
        (above(0.005), False, HOLDS, "by less than 1 point"),
        (above(0.0), False, FAILS, "gains less than 1 point"),
        (above(-0.02), False, FAILS, OPPOSITE),
        (above(0.01, spread=0.01), False, UNDECIDED, ""),
        (above(0.02, spread=0.05), False, UNDECIDED, ""),  # the same mean, too wide
        (above(0.0), True, HOLDS, ""),
        (above(-0.005), True, HOLDS, "worse by less than 1 point"),
        (above(-0.01), True, FAILS, "worse"),  # perhaps by less than the tolerance
        (above(-0.03), True, FAILS, "worse by more than 1 point"),
        (above(-0.01, spread=0.01), True, UNDECIDED, ""),
        (BASE, False, FAILS, "gains less than 1 point"),
        (BASE, True, HOLDS, ""),
        ([None, *BASE[1:]], True, UNDECIDED, ""),  # one run that diverged is no proof
        ([None, 0.1, None, 0.11, None], True, FAILS, "worse by more than 1 point"),
        ([0.9, 0.91], False, UNDECIDED, ""),  # two seeds have no interval
    ],
)
def test_the_rule(better, as_good, expected, adds):
    found = compare(readings(a=better, b=BASE[: len(better)]), "a", "b", as_good)
    assert (found.gain.verdict, addition(found.gain, as_good, found.has_room, Rule())) == (expected, adds)


def test_another_tolerance_is_another_rule():
    table, wide = readings(a=above(-0.02), b=BASE), Rule(tolerance=0.03)
    assert compare(table, "a", "b", True, wide).gain.verdict == HOLDS
    assert compare(readings(a=above(0.02, 0.02), b=BASE), "a", "b", False, wide).gain.verdict == UNDECIDED
    assert wide.tolerated == "3 points"


def test_where_almost_nothing_is_left_to_gain_a_small_gain_proves_nothing():
    high = [value + 0.185 for value in BASE]  # 98.9 %
    small = [value + 0.185 for value in above(0.0)]
    found = compare(readings(a=small, b=high), "a", "b")
    assert not found.has_room and found.gain.high < 0.01 and found.gain.verdict == UNDECIDED
    assert addition(found.gain, False, found.has_room, Rule()) == "no room to gain"
    worse = [value + 0.185 for value in above(-0.02)]
    assert compare(readings(a=worse, b=high), "a", "b").gain.verdict == FAILS
    assert compare(readings(a=small, b=high), "a", "b", True).gain.verdict == HOLDS


@pytest.mark.parametrize(
    ("as_good", "gain", "wrong"), [(False, 0.0, HOLDS), (False, 0.01, FAILS), (True, -0.01, HOLDS), (True, 0.0, FAILS)]
)
def test_a_word_is_wrong_in_at_most_two_and_a_half_percent(as_good, gain, wrong):
    "500 claims at each bound of the rule, 2,000 in all, judged after 5, 10 and 20 seeds until they are decided."
    rule, claims_tried = Rule(looks=(5, 10, 20)), 500
    rng = np.random.default_rng(11)
    ends = bounds(as_good, rule.tolerance)
    words = []
    for _ in range(claims_tried):
        images = 655  # accuracies move in steps of one image
        differences = pd.Series((rng.normal(gain, 0.012, 20) * images).round() / images)
        seen = (judge(differences[:n], *ends, rule).verdict for n in rule.looks)
        words.append(next((word for word in seen if word != UNDECIDED), UNDECIDED))
    allowed = 0.025 + 3 * (0.025 * 0.975 / claims_tried) ** 0.5
    assert words.count(wrong) / claims_tried <= allowed
    assert words.count(UNDECIDED) < 0.9 * claims_tried, "a rule that never decides is never wrong"


def test_p_values_and_intervals_agree():
    rng, rule = np.random.default_rng(3), Rule(looks=(5, 10, 20))
    found = [judge(pd.Series(rng.normal(0.01, 0.01, 5)), 0.0, 0.01, rule) for _ in range(200)]
    assert [gain.p_value < 0.05 for gain in found] == [gain.verdict != UNDECIDED for gain in found]
    assert len({gain.verdict for gain in found}) > 1


def test_the_loss_is_judged_beside_accuracy_and_may_disagree():
    losses = {"a": [0.5, 0.52, 0.48, 0.5, 0.51], "b": [0.6, 0.61, 0.6, 0.59, 0.6]}
    found = compare(readings(losses, a=above(0.0), b=BASE), "a", "b")
    assert (found.gain.verdict, found.loss.verdict) == (FAILS, HOLDS)
    assert found.loss.mean == pytest.approx(1 - 0.502 / 0.6)
    assert np.isnan(compare(readings(a=above(0.0), b=BASE), "a", "b").loss.mean)


def test_the_forecast_of_seeds_is_the_first_number_that_decides():
    wide = [0.02, -0.01, 0.015, -0.005, 0.02]
    found = compare(readings(a=[a + b for a, b in zip(wide, BASE, strict=True)], b=BASE), "a", "b")
    n = seeds_needed(found, False, Rule())
    width = [stats.t.ppf(0.975, k - 1) * found.spread / np.sqrt(k) for k in (n - 1, n)]
    distance = max(found.gain.mean, 0.01 - found.gain.mean)
    assert found.gain.verdict == UNDECIDED and n > 5 and width[0] >= distance > width[1]
    assert seeds_needed(replace(found, spread=np.nan), False, Rule()) is None


def test_differences_are_paired_by_seed_and_failed_runs_are_counted_but_decide_nothing():
    table = readings(a=above(0.02), b=BASE)
    assert compare(table.sample(frac=1, random_state=0), "a", "b") == replace(compare(table, "a", "b"))
    found = compare(readings(a=[float("nan"), *above(0.02)[1:]], b=[None, *BASE[1:]]), "a", "b")
    assert (found.n, found.failed, found.diverged, found.gain.verdict) == (4, 1, 1, HOLDS)
    assert found.gain.mean == pytest.approx(np.mean(above(0.02)[1:]) - np.mean(BASE[1:]), abs=1e-6)


def test_float32_noise_of_equal_differences_is_no_narrow_interval():
    b = np.float32([0.9, 0.8, 0.7]).astype(float)
    found = compare(readings(a=list(b + np.float32(0.01)), b=list(b)), "a", "b")
    assert np.isnan(found.gain.low) and found.gain.verdict == UNDECIDED


def test_holm_keeps_what_is_certain_and_drops_what_is_lucky():
    p_values = [1e-6, 0.04, 0.04, 0.5, float("nan")]
    assert survives_holm(p_values, [HOLDS, HOLDS, FAILS, UNDECIDED, HOLDS]) == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ({"solar": HOLDS, "digits": HOLDS}, "holds on solar, digits"),
        ({"solar": UNDECIDED, "digits": HOLDS}, "holds on digits; undecided on solar"),
        ({"solar": FAILS, "digits": HOLDS}, "holds on digits; does not hold on solar"),
        ({"digits": FAILS}, "does not hold on digits"),
    ],
)
def test_one_verdict_of_several(verdicts, expected):
    assert claims_page.overall(verdicts) == expected


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
    assert question.groups_on(digits) == ["tuned"] and "it is left out" in capsys.readouterr().err
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


def test_every_claim_names_a_group_a_source_and_a_number_or_says_that_there_is_none():
    assert len(CLAIMS) >= 10 and len(BY_NAME) == len(CLAIMS)
    for claim in CLAIMS:
        assert claim.group in GROUPS or claim.group == "descent"
        assert any(c.isdigit() for c in claim.published) or "no " in claim.published
        assert "arXiv" in claim.source or "notebook" in claim.source
        assert set(claim.schedules) <= set(TUNED)
        assert "{" not in (claim.says + claim.setting).format(**words(asdict(FULL)))
        assert claim.if_so.endswith(".") and claim.if_not.endswith(".")


def test_means_says_one_thing_per_verdict():
    claim = BY_NAME["sgdr-end"]
    own = pd.DataFrame({"workload": ["solar", "digits"], "verdict": [HOLDS, HOLDS]})
    own = own.assign(diff=0.0, diff_low=-0.004, diff_high=0.02, addition="")
    assert claims_page.means(claim, own) == "If the budget is known, one cosine decay is enough."
    worse = claims_page.means(claim, own.assign(verdict=FAILS, addition=OPPOSITE))
    assert worse.endswith(f"(on solar and digits, {OPPOSITE}).")
    mixed = claims_page.means(claim, own.assign(verdict=[FAILS, UNDECIDED]))
    assert mixed.startswith("On solar, restarts end higher") and "on digits, these seeds cannot tell" in mixed
    assert "-0.4 to +2.0 points" in mixed


def test_a_difference_without_an_interval_is_not_shown_as_nan():
    row = pd.Series({"diff": 0.011, "diff_low": np.nan, "diff_high": np.nan})
    rows = [row, row.replace(0.011, np.nan), pd.Series({"diff": -0.011, "diff_low": -0.02, "diff_high": -0.002})]
    shown = [claims_page.points(own) for own in pd.DataFrame(rows).itertuples()]
    assert shown == ["+1.1 (no interval)", "nothing to compare", "-1.1 (-2.0 to -0.2)"]


SMALL = Scale(3, 1, 4, 4, 3, 1, Tuning(3, 1), tune_all=False, starts=50)
NAMES = ("high-lr", "sgdr-early", "snapshot-last", "averaging", "cosine-constant", "restarts-cosine")


@pytest.fixture(scope="module", autouse=True)
def few_lrs_for_descents():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(descent, "LRS", descent.LRS[::4])
        yield


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    "Six claims on a folder of 48 images of 8 px, three seeds."
    folder, out = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("claims")
    for seed, name in enumerate(("left", "right")):
        write_images(folder / name, 24, seed=seed)
    workload = ImageWorkload(str(folder), size=8, bs=16, precision="fp32")
    question = questions.Question([workload], parse_claims(",".join(NAMES)), [0, 1, 2], SMALL)
    return question, out, claims.answer(question, out)


def test_every_claim_is_judged_and_every_run_is_kept(answered):
    question, out, found = answered
    folder = question.workloads[0].data
    table = pd.read_csv(out / "claims.csv")
    assert table.columns.tolist() == COLUMNS and tuple(dict.fromkeys(table.claim)) == NAMES
    assert set(table[table.claim == "restarts-cosine"].workload) == {"wide minimum", "narrow minimum"}
    own = table[table.workload == folder]
    assert (own.n == 3).all() and (own.minutes > 0).all() and own["diff"].between(-1, 1).all()
    high = table.set_index("claim").loc["high-lr"]
    assert high.command == f"lrlab claims --claims high-lr --data {folder} --seeds 3 --precision fp32"
    runs = pd.read_csv(out / "runs.csv")
    assert (runs.workload == folder).all() and (runs.status == "ok").all() and runs.run_id.is_unique
    kept = out / claims.folder_name(folder) / "runs"
    assert set(runs.run_id) == {run.name for run in kept.iterdir()}
    last = runs[runs.run_id.str.startswith("averaged")].set_index("seed").accuracy
    models = pd.concat([pd.read_csv(f) for f in kept.glob("averaged-*/models.csv")])
    assert models[models.model == "last"].set_index("seed").accuracy.sort_index().tolist() == pytest.approx(list(last))
    assert len(models) == 6 and found.text.count("\n") > len(table)


@pytest.mark.usefixtures("undrawn")
def test_the_same_command_trains_nothing_and_says_the_same(answered, capsys):
    question, out, found = answered
    tables = {name: (out / name).read_bytes() for name in ("claims.csv", "runs.csv")}
    again = claims.answer(question, out)
    assert "To do" not in capsys.readouterr().out
    assert again.text == found.text
    assert tables == {name: (out / name).read_bytes() for name in tables}


@pytest.mark.usefixtures("undrawn")
def test_another_claim_continues_with_the_same_runs_and_another_rule_is_refused(answered, capsys):
    question, out, _ = answered
    claims.answer(replace(question, claims=parse_claims("high-lr")), out)
    assert "To do" not in capsys.readouterr().out, "its runs are there already"
    for other in ({"seeds": [0]}, {"tolerance": 0.02}):
        with pytest.raises(questions.UserError, match="looks|tolerance"):
            claims.answer(replace(question, **other), out)
    with pytest.raises(questions.UserError, match="seeds"):
        claims.answer(replace(question, seeds=[4, 5, 6]), out)
    claims.answer(question, out)


@pytest.mark.usefixtures("undrawn")
def test_after_ctrl_c_the_page_has_what_is_finished(answered, monkeypatch, capsys):
    question, out, found = answered
    measure = Bench.measure

    def interrupted(bench, group, *args):
        if group is GROUPS["averaging"]:
            raise KeyboardInterrupt
        return measure(bench, group, *args)

    monkeypatch.setattr(Bench, "measure", interrupted)
    part = claims.answer(question, out)
    assert "Stopped" in capsys.readouterr().out and (part.stopped, found.stopped) == (True, False)
    assert set(found.claims.claim) - set(part.claims.claim) == {"averaging"}
    with pytest.raises(KeyboardInterrupt):
        claims.answer(replace(question, claims=parse_claims("averaging")), out)
    monkeypatch.undo()
    assert claims.answer(question, out).text == found.text


def test_folders_of_claims_are_drawn_again_and_merge_into_one_page(answered, tmp_path, capsys):
    question, out, found = answered
    written = {name: (out / name).read_bytes() for name in ("README.md", "claims.csv", "runs.csv", "claims.png")}
    assert report.main(str(out)).text == found.text
    assert {name: (out / name).read_bytes() for name in written} == written, "drawn from its tables"
    workload, few = replace(question.workloads[0], size=10), parse_claims("high-lr,restarts-cosine")
    claims.answer(
        replace(question, workloads=[replace(workload, data=f"{workload.data}:6")], claims=few), tmp_path / "b"
    )
    both = report.main(str(out), str(tmp_path / "b"), out=str(tmp_path / "both"))
    assert len(both.claims) == len(found.claims) + 1, "the minima are the same in both folders"
    assert both.claims.claim.tolist() == sorted(both.claims.claim, key=[claim.name for claim in CLAIMS].index)
    assert both.claims.groupby("claim").size()["high-lr"] == 2 and len(both.runs) > len(found.runs)
    merged = (tmp_path / "both" / "README.md").read_text(encoding="utf-8")
    assert merged.count("`lrlab claims --claims high-lr") == 2 and " and by `" in merged
    assert report.main(str(tmp_path / "both")).claims.equals(both.claims), "a merged page is drawn again too"
    with pytest.raises(questions.UserError, match="both holds a report that is merged from other folders"):
        claims.answer(question, tmp_path / "both")
    claims.answer(replace(question, claims=few[:1], tolerance=0.02), tmp_path / "other")
    with pytest.raises(questions.UserError, match="differ in tolerance: one page needs the same rule"):
        report.main(str(out), str(tmp_path / "other"), out=str(tmp_path / "c"))
    with pytest.raises(questions.UserError, match="holds other results"):
        report.main(str(out), str(tmp_path / "b"), out=str(tmp_path / "other"))
    claims.answer(question, out)


def test_the_page_has_the_figure_and_every_claim_with_its_source_and_command(answered):
    _, out, found = answered
    page = (out / "README.md").read_text(encoding="utf-8")
    assert "![" in page and "(claims.png)" in page and (out / "claims.png").exists()
    assert "\n\n\n" not in page and not re.search(r"\{[{%]", page), "a template that is filled in whole"
    for name in NAMES:
        claim = BY_NAME[name]
        assert claim.published in page and claim.source in page and f"`lrlab claims --claims {name}" in page
    for row in found.claims.itertuples():
        assert f"| {claims_page.points(row)} | {claims_page.by_loss(row)} | {claims_page.verdict_words(row)}" in page
    assert "Holm" in page and "Every run finished" in page and "The tolerance is 1 point, chosen" in page
    anchors = re.findall(r"\]\(#([a-z-]+)\)", page)
    assert anchors and all(f"\n## {anchor}\n" in page for anchor in anchors)


def test_the_figure_has_a_panel_for_every_workload_and_shows_every_row(answered):
    question, _, found = answered
    image_set = question.workloads[0].load()
    cards = {image_set.name: image_set.describe()}
    fig = claims_figure.draw(found.claims, cards, words(asdict(SMALL)), "A title", question.rule)
    panels = claims_figure.panels_of(found.claims, list(cards))
    assert [ax.get_title() for ax in fig.axes] == list(panels) == [image_set.name, "narrow minimum"]
    said = [text.get_text() for ax in fig.axes for text in ax.texts]
    for row in found.claims.itertuples():
        assert any(text.endswith(claims_page.points(row)) for text in said)
        assert f"{row.better} minus {row.than}" in said
    for ax, own in zip(fig.axes, panels.values(), strict=True):
        markers = {(line.get_xdata()[0], line.get_marker()) for line in ax.lines if len(line.get_xdata()) == 1}
        assert markers == {(100 * row.diff, claims_figure.STYLE[row.verdict][1]) for row in own.itertuples()}
    texts = [text.get_text() for text in fig.texts]
    assert any("against the claim" in text and "for the claim" in text and "points" in text for text in texts)
    assert fig.get_suptitle() == "A title" and any("n = 3" in text for text in texts)


def test_lost_runs_are_named_on_the_page(answered):
    _, out, found = answered
    runs = found.runs.copy()
    runs.loc[0, ["status", "error"]] = ["failed", "MemoryError: no room"]
    table = found.claims.assign(lost=["1 failed runs", *[""] * (len(found.claims) - 1)])
    page = claims_page.page(table, runs, {}, words(asdict(SMALL)), "Title", [environment()], Rule())
    assert "failed (MemoryError: no room)" in page and "1 failed runs" in page


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--claims", "high-rl"], "did you mean high-lr"),
        (["--claims", "high-lr,high-lr"], "different names"),
        (["--data", "digits,digits"], "different datasets"),
        (["--data", "digist"], "did you mean digits"),
        (["--seeds", "0"], "from 1 to 1000"),
        (["--tolerance", "0"], "--tolerance 0: expected a positive number"),
    ],
)
def test_bad_options_are_one_sentence(tmp_path, capsys, option, said):
    assert cli.main(["claims", *option, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error


def test_default_data_that_are_not_there_are_named_and_left_out(monkeypatch, capsys):
    def load(workload):
        if workload.data == "digits":
            return "digits"
        raise questions.UserError("not in $FASTAI_HOME")

    monkeypatch.setattr(ImageWorkload, "load", load)
    question = questions.Question(
        questions.parse_workloads("digits,cifar:1000", "fp32"), [], [0], FULL, skips_missing=True
    )
    found, data = questions.load(question)
    assert ([str(own.data) for own in found.workloads], data) == (["digits"], ["digits"])
    assert capsys.readouterr().err == "Note on cifar:1000: left out: not in $FASTAI_HOME.\n"
    with pytest.raises(questions.UserError, match="FASTAI_HOME"):
        questions.load(replace(question, skips_missing=False))


def test_the_finding_counts_claims_that_two_data_sets_decide():
    table = pd.DataFrame({"claim": ["a", "a", "b", "b"], "workload": ["x", "y"] * 2})
    title = claims_page.finding(table.assign(verdict=[HOLDS, FAILS, HOLDS, UNDECIDED]))
    assert title == "Of 2 claims, 1 are decided on two data sets or more"
    alone = table[table.workload == "x"].assign(verdict=[HOLDS, UNDECIDED])
    assert claims_page.finding(alone) == "Of 2 claims, 1 are decided"


def test_tiny_images_are_not_asked_about_pretraining(tmp_path, capsys):
    options = ["claims", "--data", "digits", "--claims", "gradual", "--out", str(tmp_path / "out")]
    assert cli.main(options) == 2 and not (tmp_path / "out").exists()
    assert "32 px or more; digits has 16" in capsys.readouterr().err
