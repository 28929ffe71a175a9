"""Transfer learning: what a frozen body allows to be computed once, how far weights move, and the recipe."""

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.torch_core import set_seed

from lrlab.recipes import cli, transfer
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision
from lrlab.recipes.kitchen.runs.frozen_body import TensorDL, body_outputs, head_learner
from lrlab.recipes.kitchen.workloads import ImageWorkload
from lrlab.recipes.studies.transfer import figure as transfer_figure
from lrlab.recipes.studies.transfer import report as transfer_report
from lrlab.recipes.studies.transfer.figure import lr_by_group
from lrlab.recipes.studies.transfer.train import movement
from tests.studies.drawing import check_words, drawn

prepare_torchvision()  # timm imports torchvision
pytest.importorskip("timm")


class FrozenBody(Callback):
    "Keeps the body of a Learner as `body_outputs` uses it, for the same stage done the long way."

    def before_train(self):
        self.learn.model[0].eval()


def learner(weights, precision="fp32"):
    return ImageWorkload("digits", "test_resnet", size=32, bs=128, precision=precision, weights=str(weights)).learner(0)


def images(learn, split):
    "All images of a split as the model would get them, in order, and their labels."
    batches = list(learn.dls.loaders[split].new(shuffle=False, drop_last=False))
    x, y = (torch.cat([batch[i].as_subclass(torch.Tensor) for batch in batches]) for i in (0, 1))
    return x, y


def the_long_way(learn, seed, epochs):
    "The same head stage with the whole model in every step."
    parts = [images(learn, 0), images(learn, 1)]
    set_seed(seed)
    bs = learn.dls.train.bs
    dls = DataLoaders(TensorDL(*parts[0], bs, True), TensorDL(*parts[1], 2 * bs, False), device=learn.dls.device)
    for p in learn.model[0].parameters():
        p.requires_grad_(False)
    whole = Learner(dls, learn.model, CrossEntropyLossFlat(), cbs=FrozenBody())
    with whole.no_bar(), whole.no_logging():
        whole.fit_one_cycle(epochs, 3e-3)


def count_images(learn) -> list[int]:
    "How many images go through the body of a Learner, batch by batch, from now on."
    sizes = []
    learn.model[0].register_forward_hook(lambda body, inputs, output: sizes.append(len(output)))
    return sizes


def test_features_computed_once_give_the_same_head(resnet_file):
    "And the body then sees every image once, not once an epoch."
    long, short, untrained = learner(resnet_file), learner(resnet_file), learner(resnet_file)
    seen_long, seen_short = count_images(long), count_images(short)
    the_long_way(long, 5, 3)
    head = head_learner(short, 5)
    with head.no_bar(), head.no_logging():
        head.fit_one_cycle(3, 3e-3)
    for name, value in short.model[1].state_dict().items():
        assert torch.allclose(value, long.model[1].state_dict()[name], atol=1e-4), name
    before = untrained.model[1].state_dict()
    assert any(not torch.equal(before[name], value) for name, value in short.model[1].state_dict().items())
    assert sum(seen_short) == len(short.dls.train_ds) + len(short.dls.valid_ds)
    assert sum(seen_long) > 2.5 * sum(seen_short), "three epochs, each without a part of a batch"
    for one, other in zip(short.model[0].state_dict().values(), untrained.model[0].state_dict().values(), strict=True):
        assert torch.equal(one, other), "the body, its batch norms too, is as it was"


def test_body_outputs_are_unaugmented_in_order_and_leave_the_loaders_alone(resnet_file):
    learn = ImageWorkload("solar:200", "test_resnet", size=32, precision="fp32", weights=str(resnet_file)).learner(0)
    first, labels = body_outputs(learn, 1)
    again, _ = body_outputs(learn, 1)
    assert torch.equal(first, again) and len(first) == len(learn.dls.valid_ds)
    image_set = ImageWorkload("solar:200", "small", size=32).load().split_by(0)
    assert labels.tolist() == image_set.labels[image_set.splits["valid"]].tolist()
    train, _ = body_outputs(learn, 0)
    assert torch.equal(train, body_outputs(learn, 0)[0]), "no flips"
    batch = learn.dls.train.one_batch()[0]
    assert batch.shape[1] == 3 and learn.model.training


def test_movement_is_relative():
    before, after = [torch.tensor([3.0, 4.0]), torch.ones(4)], [torch.tensor([3.0, 4.0]), 2 * torch.ones(4)]
    assert movement(before, after) == [0.0, 1.0]


def test_a_frozen_group_has_no_lr():
    steps = pd.DataFrame({"step": [0, 0, 1, 1], "group": [0, 1, 0, 1], "lr": [0.0, 1.0, 0.5, 1.0]})
    lrs = lr_by_group(steps, 3)
    assert lrs.shape == (2, 3)
    np.testing.assert_equal(lrs[0], [np.nan, 1.0, np.nan])


@pytest.fixture(scope="module")
def answered(tmp_path_factory, resnet_file):
    out = tmp_path_factory.mktemp("transfer")
    options = {
        "data": "digits:240",
        "arch": "test_resnet",
        "size": 32,
        "bs": 32,
        "seeds": "1",
        "epochs": 2,
        "jobs": "1",
    }
    options |= {"weights": str(resnet_file), "precision": "fp32", "out": str(out)}
    return out, options, transfer.main(**options)


def test_the_arms_do_what_their_names_say(answered):
    out, _, found = answered
    moved = found.movement.pivot(index="schedule", columns="group", values="moved")
    assert (moved.loc["head_only", ["stem", "early", "late"]] == 0).all() and moved.loc["head_only", "head"] > 0
    assert moved.loc["slice", ["stem", "early", "late", "head"]].is_monotonic_increasing
    assert (moved.loc["one_high_lr", ["stem", "early"]] > 10 * moved.loc["slice", ["stem", "early"]]).all()
    assert moved.loc["gradual", "early"] < moved.loc["slice", "early"] / 3, (
        "two epochs thaw the head and one group more"
    )
    budget = found.runs.set_index("schedule").epochs
    assert budget.scratch == 3 and (budget.drop("scratch") == 2).all()
    steps = {run_id: pd.read_csv(out / "runs" / run_id / "steps.csv") for run_id in found.runs.run_id}
    counts = {run_id.split("-")[0]: table.step.nunique() for run_id, table in steps.items()}
    assert len({n for arm, n in counts.items() if not arm.startswith("scratch")}) == 1, "equal optimizer steps"


@pytest.mark.usefixtures("undrawn")
def test_the_answer_names_numbers_and_the_same_command_trains_nothing(answered, capsys):
    out, options, found = answered
    assert "One high LR against the slice: " in found.text and "Training from scratch reaches" in found.text
    assert "nan to" not in found.text, "one seed has no interval"
    again = transfer.main(**options)
    assert "To do" not in capsys.readouterr().out
    pd.testing.assert_frame_equal(found.summary, again.summary)


def test_the_figure_has_a_column_an_arm_with_the_movement_of_every_group(answered):
    out, _, found = answered
    fig = drawn(transfer_report.redraw, out)
    check_words(fig)
    assert fig.get_suptitle() == transfer_report.finding(found.summary)
    order, n = list(found.summary.schedule), len(found.summary)
    assert [ax.get_title().splitlines()[0] for ax in fig.axes[:n]] == order
    moved = found.movement.set_index("schedule").moved
    for ax, arm in zip(fig.axes[n : 2 * n], order, strict=True):
        assert [bar.get_height() for bar in ax.patches] == pytest.approx([m for m in moved[arm] if m])
    final = fig.axes[-1]
    assert [label.get_text() for label in final.get_yticklabels()] == order
    assert [round(line.get_xdata()[0], 6) for line in final.lines if line.get_markersize() == 8] == pytest.approx(
        found.summary["mean"].round(6).tolist()
    )


@pytest.mark.usefixtures("undrawn")
def test_one_way_alone_needs_no_lr_range_test_and_gives_the_same_numbers(answered, tmp_path):
    _, options, found = answered
    alone = transfer.main(**options | {"out": str(tmp_path / "alone"), "arms": "head-only"})
    assert list(alone.summary.schedule) == ["head_only"] and not (tmp_path / "alone" / "lr_find.csv").exists()
    assert alone.runs.accuracy.item() == found.runs.set_index("schedule").accuracy.head_only
    assert alone.text.count("head_only") >= 3 and "slice" not in alone.text.split("Figure")[0].split("head_only")[-1]


def test_an_arm_that_finished_is_not_called_diverged_because_the_reference_did():
    arms = pd.DataFrame(
        [("scratch", 0.6, np.nan, 0, 0), ("slice", np.nan, 0.0, 0, 0), ("gradual", 0.7, 0.1, -0.1, 0.3)],
        columns=["schedule", "mean", "diff", "diff_low", "diff_high"],
    )
    said = [transfer_figure.difference_words(row, "slice") for _, row in arms.iterrows()]
    assert said == ["60.0 %, no comparison", "diverged", "70.0 %, +10.0 points: undecided"]
    assert transfer_figure.difference_words(arms.iloc[2], "gradual") == "70.0 %"


def test_report_redraws_it(answered):
    out, _, found = answered
    for name in ("transfer.png", "summary.csv"):
        (out / name).unlink()
    assert cli.main(["report", str(out)]) == 0 and (out / "transfer.png").exists()
    pd.testing.assert_frame_equal(pd.read_csv(out / "summary.csv"), found.summary)
    assert cli.main(["report", str(out), "--out", str(out / "other")]) == 2, "only comparisons are merged or moved"


@pytest.mark.parametrize(
    "option",
    [
        ["--arch", "small"],
        ["--lr", "3e-3"],
        ["--lr", "slice(3e-3)"],
        ["--epochs", "0"],
        ["--low", "x"],
        ["--arms", "slcie"],
        ["--arms", ","],
    ],
)
def test_bad_options_are_one_sentence(tmp_path, capsys, option):
    assert cli.main(["transfer", *option, "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
