"""The claims: their table, the rule, the readings of every group of runs, the page, and the recipe end to end."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lrlab.recipes import cli
from lrlab.recipes.kitchen.grid.study import Study
from lrlab.recipes.kitchen.grid.tuning import Tuning, lr_at
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.store.tables import EPOCH_COLUMNS, RunResult, RunRow
from lrlab.recipes.kitchen.workloads import ImageWorkload
from lrlab.recipes.studies.claims import figure as claims_figure
from lrlab.recipes.studies.claims import page as claims_page
from lrlab.recipes.studies.claims import study as claims
from lrlab.recipes.studies.claims.bench import FULL, TUNED, Bench, Scale
from lrlab.recipes.studies.claims.catalogue import BY_NAME, CLAIMS, parse_claims
from lrlab.recipes.studies.claims.experiments import GROUPS, fifth, lead, steps_per_epoch
from lrlab.recipes.studies.claims.verdict import (
    FAILS,
    HOLDS,
    READING_COLUMNS,
    UNDECIDED,
    Measured,
    compare,
    overall,
    survives_holm,
    verdict,
)
from tests.conftest import write_images


def readings(**accuracies) -> pd.DataFrame:
    "`a=[0.8, None, ...]` seed by seed; None is a diverged run, nan a failed one."
    rows = []
    for name, values in accuracies.items():
        for seed, value in enumerate(values):
            status = "diverged" if value is None else "failed" if np.isnan(value) else "ok"
            rows.append((name, seed, value, status, "1e-3", ""))
    return pd.DataFrame(rows, columns=READING_COLUMNS).astype({"accuracy": float})


BASE = [0.80, 0.81, 0.79, 0.80, 0.82]


def above(by: float, spread: float = 0.002) -> list[float]:
    "BASE plus `by` on average."
    return [value + by + spread * sign for value, sign in zip(BASE, (-1, 1, 0, 1, -1), strict=True)]


@pytest.mark.parametrize(
    ("better", "margin", "expected"),
    [
        (above(0.02), 0.0, HOLDS),
        (above(-0.02), 0.0, FAILS),
        (above(0.0), 0.0, UNDECIDED),
        (above(0.02, spread=0.05), 0.0, UNDECIDED),  # the same mean, too wide
        (above(0.0), 0.01, HOLDS),  # as good as, within a point
        (above(-0.005), 0.01, HOLDS),  # worse, but by less than a point
        (above(-0.005), 0.0, FAILS),
        (above(-0.01), 0.01, UNDECIDED),
        (above(-0.03), 0.01, FAILS),
        (BASE, 0.0, UNDECIDED),  # the same numbers are no evidence of a difference
        (BASE, 0.01, HOLDS),  # but of equality
        ([None, *BASE[1:]], 0.01, FAILS),  # it diverged where the other finished
    ],
)
def test_the_rule(better, margin, expected):
    assert verdict(compare(readings(a=better, b=BASE), "a", "b", margin), margin) == expected


def test_a_diverged_rival_decides_and_divergence_on_both_sides_does_not():
    won = compare(readings(a=above(-0.0), b=[None, None, *BASE[2:]]), "a", "b")
    assert (won.n, won.won, won.lost, won.missing, verdict(won)) == (3, 2, 0, 2, HOLDS)
    both = compare(readings(a=[None, *above(0.0)[1:]], b=[BASE[0], None, *BASE[2:]]), "a", "b")
    assert (both.n, both.won, both.lost, verdict(both)) == (3, 1, 1, UNDECIDED)
    nothing = compare(readings(a=[None], b=[None]), "a", "b")
    assert (nothing.n, verdict(nothing)) == (0, UNDECIDED)


def test_differences_are_paired_by_seed_and_failed_runs_are_counted_but_decide_nothing():
    table = readings(a=above(0.02), b=BASE)
    shuffled = table.sample(frac=1, random_state=0)
    assert compare(shuffled, "a", "b") == compare(table, "a", "b")
    found = compare(readings(a=[float("nan"), *above(0.02)[1:]], b=BASE), "a", "b")
    assert (found.n, found.missing, found.lost, verdict(found)) == (4, 1, 0, HOLDS)
    assert found.diff == pytest.approx(np.mean(above(0.02)[1:]) - np.mean(BASE[1:]), abs=1e-6)
    assert compare(table, "a", "c") is None


def test_float32_noise_of_two_equal_differences_is_no_narrow_interval():
    a, b = np.float32([0.9, 0.8]).astype(float) + np.float32(0.01), np.float32([0.9, 0.8]).astype(float)
    found = compare(readings(a=list(a), b=list(b)), "a", "b")
    assert np.isnan(found.low) and verdict(found) == UNDECIDED


def test_holm_keeps_what_is_certain_and_drops_what_is_lucky():
    p_values = [1e-6, 0.04, 0.04, 0.5, float("nan")]
    assert survives_holm(p_values, [HOLDS, HOLDS, FAILS, UNDECIDED, HOLDS]) == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ({"solar": HOLDS, "digits": HOLDS}, "holds on both"),
        ({"solar": FAILS, "digits": FAILS}, "holds on none of both"),
        ({"solar": UNDECIDED, "digits": UNDECIDED, "cifar": UNDECIDED}, "undecided on all 3"),
        ({"solar": UNDECIDED, "digits": HOLDS}, "holds on digits; undecided on solar"),
        ({"solar": FAILS, "digits": HOLDS}, "holds on digits; does not hold on solar"),
        ({"digits": FAILS}, "does not hold here (digits)"),
    ],
)
def test_one_verdict_of_several(verdicts, expected):
    assert overall(verdicts) == expected


class Paper(Bench):
    "A bench whose runs are made up: `outcome(run)` gives a run's accuracies by epoch, or None if it diverged."

    def train(self, runs, what="runs", **options):
        self.run_ids |= {run.run_id for run in runs}
        for run in runs:
            self.study.store.write_run(made_up(run, self.outcome(run)))

    def tune(self, budget, schedules, image_set=None):
        return dict.fromkeys(schedules, LearningRate(1e-2))

    def lr_of(self, label):
        return LearningRate(1e-2)

    @property
    def suggested_lr(self):
        return 3e-3


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
        question = claims.Question([workload], [], [0, 1], FULL)
        study = Study(store, question, workload, workload.load())
        yield Paper(study, [0, 1], [0, 1], FULL, TUNED)


def measured(bench, group: str, name: str) -> Measured:
    claim = BY_NAME[name]
    return compare(bench.measure(GROUPS[group]).readings, claim.better, claim.than, claim.margin)


def by_label(**values):
    return lambda run: values[run.arm]


def test_the_lesson_compares_every_accident_with_the_right_choice(paper):
    ends = {"too high": None, "too low": [0.1], "too short": [0.4], "too long": [0.95], "right": [0.9]}
    paper.outcome = lambda run: ends[run.arm]
    assert verdict(measured(paper, "lesson", "high-lr")) == HOLDS, "0.1 diverged and the right LR did not"
    assert measured(paper, "lesson", "low-lr").diff == pytest.approx(0.8)
    assert measured(paper, "lesson", "too-short").diff == pytest.approx(0.5)
    long = measured(paper, "lesson", "too-long")
    assert long.diff == pytest.approx(-0.05) and long.lrs == ("3e-3", "3e-3") and long.notes[0] != ""


def test_peaks_are_held_against_the_troughs_around_them(paper):
    steady = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    paper.outcome = lambda run: steady
    assert measured(paper, "clr", "clr-trough").diff == pytest.approx(0), "steady progress is no effect of the LR"
    paper.outcome = lambda run: [value - 0.05 * (epoch % 2) for epoch, value in enumerate(steady, 1)]
    assert measured(paper, "clr", "clr-trough").diff == pytest.approx(0.05)


def test_restarts_are_read_at_the_ends_of_their_first_cycles(paper):
    curves = dict.fromkeys(TUNED, [0.5])
    curves |= {"sgdr": [0.5, 0.1, 0.7, 0.1, 0.1, 0.1, 0.8], "cosine": [0.4, 0.9, 0.4, 0.9, 0.9, 0.9, 0.85]}
    paper.outcome = by_label(**curves)
    assert measured(paper, "tuned", "sgdr-early").diff == pytest.approx(((0.5 - 0.4) + (0.7 - 0.4)) / 2)
    assert measured(paper, "tuned", "sgdr-end").diff == pytest.approx(0.05)
    assert measured(paper, "tuned", "cosine-constant").diff == pytest.approx(0.35)


def test_models_made_of_a_run_are_compared(paper):
    made = {"snapshot 1": 0.6, "snapshot 3": 0.7, "ensemble": 0.75}
    paper.outcome = lambda run: made if run.arm == "sgdr" else {"final": 0.78}
    assert measured(paper, "snapshots", "snapshot-last").diff == pytest.approx(0.05)
    assert measured(paper, "snapshots", "snapshot-single").diff == pytest.approx(-0.03)
    paper.outcome = lambda run: {"last": 0.7, "average": 0.74}
    assert measured(paper, "averaging", "averaging").diff == pytest.approx(0.04)


def test_one_cycle_is_compared_at_short_budgets_and_with_little_data(paper):
    ends = {"short_one_cycle": 0.80, "short_step": 0.70, "little_one_cycle": 0.65, "little_step": 0.40, "step": 0.79}
    paper.outcome = lambda run: [ends[run.arm]]
    assert measured(paper, "short", "one-cycle-sooner").diff == pytest.approx(0.01)
    assert measured(paper, "short", "one-cycle-short").diff == pytest.approx(0.10)
    assert measured(paper, "little", "one-cycle-little-data").diff == pytest.approx(0.25 - 0.10)


def test_transfer_takes_the_best_lr_of_its_grid_and_reads_the_accident_after_one_epoch(paper):
    best = lr_at(LearningRate(1e-3), -1)

    def outcome(run):
        lr = run.lr_max.peak
        end = {"one_lr": 0.8 if lr == best.peak else 0.7, "slice": 0.75, "gradual": 0.82, "head_only": 0.6}[run.arm]
        return [0.2 if run.arm == "one_lr" and lr == 1e-3 else 0.5, end, end]

    paper.outcome = outcome
    found = measured(paper, "transfer", "discriminative")
    assert found.diff == pytest.approx(-0.05) and found.lrs[1] == str(best)
    assert measured(paper, "transfer", "gradual").diff == pytest.approx(0.02)
    assert measured(paper, "transfer", "naive-unfreeze").diff == pytest.approx(0.3)


def test_lr_finds_suggestion_is_held_against_the_grids_best(paper):
    paper.outcome = lambda run: [0.9 if run.lr_max.peak == 1e-2 else 0.88]
    found = measured(paper, "lr_find", "lr-find-one-cycle")
    assert found.diff == pytest.approx(-0.02) and found.lrs == ("3e-3", "1e-2")
    assert measured(paper, "lr_find", "lr-find-constant").lrs == ("3e-3", "1e-2")


def test_a_lead_is_lost_where_one_of_the_two_diverged():
    gap = lead("gap", readings(a=[0.9, None, 0.8]), readings(b=[0.7, 0.7, float("nan")]))
    assert gap.accuracy.tolist()[0] == pytest.approx(0.2) and gap.accuracy.isna().tolist() == [False, True, True]
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


def test_small_data_gets_twice_the_seeds_unless_they_are_given():
    question, image_set = claims.Question([], [], None, FULL), ImageWorkload("digits", size=16).load()
    assert (len(question.seeds_of(image_set)), len(question.few_seeds_of(image_set))) == (10, 5)
    assert len(question.seeds_of(ImageWorkload("digits", size=64).load())) == 5
    given = replace(question, seeds=[3, 4])
    assert given.seeds_of(image_set) == given.few_seeds_of(image_set) == [3, 4]


def test_restarts_never_end_within_an_epoch():
    assert FULL.early == [1, 3] and Scale(epochs=3).early == [1] and Scale(epochs=15).early == [1, 3, 7]


def test_every_claim_names_a_group_a_source_and_a_number_or_says_that_there_is_none():
    assert len(CLAIMS) >= 10 and len(BY_NAME) == len(CLAIMS)
    for claim in CLAIMS:
        assert claim.group in GROUPS or claim.group == "descent"
        assert any(c.isdigit() for c in claim.published) or "no " in claim.published
        assert "arXiv" in claim.source or "notebook" in claim.source
        assert set(claim.schedules) <= set(TUNED) and 0 <= claim.margin <= 0.01
        assert "{" not in (claim.says + claim.setting).format(**FULL.words())
        assert claim.if_so.endswith(".") and claim.if_not.endswith(".")


def test_means_says_one_thing_per_verdict():
    claim = BY_NAME["sgdr-end"]
    own = pd.DataFrame({"workload": ["solar", "digits"], "verdict": [HOLDS, HOLDS]})
    own = own.assign(diff=0.0, diff_low=-0.004, diff_high=0.02)
    assert claims_page.means(claim, own) == "If the budget is known, one cosine decay is enough."
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


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    "Six claims on a folder of 48 images of 8 px."
    folder, out = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("claims")
    for seed, name in enumerate(("left", "right")):
        write_images(folder / name, 24, seed=seed)
    workload = ImageWorkload(str(folder), size=8, bs=16, precision="fp32")
    question = claims.Question([workload], parse_claims(",".join(NAMES)), [0, 1], SMALL)
    return question, out, claims.answer(question, out)


def test_every_claim_is_judged_and_every_run_is_kept(answered):
    question, out, found = answered
    folder = question.workloads[0].data
    table = pd.read_csv(out / "claims.csv")
    assert table.columns.tolist() == claims.COLUMNS and tuple(dict.fromkeys(table.claim)) == NAMES
    assert set(table[table.claim == "restarts-cosine"].workload) == {"wide minimum", "narrow minimum"}
    own = table[table.workload == folder]
    assert (own.n == 2).all() and (own.minutes > 0).all() and own["diff"].between(-1, 1).all()
    high = table.set_index("claim").loc["high-lr"]
    assert high.command == f"lrlab claims --claims high-lr --data {folder} --seeds 0,1 --precision fp32"
    runs = pd.read_csv(out / "runs.csv")
    assert (runs.workload == folder).all() and (runs.status == "ok").all() and runs.run_id.is_unique
    kept = out / claims.folder_name(folder) / "runs"
    assert set(runs.run_id) == {run.name for run in kept.iterdir()}
    last = runs[runs.run_id.str.startswith("averaged")].set_index("seed").accuracy
    models = pd.concat([pd.read_csv(f) for f in kept.glob("averaged-*/models.csv")])
    assert models[models.model == "last"].set_index("seed").accuracy.sort_index().tolist() == pytest.approx(list(last))
    assert len(models) == 4 and found.text.count("\n") > len(table)


def test_the_same_command_trains_nothing_and_says_the_same(answered, capsys):
    question, out, found = answered
    tables = {name: (out / name).read_bytes() for name in ("claims.csv", "runs.csv")}
    again = claims.answer(question, out)
    assert "To do" not in capsys.readouterr().out
    assert again.text == found.text
    assert tables == {name: (out / name).read_bytes() for name in tables}


def test_another_claim_continues_with_the_same_runs_and_other_seeds_are_refused(answered, tmp_path, capsys):
    question, out, _ = answered
    claims.answer(replace(question, claims=parse_claims("low-lr,too-long")), out)
    assert "To do" not in capsys.readouterr().out, "the lesson's runs are there already"
    with pytest.raises(claims.UserError, match="seeds"):
        claims.answer(replace(question, seeds=[0]), out)
    claims.answer(question, out)


def test_after_ctrl_c_the_page_has_what_is_finished(answered, monkeypatch, capsys):
    question, out, found = answered
    measure = Bench.measure

    def interrupted(bench, group):
        if group is GROUPS["averaging"]:
            raise KeyboardInterrupt
        return measure(bench, group)

    monkeypatch.setattr(Bench, "measure", interrupted)
    part = claims.answer(question, out)
    assert "Stopped" in capsys.readouterr().out and (part.exit_code, found.exit_code) == (130, 0)
    assert set(found.claims.claim) - set(part.claims.claim) == {"averaging"}
    with pytest.raises(KeyboardInterrupt):
        claims.answer(replace(question, claims=parse_claims("averaging")), out)
    monkeypatch.undo()
    assert claims.answer(question, out).text == found.text


def test_the_page_has_the_figure_and_every_claim_with_its_source_and_command(answered):
    _, out, found = answered
    page = (out / "README.md").read_text(encoding="utf-8")
    assert "![" in page and "(claims.png)" in page and (out / "claims.png").exists()
    assert "\n\n\n" not in page and not re.search(r"\{[{%]", page), "a template that is filled in whole"
    for name in NAMES:
        claim = BY_NAME[name]
        assert claim.published in page and claim.source in page and f"`lrlab claims --claims {name}" in page
    for row in found.claims.itertuples():
        assert claims_page.points(row) in page and row.verdict.removesuffix(" here") in page
    assert "Holm" in page and "non-inferiority" in page and "Every run finished" in page


def test_the_figure_shows_every_row_its_verdict_and_the_direction(answered):
    question, _, found = answered
    image_set = question.workloads[0].load()
    cards = {image_set.name: image_set.describe()}
    fig = claims_figure.draw(found.claims, cards, SMALL.words(), "A title")
    (ax,) = fig.axes
    said = [text.get_text() for text in ax.texts]
    assert [s for s in said if s in claims_figure.STYLE] == found.claims.verdict.tolist()
    for row in found.claims.itertuples():
        assert claims_page.points(row) in said and f"{row.better} minus {row.than}" in said
    markers = [line for line in ax.lines if len(line.get_xdata()) == 1]
    assert [m.get_xdata()[0] for m in markers] == pytest.approx(list(100 * found.claims["diff"]))
    assert "against the claim" in ax.get_xlabel() and "for the claim" in ax.get_xlabel() and "points" in ax.get_xlabel()
    assert fig.get_suptitle() == "A title" and any("n = 2" in t.get_text() for t in fig.texts)


def test_lost_runs_are_named_on_the_page(answered):
    _, out, found = answered
    runs = found.runs.copy()
    runs.loc[0, ["status", "error"]] = ["failed", "MemoryError: no room"]
    table = found.claims.assign(lost=["1 runs without an accuracy", *[""] * (len(found.claims) - 1)])
    page = claims_page.page(table, runs, {}, SMALL.words(), "Title", environment())
    assert "failed (MemoryError: no room)" in page and "1 runs without an accuracy" in page


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--claims", "high-rl"], "did you mean high-lr"),
        (["--claims", "high-lr,high-lr"], "different names"),
        (["--data", "digits,digits"], "different datasets"),
        (["--data", "digist"], "did you mean digits"),
        (["--seeds", "0"], "from 1 to 1000"),
    ],
)
def test_bad_options_are_one_sentence(tmp_path, capsys, option, said):
    assert cli.main(["claims", *option, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error


def test_tiny_images_are_not_asked_about_pretraining(tmp_path, capsys):
    options = ["claims", "--data", "digits", "--claims", "gradual", "--out", str(tmp_path / "out")]
    assert cli.main(options) == 2 and not (tmp_path / "out").exists()
    assert "32 px or more; digits has 16" in capsys.readouterr().err
