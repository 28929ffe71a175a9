"""`lrlab compare` on somebody's own photos, without a model: which one, and what is offered where it takes long."""

from io import StringIO
from types import SimpleNamespace

import pytest

from lrlab.recipes import cli, compare
from lrlab.recipes.kitchen import default_model
from lrlab.recipes.kitchen.grid import time_needed
from lrlab.recipes.kitchen.grid.time_needed import Cost, measure_cost
from lrlab.recipes.kitchen.workloads import ImageWorkload
from lrlab.recipes.studies.compare import study
from tests.conftest import write_images


@pytest.fixture
def photos(tmp_path):
    for i, name in enumerate(("left", "right")):
        write_images(tmp_path / "photos" / name, 8, seed=i, size=96)
    return tmp_path / "photos"


@pytest.fixture
def step(monkeypatch):
    "Set the seconds of a training step at 96 pixels; 30 steps an epoch, two jobs, and packages that are there."

    def set_step(seconds):
        monkeypatch.setattr(default_model, "is_installed", lambda package: True)
        monkeypatch.setattr(time_needed, "measure_cost", lambda *_: Cost(seconds, 30, 0.33, 96, 1, 2))

    return set_step


def offered(monkeypatch, tmp_path, argv) -> cli.Offer | None:
    "What is offered to this command, which is not run."
    offers = []
    monkeypatch.setattr(cli, "_accepts", lambda offer, main, given: offers.append(offer))
    monkeypatch.setattr(compare, "tell_model", lambda *_: pytest.fail("told"))
    with pytest.raises(pytest.fail.Exception, match="told"):
        cli.main(["compare", *argv])
    return offers[0] if offers else None


@pytest.mark.parametrize(
    ("seconds", "options", "changes"),
    [
        (0.001, [], None),
        (0.3, [], {"schedules": compare.QUICK_SCHEDULES}),
        (1.0, [], {"schedules": compare.QUICK_SCHEDULES, "size": 64}),
        (1.0, ["--schedules=cosine,linear"], {"size": 64}),
        (1.4, [], {"schedules": compare.QUICK_SCHEDULES, "size": 64, "epochs": 2}),
        (0.1, ["--tune", "--tune-seeds=2"], {"schedules": compare.QUICK_SCHEDULES} | compare.UNTUNED),
    ],
)
def test_what_takes_long_is_offered_in_ten_minutes(seconds, options, changes, photos, step, monkeypatch, tmp_path):
    step(seconds)
    offer = offered(monkeypatch, tmp_path, [f"--data={photos}", f"--out={tmp_path / 'out'}", *options])
    expected = None if changes is None else {"arch": "efficientnet_lite0", "minutes": 10} | changes
    assert (offer and offer.changes) == expected
    assert offer is None or "takes about" in offer.why


def test_what_is_too_long_in_any_version_is_offered_with_the_small_model(photos, step, monkeypatch, tmp_path):
    step(60.0)
    offer = offered(monkeypatch, tmp_path, [f"--data={photos}", f"--out={tmp_path / 'out'}"])
    assert offer.changes == {"arch": "small", "minutes": 10}


@pytest.fixture
def asked(monkeypatch):
    "The questions that would be answered by training."
    questions = []
    answer = lambda question, *_: questions.append(question) or SimpleNamespace(text="")  # noqa: E731
    monkeypatch.setattr(study, "answer", answer)
    return questions


@pytest.mark.parametrize(
    ("options", "arch", "size"),
    [
        (["--minutes=5"], "efficientnet_lite0", 96),
        (["--minutes=5", "--size=128"], "efficientnet_lite0", 128),
        (["--scratch"], "small", None),
        (["--quick"], "small", None),
        (["--size=32"], "small", 32),
        (["--arch=resnet18"], "resnet18", None),
    ],
)
def test_what_the_user_says_is_trained_and_no_offer_made(options, arch, size, photos, step, asked, tmp_path, capsys):
    step(60.0)
    assert cli.main(["compare", f"--data={photos}", f"--out={tmp_path / 'out'}", *options]) == 0
    assert (asked[0].workload.arch, asked[0].workload.size) == (arch, size)
    told = capsys.readouterr().out
    assert "minutes here" not in told and ("Model: efficientnet_lite0" in told) == (arch == "efficientnet_lite0")


def test_without_a_terminal_the_comparison_goes_on_as_asked(photos, step, asked, tmp_path, monkeypatch, capsys):
    step(1.0)
    monkeypatch.setattr("sys.stdin", StringIO())
    assert cli.main(["compare", f"--data={photos}", f"--out={tmp_path / 'out'}", "--seeds=4"]) == 0
    assert (asked[0].minutes, asked[0].seeds, asked[0].workload.size) == (None, [0, 1, 2, 3], 96)
    told = capsys.readouterr().out.splitlines()
    given = f"--data {photos} --seeds 4 --out {tmp_path / 'out'}"
    expected = f"    lrlab compare {given} --arch efficientnet_lite0 --minutes 10 --schedules constant,"
    assert told[0].startswith("With efficientnet_lite0 this takes about") and told[1].startswith(expected)


def test_a_comparison_that_has_begun_goes_on_without_an_offer(photos, step, asked, tmp_path, capsys):
    step(1.0)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.json").write_text("{}")
    assert cli.main(["compare", f"--data={photos}", f"--out={tmp_path / 'out'}"]) == 0
    assert asked and "minutes here" not in capsys.readouterr().out


def test_the_cost_is_measured(photos):
    cost = measure_cost(ImageWorkload(str(photos), bs=4), jobs=3)
    assert 0 < cost.step < 10 and (cost.steps, cost.size, cost.head_epochs, cost.jobs) == (3, 64, 0, 3)
    assert cost.valid == pytest.approx(1 / 3)
