"""One trunk, many cooldowns: every branch is the separate run, what it saves, the answer in words, and the recipe."""

import json

import numpy as np
import pandas as pd
import pytest
from fastai.callback.schedule import ParamScheduler, SchedCos

from lrlab.recipes import cli, epochs
from lrlab.recipes.kitchen.errors import NothingFinished, UserError
from lrlab.recipes.kitchen.grid.tuning import Tuning
from lrlab.recipes.kitchen.learner_workload import LearnerWorkload
from lrlab.recipes.kitchen.learning_rates import LearningRate
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.train import train_run
from lrlab.recipes.kitchen.stats.measures import Measure
from lrlab.recipes.kitchen.workloads import ImageWorkload
from lrlab.recipes.studies.epochs import branch, enough, report, study
from tests.kitchen.test_learner_workload import classifier
from tests.studies.drawing import check_words, drawn
from tests.studies.pasted import run_printed_code

OWN = LearnerWorkload(classifier)  # eight steps an epoch
IMAGES = ImageWorkload("digits:60", size=8, precision="fp32", bs=8)


def run_of(workload, budget: int, lr: float = 1e-2) -> tuple[Run, object]:
    data = workload.load()
    workload = workload.resolve(data)
    steps = len(workload.learner(0, data).dls.train)
    return Run(enough.COOLDOWN, branch.trapezoid(steps), LearningRate(lr), 3, budget), data


def same(ours, theirs) -> bool:
    "Whether two runs have the same numbers, apart from the time they took."
    return (
        ours.predictions == theirs.predictions
        and ours.steps.equals(theirs.steps)
        and ours.epochs.drop(columns="seconds").equals(theirs.epochs.drop(columns="seconds"))
        and ours.row.valid_loss == theirs.row.valid_loss
        and ours.row.measures == theirs.row.measures
    )


def trained(result) -> float:
    return float(result.extra["branch.csv"].epochs_trained.iloc[0])


@pytest.mark.parametrize("workload", [IMAGES, OWN], ids=["images", "a Learner"])
def test_a_branch_is_the_separate_run_bit_for_bit(workload, tmp_path):
    cost = {}
    for budget in (1, 2, 4):
        run, data = run_of(workload, budget)
        result = branch.train_branch(run, data, workload, tmp_path)
        assert same(result, train_run(run, data, workload)), budget
        assert [file.name for file in tmp_path.iterdir()] == [f"{run.run_id}.pth"], "one state is kept"
        cost[budget] = trained(result)
    assert cost[1] == 1.0 and cost[2] < 1.4 and cost[4] < 2.6


def test_eight_budgets_take_less_than_half_of_the_epochs(tmp_path):
    budgets = range(1, 9)
    results = [branch.train_branch(*run_of(OWN, budget), OWN, tmp_path) for budget in budgets]
    total = sum(map(trained, results))
    assert total == pytest.approx(study.epochs_needed(list(budgets)), rel=0.05)
    assert total <= 0.4 * sum(budgets), "at least 60 % fewer than separate runs"


class Killed(Exception):
    pass


def test_after_a_kill_in_its_cooldown_a_run_needs_the_cooldown_alone(tmp_path, monkeypatch):
    branch.train_branch(*run_of(OWN, 2), OWN, tmp_path)
    run, data = run_of(OWN, 4)

    def after_batch(self):
        self.count += 1
        if self.count == 17:  # from step 13 on; the cooldown begins at step 26
            raise Killed("now")

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(branch.BatchCount, "after_batch", after_batch)
        branch.train_branch(run, data, OWN, tmp_path)
    result = branch.train_branch(run, data, OWN, tmp_path)
    assert trained(result) * 8 == 6 and same(result, train_run(run, data, OWN))
    assert [file.name for file in tmp_path.iterdir()] == [f"{run.run_id}.pth"]


def test_a_state_that_cannot_be_used_is_not(tmp_path, capsys):
    shorter, data = run_of(OWN, 1)
    (tmp_path / f"{shorter.run_id}.pth").write_bytes(b"damaged")
    run, _ = run_of(OWN, 2)
    result = branch.train_branch(run, data, OWN, tmp_path)
    assert same(result, train_run(run, data, OWN)) and trained(result) == 2.0
    assert "is damaged" in capsys.readouterr().out
    longer = branch.train_branch(shorter, data, OWN, tmp_path)  # the state there is of a longer run
    assert trained(longer) == 1.0


def question(**changes):
    asked = {"budgets": [1, 2, 4], "seeds": [0, 1, 2], "lr_max": LearningRate(0.1), "tolerance": 0.2}
    asked |= {"tuning": Tuning(points=3, n_seeds=1)}
    return study.Question(OWN, **asked | changes)


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    out = tmp_path_factory.mktemp("epochs") / "out"
    return out, study.answer(question(), out)


def test_the_answer_has_every_budget_and_the_schedule_beside_it(answered):
    out, found = answered
    cooled = found.summary[found.summary.schedule == "cooldown"]
    assert list(cooled.budget) == [1, 2, 4] and (cooled.n == 3).all() and cooled.lr_max.nunique() == 1
    other = found.summary[found.summary.schedule == "cosine"].iloc[0]
    runs = found.runs[found.runs.budget == 2].pivot(index="seed", columns="schedule", values="accuracy")
    assert other.budget == 2 and other["diff"] == pytest.approx((runs.cooldown - runs.cosine).mean())
    config = json.loads((out / "config.json").read_text())
    assert other.lr_max == config["tuned"]["chosen"]["2"]["cosine"] and config["question"]["tuned_at"] == [2]
    assert cooled.lr_max.iloc[0] == config["tuned"]["chosen"]["2"]["cooldown"]
    assert cooled.epochs_trained.sum() == pytest.approx(study.epochs_needed([1, 2, 4]), rel=0.06)
    for words in ("At 2 epochs the cooldown reaches", "separate runs take 21", "learn.fit_schedule("):
        assert words in found.text, found.text
    assert found.text.count(enough.finding(cooled, Measure(), 0.2)) == 1


def test_the_share_that_is_saved_follows_from_the_epochs_beside_it():
    told = report.cost_words(pd.DataFrame({"budget": [2, 4], "epochs_trained": [2.4, 2.0]}))
    assert told == "The cooldowns took 4.4 epochs of training; separate runs take 6 (27 % saved)."


def test_the_code_that_trains_with_the_answer_runs_as_pasted(answered, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    learn = run_printed_code(answered[1].text, classifier=classifier)
    assert len(learn.recorder.values) in (1, 2, 4) and (learn.path / learn.model_dir / "run.pth").exists()


def test_the_figure_shows_every_budget_and_can_be_redrawn(answered, capsys):
    out, found = answered
    fig = drawn(report.redraw, out)
    check_words(fig)
    values, lrs = fig.axes
    curve = next(line for line in values.lines if line.get_label() == "cooldown from the trunk")
    assert list(curve.get_xdata()) == [1, 2, 4]
    assert list(curve.get_ydata()) == list(found.summary["mean"][:3])
    assert values.get_xscale() == "log" and [tick.get_text() for tick in values.get_xticklabels()] == ["1", "2", "4"]
    assert sorted(text.get_text() for text in lrs.texts) == ["1", "2", "4"] and len(lrs.lines) == 3
    (out / "epochs.png").unlink()
    assert cli.main(["report", str(out)]) == 0 and (out / "epochs.png").exists()
    assert capsys.readouterr().out.strip() == found.text.strip()


@pytest.mark.usefixtures("undrawn")
def test_a_larger_number_of_epochs_continues_the_trunks(answered, capsys):
    out, _ = answered
    more = study.answer(question(budgets=[8]), out)
    assert "out is extended: the answer covers 3 seeds and 1, 2, 4 and 8 epochs" in capsys.readouterr().out
    longest = more.summary[more.summary.budget == 8].iloc[0]
    assert longest.n == 3 and longest.epochs_trained == pytest.approx(8 - 0.8 * 4, abs=0.2)
    assert json.loads((out / "config.json").read_text())["question"]["looks"] == 2
    study.answer(question(), out)
    assert "To do" not in capsys.readouterr().out, "nothing is trained again"


def table(means, spread=0.001, n=5, diverged=()):
    "The decision over budgets 1, 2, 4, ... with these mean accuracies, and seeds that deviate from them by `spread`."
    noise = np.random.default_rng(0).normal(size=(len(means), n))
    values = np.array(means)[:, None] + spread * (noise - noise.mean(1, keepdims=True))
    row = {"schedule": "cooldown", "status": "ok"}
    rows = [row | {"budget": 2**i, "seed": seed, "accuracy": values[i, seed]} for i, seed in np.ndindex(values.shape)]
    runs = pd.DataFrame(rows)
    runs.loc[runs.budget.isin(diverged), ["status", "accuracy"]] = "diverged", np.nan
    return enough.judge_budgets(runs, Measure(), None)


@pytest.mark.parametrize(
    ("judged", "budget", "says"),
    [
        (table([0.5, 0.7, 0.8, 0.804]), 4, "4 epochs are enough: 8 gain less than 1 point (95 %)"),
        (table([0.79, 0.80, 0.8, 0.804], spread=0.0002), 2, "2 epochs are enough: 8 gain less than 1 point (95 %)"),
        (table([0.8, 0.7, 0.6]), 1, "1 epoch is enough: more gain less than 1 point (95 %)"),
        (table([0.5, 0.8, 0.7]), 2, "2 epochs are enough: 4 gain less than 1 point (95 %)"),
        (table([0.5, 0.6, 0.7]), None, "Still rising at 4 epochs: train longer"),
        (table([0.5, 0.7, 0.705], spread=0.02), None, "4 epochs beat 1; whether 2 are enough is open"),
        (table([0.7, 0.705], spread=0.02), None, "2 epochs did best; whether 1 is enough is open"),
        (table([0.5, 0.71, 0.7], spread=0.03), None, "Undecided: 4 epochs may gain more than 1 point over 2"),
        (table([0.5, 0.7, 0.8], n=2), None, "4 epochs did best, but 2 seeds cannot decide"),
        (table([0.5, 0.7, 0.8], diverged=[4]), 2, "2 epochs did best: every longer run diverged or failed"),
        (table([0.5]), None, "Only 1 epoch tried: nothing to compare with"),
        (table([0.5], n=2), None, "Only 1 epoch tried: nothing to compare with"),
    ],
)
def test_the_answer_in_words(judged, budget, says):
    assert enough.enough(judged) == budget
    assert enough.finding(judged, Measure(), None) == says and len(says.split()) <= 12


def test_a_loss_is_said_in_as_few_words():
    judged = table([0.5, 0.7, 0.8, 0.804])
    assert enough.finding(judged, Measure("loss", True), None) == "4 epochs are enough: 8 gain less than 2 % (95 %)"


def test_runs_that_all_diverge_are_said_in_a_sentence(tmp_path):
    with pytest.raises(NothingFinished, match="no cooldown finished; a lower `lr_max` may help"):
        study.answer(question(budgets=[1], seeds=[0], lr_max=LearningRate(1e9), tuning=None, beside="none"), tmp_path)
    assert (tmp_path / "runs.csv").exists() and not (tmp_path / "epochs.png").exists()


def with_schedule():
    return classifier(cbs=ParamScheduler({"wd": SchedCos(0.1, 0.01)}))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"workload": LearnerWorkload(with_schedule)}, "no trunk to branch from: .*ParamScheduler"),
        ({"workload": ImageWorkload("digits:60", size=8, bs=60)}, "at least 8 steps .* 1 epoch has 1; .* batch size"),
        ({"workload": ImageWorkload("digits:10", size=8, bs=2)}, "at least 8 steps .*; list longer ones$"),
        ({"judge": Measure("dice")}, "`judge` dice: no run has it"),
    ],
)
def test_what_cannot_branch_is_refused_before_anything_is_written(changes, says, tmp_path):
    asked = question()
    with pytest.raises(UserError, match=says):
        study.answer(study.replace(asked, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_recipe(tmp_path, capsys):
    options = "--data digits:60 --size 8 --bs 6 --epochs 2 --seeds 1 --untuned --lr-max 1e-2 --beside none --jobs 1"
    assert cli.main(["epochs", *options.split(), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "Plan: 1 trunk, cooldowns at 1 and 2 epochs. The cooldowns need 2.2 epochs a seed" in printed
    assert "2 epochs did best, but 1 seed cannot decide" in printed or "1 epoch did best" in printed
    assert (tmp_path / "out" / "epochs.png").exists() and epochs.parse_budgets("5") == [1, 2, 4, 5]
