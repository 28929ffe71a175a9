"""The answer in words, and the code at its end: it runs as pasted."""

import re
import textwrap

import numpy as np
import pandas as pd
import pytest
import torch

from lrlab.recipes import compare
from lrlab.recipes.kitchen.stats.summary import summarize
from lrlab.recipes.studies.compare import advice as answer
from lrlab.recipes.studies.compare import protocol
from lrlab.recipes.studies.compare.advice import Advice
from tests.conftest import write_images
from tests.kitchen.stats.test_summary import runs_table


def test_the_finding_names_no_winner_without_one():
    tied = summarize(runs_table({"constant": [0.70, 0.72, 0.71], "same": [0.71, 0.70, 0.72]}))
    assert answer.finding(tied, "constant") == "No schedule can be told apart from constant with 3 seeds"
    assert "No winner: constant has the highest mean, and cannot be told apart from same." in answer.ties(
        tied, "constant"
    )
    good = summarize(runs_table({"constant": [0.70, 0.72, 0.71], "good": [0.80, 0.83, 0.81], "bad": [0.4, 0.41, 0.42]}))
    assert answer.finding(good, "constant") == "Better than constant: good by 10.3 points; worse than constant: bad"
    assert "Ahead of every other schedule" in answer.ties(good, "constant") and "good." in answer.ties(good, "constant")


def test_the_finding_for_lost_runs():
    status = {("dead", 0): "diverged", ("dead", 1): "diverged"}
    table = summarize(runs_table({"constant": [0.7, 0.71], "dead": [0.1, 0.1]}, status))
    assert answer.finding(table, "constant") == "dead did not finish"
    assert "2 diverged" in answer.ranked_table(table, "constant")
    nothing = summarize(runs_table({"dead": [0.1, 0.1]}, status))
    assert answer.finding(nothing, "dead") == "No run finished: every schedule diverged or failed"


def test_the_words_where_the_reference_was_not_run():
    accuracy = {"good": [0.80, 0.83, 0.81], "bad": [0.4, 0.41, 0.42]}
    table = summarize(runs_table(accuracy, {("bad", 0): "diverged"}), "constant")
    sentence = "constant was not run at this budget; good has the highest mean, 81.3%"
    assert answer.finding(table, "constant") == sentence
    assert answer.ties(table, "constant").startswith("constant was not run at this budget, so nothing is compared")
    good, bad = answer.ranked_table(table, "constant").splitlines()[2:]
    assert good.endswith(" -") and bad.endswith(" 1 diverged") and "tied" not in good + bad and "," not in bad


ALONE = {"one schedule": ({"a": [0.7, 0.8]}, {}), "others lost": ({"a": [0.7, 0.8], "b": [0.1]}, {("b", 0): "failed"})}


@pytest.mark.parametrize("accuracy, status", ALONE.values(), ids=ALONE)
def test_nobody_leads_alone(accuracy, status):
    class Results:
        runs = runs_table(accuracy, status).assign(budget=7)
        question = {"schedules": {"7": {"a": "Constant()", "b": "OneCycle()"}}}

    table = summarize(Results.runs)
    assert "Ahead" not in answer.ties(table, "a") and "behind" not in answer.advice(Results, table).why
    assert protocol.budgets_finding(table) == "7 epochs: only a has a result"


def test_the_number_of_seeds_to_separate_the_top_two():
    accuracy = {"constant": [0.70, 0.72, 0.71, 0.69], "near": [0.705, 0.719, 0.716, 0.692], "far": [0.3, 0.4, 0.3, 0.4]}
    runs = runs_table(accuracy).assign(budget=7)
    text = answer.seeds_needed(runs, summarize(runs))
    differences = np.array(accuracy["near"]) - accuracy["constant"]
    seeds = int(re.search(r"about (\d+) seeds", text)[1])
    assert text.startswith("To separate near from constant with 80% power") and 4 < seeds < 100
    assert f"{100 * differences.mean():+.2f} points" in text


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
    source = data if data == "digits" else str(folders / data)
    options = {
        "epochs": "1",
        "seeds": "1",
        "schedules": "one_cycle",
        "lr_max": "slice(3e-5,3e-3)",
        "jobs": "1",
        "bs": 16,
    }
    result = compare.main(source, **options, size=12, out=tmp_path / "out")
    pasted = code_in(result.text)
    assert "from lrlab.callbacks import OneCycle" in pasted
    assert ("from fastai.vision.all import *" in pasted) == (data != "digits")
    learn = learner_of(pasted)
    assert len(learn.recorder.values) == 1 and np.isfinite(learn.recorder.values[0]).all()
    assert max(learn.recorder.lrs) == pytest.approx(3e-3, rel=0.05) and len(learn.dls.vocab) in (2, 10)
    if data == "split":
        assert (len(learn.dls.train_ds), len(learn.dls.valid_ds)) == (48, 16)


def test_the_code_repeats_a_run_from_a_file_of_weights(folders, tmp_path):
    "Its weights, its epoch of the head alone, its schedule: the same numbers as the run with build's seed."
    timm = pytest.importorskip("timm")
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.pth")
    options = {"epochs": "1", "seeds": "0,1", "schedules": "one_cycle", "jobs": "1", "bs": 16, "size": 32}
    weights = str(tmp_path / "weights.pth")
    result = compare.main(str(folders / "flat"), "test_resnet", **options, weights=weights, out=tmp_path / "out")
    pasted = code_in(result.text)
    assert f"weights={weights!r}" in pasted
    run = result.runs.set_index("seed").loc[0]
    assert list(learner_of(pasted).recorder.values[-1][1:]) == pytest.approx([run.valid_loss, run.accuracy], rel=1e-4)


def test_the_code_for_pretrained_models():
    advice = Advice("sgdr", "CosineRestarts(cycle_len=1)", slice(1e-5, 1e-3), 3, "")
    config = {"question": {"arch": "resnet34", "bs": 32, "data": "x"}, "data": {"source": "/images", "size": 64}}
    code = answer.code(advice, config)
    assert "vision_learner(dls, resnet34, metrics=accuracy)" in code and "lr_max=slice(1e-5, 1e-3)" in code
    assert "from lrlab.callbacks import CosineRestarts, StopOnDivergence" in code
    compile(code, "pasted", "exec")
    assert code.splitlines()[-2] == "learn.unfreeze()" and "fit_one_cycle" not in code
    config["question"] |= {"head_epochs": 2, "head_lr": 3e-3}
    head_alone = (
        "learn.freeze()\nlearn.fit_one_cycle(2, 3e-3)  # the new head alone\nlearn.unfreeze()\nlearn.fit_schedule("
    )
    assert head_alone in answer.code(advice, config)
    config["question"]["arch"] = "vit_tiny_patch16_224"
    assert "vision_learner(dls, 'vit_tiny_patch16_224'" in answer.code(advice, config)
    joined = Advice("x", "warmup(join([(Constant(), '50%'), (CosineDecay(), '50%')]), '10%')", 1e-3, 3, "")
    assert "import Constant, CosineDecay, StopOnDivergence, join, warmup" in answer.code(joined, config)


def test_the_advice_takes_whole_schedules_first_and_is_frank():
    class Results:
        runs = runs_table({"constant": [0.7, 0.7, 0.71], "wild": [0.9, 0.9, 0.9]}, {("wild", 1): "diverged"})
        question = {"schedules": {"7": {"constant": "Constant()", "wild": "OneCycle()"}}}

    Results.runs = Results.runs.assign(budget=7)
    best = answer.advice(Results, summarize(Results.runs))
    assert (best.schedule, best.call, best.lr_max, best.epochs) == ("constant", "Constant()", 1e-3, 7)
    assert answer.advice(Results, summarize(Results.runs.assign(status="failed"))) is None
    assert isinstance(Results.runs, pd.DataFrame)
