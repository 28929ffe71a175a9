"""The answer in words, and the code at its end: it runs as pasted."""

import json
import re
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest

from lrlab.recipes import compare
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.stats.summary import summarize
from lrlab.recipes.kitchen.training_code import own_learner, training_code
from lrlab.recipes.studies.compare import advice as answer
from lrlab.recipes.studies.compare import protocol, ranking
from lrlab.recipes.studies.compare.advice import Advice
from tests.conftest import write_images
from tests.kitchen.stats.test_summary import runs_table

pytestmark = pytest.mark.usefixtures("undrawn")


def results_of(runs: pd.DataFrame, **config):
    "What `ranking` and `advice` need to know of a results folder."

    class Known:
        reference, measure, tolerance = runs.schedule.iloc[0], Measure(), None
        majority = config.get("data", {}).get("majority", 0.0)
        question = {"schedules": {str(int(n)): dict.fromkeys(runs.schedule, "Constant()") for n in set(runs.budget)}}

        def acting_lr(self, lr_max):
            return lr_max

    known = Known()
    known.runs, known.config = runs.assign(epochs=runs.budget), {"data": {"majority": 0.0}} | config
    return known


def rank_of(accuracy, status=None, reference=None, **config):
    runs = runs_table(accuracy, status or {}).assign(budget=7)
    known = results_of(runs, **config)
    known.reference = reference or known.reference
    (rank,) = ranking.rankings(known, summarize(runs, known.reference))
    return rank


def test_the_finding_names_no_winner_without_one():
    tied = rank_of({"constant": [0.70, 0.72, 0.71], "same": [0.71, 0.70, 0.72]})
    assert tied.finding == "constant leads; the other is still open"
    assert tied.notes[0].startswith("constant has the best mean, but nothing is decided: same may be better")
    good = rank_of({"constant": [0.70, 0.72, 0.71], "good": [0.80, 0.83, 0.81], "bad": [0.4, 0.41, 0.42]})
    assert good.finding == "good is better than all 2 others"
    assert good.notes[:2] == ["Use good: no other schedule is better (95 %).", "Behind: constant, bad."]
    equal = rank_of({"a": [0.900, 0.910, 0.905, 0.91], "b": [0.901, 0.909, 0.906, 0.911]})
    assert equal.finding == "Use b: no other schedule is better by more than 0.1 points"
    assert equal.rows[1].verdict == "as good" and equal.notes[1] == "As good: a."


def test_title_and_advice_name_the_same_schedule():
    "Also where the highest mean belongs to a schedule that diverged on a seed."
    runs = runs_table({"constant": [0.7, 0.7, 0.71], "wild": [0.9, 0.9, 0.9]}, {("wild", 1): "diverged"})
    known = results_of(runs.assign(budget=7))
    summary = summarize(known.runs)
    (rank,), best = ranking.rankings(known, summary), answer.advice(known, summary)
    assert best.schedule == "constant" and rank.finding.startswith("constant ")
    assert [row.schedule for row in rank.rows] == ["constant", "wild"], "what diverged on a seed is not ranked by luck"
    assert (best.call, best.lr_max, best.epochs) == ("Constant()", LearningRate(1e-3), 7)
    assert answer.advice(known, summarize(known.runs.assign(status="failed"))) is None


def test_where_nothing_was_learned_nothing_is_recommended():
    "Title and headline agree."
    known = results_of(runs_table({"a": [0.3, 0.3], "b": [0.3, 0.32]}).assign(budget=7), data={"majority": 0.35})
    summary = summarize(known.runs)
    (rank,), best = ranking.rankings(known, summary), answer.advice(known, summary)
    assert rank.finding == "Nothing was learned: no schedule beats the most frequent class"
    assert best.headline.startswith("Train longer, or with another LR, before you choose.") and "b" in best.headline
    assert best.why.endswith("always answering the most frequent class is as good")
    known.majority = 0.1
    assert answer.advice(known, summary).headline == "Use b, lr_max = 1e-3, 7 epochs."


def test_a_measure_that_disagrees_is_named():
    "Accuracy recommends one schedule, and by the loss it is behind another."
    runs = runs_table({"sharp": [0.90, 0.91, 0.90], "calm": [0.80, 0.81, 0.82]}).assign(budget=7)
    runs["valid_loss"] = [0.30, 0.31, 0.32, 0.20, 0.21, 0.22]
    known = results_of(runs)
    (rank,) = ranking.rankings(known, summarize(runs))
    assert rank.rows[0].schedule == "sharp"
    assert rank.notes[-1] == "By loss, calm is better: 0.2100 against 0.3100 of sharp."
    known.measure = Measure.parse("loss")
    (rank,) = ranking.rankings(known, summarize(runs, judge="-loss"))
    assert rank.rows[0].schedule == "calm" and rank.rows[0].value == "0.2100 (0.1852 to 0.2348)"
    assert rank.notes[-1] == "By accuracy, sharp is better: 90.3 % against 81.0 % of calm."


def test_titles_are_short_and_say_what_else_happened():
    many = {name: [0.7 + i / 100, 0.72, 0.71] for i, name in enumerate("abcdefgh")} | {"bad": [0.1, 0.12, 0.11]}
    rank = rank_of(many | {"dead": [0.5] * 3}, {("dead", seed): "diverged" for seed in range(3)})
    assert rank.finding == "h leads; 7 of 8 others still open, 1 behind, 1 unfinished"
    assert len(rank.finding.split()) <= 12
    one_seed = rank_of({"a": [0.7], "b": [0.8]})
    assert one_seed.finding == "b has the best mean, but 1 seed cannot decide"
    assert "At least 3 seeds are needed" in one_seed.notes[0]


def test_the_finding_for_lost_runs():
    status = {("dead", 0): "diverged", ("dead", 1): "diverged"}
    rank = rank_of({"constant": [0.7, 0.71], "dead": [0.1, 0.1]}, status)
    assert rank.finding == "constant reaches 70.5 %: the only schedule that finished"
    assert rank.rows[1].verdict == "behind, 2 diverged" and rank.rows[1].behind == rank.rows[1].value == "-"
    assert rank_of({"dead": [0.1, 0.1]}, status).finding == "No run finished: every schedule diverged or failed"


def test_a_schedule_that_diverged_is_never_recommended_for_its_other_seeds():
    rank = rank_of({"a": [0.8, 0.9], "b": [0.7, 0.7], "wild": [0.95, 0.95]}, {("wild", 0): "diverged"})
    assert rank.rows[0].schedule == "a" and rank.rows[0].behind == "recommended"
    wild = next(row for row in rank.rows if row.schedule == "wild")
    assert wild.verdict == "behind, 1 diverged"


def test_every_word_of_the_table_is_explained():
    rank = rank_of({"constant": [0.70, 0.72, 0.71], "good": [0.80, 0.83, 0.81], "same": [0.80, 0.83, 0.812]})
    assert all(f"{row.verdict}: " in ranking.words_used([rank]) for row in rank.rows)


ALONE = {"one schedule": ({"a": [0.7, 0.8]}, {}), "others lost": ({"a": [0.7, 0.8], "b": [0.1]}, {("b", 0): "failed"})}


@pytest.mark.parametrize("accuracy, status", ALONE.values(), ids=ALONE)
def test_nobody_leads_alone(accuracy, status):
    known = results_of(runs_table(accuracy, status).assign(budget=7))
    summary = summarize(known.runs)
    assert rank_of(accuracy, status).finding.startswith("a reaches 75.0 %: the only schedule")
    assert "behind" not in answer.advice(known, summary).why
    assert protocol.budgets_finding(summary).startswith("7 epochs: a")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    "Images that come split, and images that do not."
    root = tmp_path_factory.mktemp("answer")
    for i, name in enumerate(("left", "right")):
        write_images(root / "flat" / name, 40, seed=i)
        write_images(root / "split" / "train" / name, 24, seed=i)
        write_images(root / "split" / "val" / name, 8, seed=2 + i)
    return root


def code_in(text: str) -> str:
    "The code at the end of what the terminal shows."
    indented = textwrap.dedent("\n".join(re.findall(r"^    .*$|^$", text[text.index("Why:") :], re.M)))
    return indented[re.search(r"^(from|import) ", indented, re.M).start() :]


def learner_of(pasted: str):
    "What the code leaves behind in a fresh namespace."
    namespace = {}
    exec(pasted + "\n", namespace)  # noqa: S102
    return namespace["learn"]


@pytest.mark.parametrize("data", ["digits", "flat", "split"])
def test_the_code_at_the_end_runs_as_pasted(data, folders, tmp_path):
    "From the terminal's text to a trained model, in a fresh namespace: what a reader does."
    source = "digits:300" if data == "digits" else str(folders / data)
    options = {
        "epochs": "1",
        "seeds": "1",
        "schedules": "one_cycle",
        "lr_max": "slice(3e-5,3e-3)",
        "jobs": "1",
        "bs": 16,
    }
    knobs = {"aug": "fastai", "wd": 0.0, "opt": "sgd"} if data == "flat" else {}
    result = compare.main(source, **options, **knobs, size=12, out=tmp_path / "out")
    pasted = code_in(result.text)
    assert "from lrlab.callbacks import OneCycle" in pasted
    learn = learner_of(pasted)
    assert len(learn.recorder.values) == 1 and np.isfinite(learn.recorder.values[0]).all()
    assert max(learn.recorder.lrs) == pytest.approx(3e-3, rel=0.05) and len(learn.dls.vocab) in (2, 10)
    if data == "flat":
        assert {(hyper["mom"], hyper["wd"]) for hyper in learn.opt.hypers} == {(0.9, 0.0)}
    if data == "split":
        assert "aug='none'" in pasted, "nobody asked for flips"
        assert (len(learn.dls.train_ds), len(learn.dls.valid_ds)) == (48, 16)


def test_the_code_repeats_a_run_from_a_file_of_weights(folders, resnet_file, tmp_path):
    "Its head alone first, its optimizer and augmentation, its schedule: the numbers of the run with build's seed."
    options = {"epochs": "1", "seeds": "1", "schedules": "one_cycle", "jobs": "1", "bs": 16, "size": 32}
    weights = str(resnet_file)
    knobs = {"freeze_epochs": 2, "aug": "fastai", "wd": 0.2, "opt": "torch.optim:NAdam"}
    result = compare.main(
        str(folders / "flat"), "test_resnet", **options, weights=weights, **knobs, out=tmp_path / "out"
    )
    pasted = code_in(result.text)
    assert f"weights={weights!r}" in pasted
    assert "test_resnet, torch.optim:NAdam, weight decay 0.2, fastai&#39;s aug_transforms" in result.report.read_text()
    (run,) = result.runs.itertuples()
    assert list(learner_of(pasted).recorder.values[-1][1:]) == pytest.approx([run.valid_loss, run.accuracy], rel=1e-4)


@pytest.mark.parametrize(
    "precision, auto, shown", [("fp32", "bf16", True), ("bf16", "bf16", False), ("bf16", None, False)]
)
def test_the_code_names_a_precision_that_build_would_not_choose(precision, auto, shown):
    question = {"data": "digits", "arch": "small", "size": 8, "bs": 64, "precision": precision}
    config = {"question": question, "data": {}} | ({"auto_precision": auto} if auto else {})
    assert (f"precision={precision!r}" in training_code(config, "Constant()", 1, "1e-3", "[]")) is shown


def test_the_code_for_pretrained_models():
    advice = Advice("sgdr", "CosineRestarts(cycle_len=1)", LearningRate.parse("slice(1e-5, 1e-3)"), 3, "")
    question = {"arch": "resnet34", "size": 64, "bs": 32, "data": "x"}
    config = {"question": question, "data": {"source": "/images"}}
    code = answer.code(advice, config)
    assert "build(data='/images', arch='resnet34', size=64, bs=32" in code and "lr_max=slice(1e-5, 1e-3)" in code
    assert "from lrlab.callbacks import CosineRestarts, StopOnDivergence" in code and "freeze" not in code
    compile(code, "pasted", "exec")
    question |= {"head_epochs": 2, "head_lr": 3e-3}
    head_alone = "learn.freeze()\nlearn.fit_one_cycle(2, 3e-3)  # the new head alone\nlearn.unfreeze()\nschedule = "
    assert head_alone in answer.code(advice, config)
    question |= {"scratch": True, "aug": "none", "opt": "lamb", "wd": 0.1, "folds": 5}
    code = answer.code(advice, config)
    assert "scratch=True, aug='none', wd=0.1, opt='lamb', folds=5)" in code and "freeze" not in code
    joined = Advice(
        "x", "warmup(join([(Constant(), '50%'), (CosineDecay(), '50%')]), '10%')", LearningRate(1e-3), 3, ""
    )
    assert "import Constant, CosineDecay, StopOnDivergence, join, warmup" in answer.code(joined, config)


def nested(root):
    for i, name in enumerate(("left", "right")):
        write_images(root / name, 12, seed=i)
        write_images(root / name / "2024" / "left", 4, seed=2 + i)


def with_loose_images(root):
    for i, name in enumerate(("left", "right")):
        write_images(root / name, 12, seed=i)
    next((root / "left").iterdir()).rename(root / "loose.png")


def with_a_damaged_file(root):
    for i, name in enumerate(("left", "right")):
        write_images(root / name, 20, seed=i)
    (root / "left" / "bad.png").write_bytes(b"no image")


def split_under_other_names(root):
    for split, count in (("training_set", 12), ("test_set", 4), ("more", 3)):
        for i, name in enumerate(("left", "right")):
            write_images(root / split / name, count, seed=10 * count + i)


def with_an_unlabelled_test_folder(root):
    for split, count in (("train", 12), ("valid", 4)):
        for i, name in enumerate(("left", "right")):
            write_images(root / split / name, count, seed=10 * count + i)
    write_images(root / "test", 5, seed=99)


FOLDERS = [split_under_other_names, with_an_unlabelled_test_folder, nested, with_loose_images, with_a_damaged_file]


@pytest.mark.parametrize("make", FOLDERS)
def test_the_code_runs_for_the_data_it_was_printed_for(make, tmp_path, monkeypatch):
    "With the default batch size, in another working directory, and with the images of the comparison."
    make(tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    options = {"epochs": "1", "seeds": "1", "schedules": "constant", "lr_max": "3e-3", "jobs": "1", "size": 12}
    result = compare.main("images", **options, out=tmp_path / "out")
    counts = json.loads((tmp_path / "out" / "config.json").read_text())["data"]["images"]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    pasted = code_in(result.text)
    learn = learner_of(pasted)
    assert np.isfinite(learn.recorder.values[0]).all()
    assert len(learn.dls.train_ds) + len(learn.dls.valid_ds) == counts["train"] + counts["valid"]


@pytest.mark.parametrize("file", ["train.py", "my-train.py"])
@pytest.mark.parametrize("folder", [".", "project"])
def test_the_code_of_your_own_learner_runs_whatever_its_file_is_called(file, folder, tmp_path, monkeypatch):
    source = tmp_path / folder / file
    source.parent.mkdir(exist_ok=True)
    source.write_text("import beside\n\n\ndef make():\n    return beside.LEARNER\n")
    (source.parent / "beside.py").write_text("LEARNER = 'a Learner'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])  # as in a script that lies here
    for name in ("train", "beside"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    imports, lines = own_learner({"question": {"learner": f"make of {file}"}, "data": {"source": str(source)}})
    found = {}
    exec("\n".join([*imports, *lines]), found)
    assert found["learn"] == "a Learner"
