"""The claims: their table, the page, and the recipe end to end."""

import re
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from lrlab.recipes import cli, report
from lrlab.recipes.kitchen.grid.tuning import Tuning
from lrlab.recipes.kitchen.machine.environment import environment
from lrlab.recipes.kitchen.workloads import ImageWorkload
from lrlab.recipes.studies.claims import figure as claims_figure
from lrlab.recipes.studies.claims import page as claims_page
from lrlab.recipes.studies.claims import question as questions
from lrlab.recipes.studies.claims import study as claims
from lrlab.recipes.studies.claims.bench import FULL, TUNED, Bench, Scale
from lrlab.recipes.studies.claims.catalogue import BY_NAME, CLAIMS, parse_claims
from lrlab.recipes.studies.claims.experiments import (
    GROUPS,
)
from lrlab.recipes.studies.claims.row import COLUMNS
from lrlab.recipes.studies.claims.settings import words
from lrlab.recipes.studies.claims.verdict import (
    FAILS,
    HOLDS,
    OPPOSITE,
    UNDECIDED,
    Rule,
)
from lrlab.recipes.studies.gradient_descent import descent
from tests.conftest import write_images


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
    with pytest.raises(KeyboardInterrupt) as stopped:
        claims.answer(replace(question, claims=parse_claims("averaging")), out)
    assert "finished runs are kept, the same command continues" in stopped.value.kept
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
    assert capsys.readouterr().err == "Note on cifar:1000: excluded: not in $FASTAI_HOME.\n"
    with pytest.raises(questions.UserError, match="FASTAI_HOME"):
        questions.load(replace(question, skips_missing=False))


def test_the_finding_counts_claims_that_two_data_sets_decide():
    table = pd.DataFrame({"claim": ["a", "a", "b", "b"], "workload": ["x", "y"] * 2})
    title = claims_page.finding(table.assign(verdict=[HOLDS, FAILS, HOLDS, UNDECIDED]))
    assert title == "Of 2 claims, 1 is decided on two data sets or more"
    alone = table[table.workload == "x"].assign(verdict=[HOLDS, UNDECIDED])
    assert claims_page.finding(alone) == "Of 2 claims, 1 is decided"


def test_tiny_images_are_not_asked_about_pretraining(tmp_path, capsys):
    options = ["claims", "--data", "digits", "--claims", "gradual", "--out", str(tmp_path / "out")]
    assert cli.main(options) == 2 and not (tmp_path / "out").exists()
    assert "32 px or more; digits has 16" in capsys.readouterr().err
