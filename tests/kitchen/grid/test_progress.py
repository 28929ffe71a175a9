"""The time left, what a log says, and what a terminal shows."""

import io
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrlab.recipes.kitchen import stage
from lrlab.recipes.kitchen.grid import progress
from lrlab.recipes.kitchen.grid.progress import TimeLeft, show_progress
from lrlab.recipes.kitchen.stats.measures import Measure


def simulate(seconds: list[float], jobs: int, startup: float) -> tuple[list[float], float]:
    "The estimates after every run, as errors, of a grid of runs with these durations; and how long it took."
    ends = [startup] * jobs
    finished = []
    for i, duration in enumerate(seconds):
        slot = ends.index(min(ends))
        ends[slot] += duration
        finished.append((ends[slot], str(i), duration))
    total = max(ends)
    left = TimeLeft({str(i): 1 for i in range(len(seconds))}, jobs)
    errors = []
    for now, run_id, duration in sorted(finished):
        left.finish(run_id, duration, now)
        errors.append(left.seconds(now) - (total - now))
    return errors, total


@pytest.mark.parametrize("jobs", [1, 2, 3, 8])
@pytest.mark.parametrize("runs", [8, 24])
def test_equal_runs_are_predicted_exactly_however_many_are_in_flight(jobs, runs):
    errors, _ = simulate([10.0] * runs, jobs, startup=6)
    assert max(map(abs, errors)) < 1e-9


@given(st.lists(st.floats(8, 12), min_size=4, max_size=40), st.integers(1, 6))
def test_unequal_runs_are_predicted_within_their_spread(seconds, jobs):
    "1.0 counted none of the runs in flight: with 2 jobs it predicted twice the time."
    errors, total = simulate(seconds, jobs, startup=5)
    assert max(map(abs, errors)) <= max(0.5 * total, 12)
    assert abs(errors[-1]) < 1e-9


def test_budgets_count_by_their_epochs():
    left = TimeLeft({"short": 1, "long": 10}, jobs=1)
    assert left.seconds(0) is None
    left.finish("short", 3, now=3)
    assert left.seconds(now=3) == 30 and left.seconds(now=13) == 20 and left.seconds(now=100) == 0


def test_failed_runs_tell_nothing_about_the_speed():
    left = TimeLeft({"a": 1, "b": 1, "c": 1}, jobs=1)
    left.finish("a", float("nan"), now=1)
    assert left.seconds(now=1) is None
    left.finish("b", 4, now=5)
    assert left.seconds(now=5) == 4


def fake_run(arm: str, lr_max: float = 3e-3):
    return SimpleNamespace(run_id=arm, arm=arm, seed=0, epochs=2, lr_max=lr_max)


def fake_result(arm: str, **values):
    row = {
        "measures": {},
        "run_id": arm,
        "schedule": arm,
        "lr_max": "3e-3",
        "seed": 0,
        "status": "ok",
        "error": "",
        "seconds": 8.2,
    }
    return SimpleNamespace(row=SimpleNamespace(**row | {"accuracy": 0.993} | values))


def test_a_log_has_one_line_per_finished_run(capsys):
    there, *todo = runs = [fake_run("linear"), fake_run("cosine"), fake_run("step")]
    with show_progress(runs, todo, jobs=1) as shown:
        shown.advance(fake_result("cosine"))
        shown.advance(fake_result("step", status="diverged", error="loss is nan", accuracy=float("nan")))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Already there: 1 of 3 runs"
    assert lines[1].startswith("[2/3] cosine seed 0: accuracy 99.3 % in 8 s; about 0:0")
    assert lines[2] == "[3/3] step seed 0: diverged (loss is nan)"


def test_the_lr_is_told_where_runs_differ_in_it(capsys):
    "Also where all but one LR of a grid are trained."
    there, *todo = runs = [fake_run("b", 1e-3), fake_run("a", 3e-3)]
    with show_progress(runs, todo, jobs=1) as shown:
        shown.advance(fake_result("a"))
    assert "a lr_max 3e-3 seed 0: " in capsys.readouterr().out


def test_a_line_shows_the_measure_that_judges(capsys):
    runs = [fake_run("a"), fake_run("b")]
    with show_progress(runs, runs, 1, Measure("brier", lower_is_better=True)) as shown:
        shown.advance(fake_result("a", measures={"brier": 0.1234}, valid_loss=0.5))
        shown.advance(fake_result("b", valid_loss=0.5, accuracy=None))
    lines = capsys.readouterr().out.splitlines()
    assert "Brier score 0.1234" in lines[0]
    assert "b seed 0: loss 0.5 in" in lines[1]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_stages_then_a_bar_and_keeps_the_results(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)  # here: pytest replaces it after the fixtures
    for name, value in (("TERM", "xterm"), ("COLUMNS", "80"), ("LINES", "24")):
        monkeypatch.setenv(name, value)
    with stage.spinner("Loading"):
        stage.stage("Reading images")
        runs = [fake_run("cosine"), fake_run("step")]
        with show_progress(runs, runs, jobs=2) as shown:
            assert isinstance(shown, progress.Bar)
            shown.advance(fake_result("cosine"))
        stage.stage("Drawing")
    assert stage._shown == []
    seen = terminal.getvalue()
    assert "[1/2] cosine seed 0: accuracy 99.3 % in 8 s" in seen and "1/2" in seen
    assert seen.index("Reading images") < seen.index("[1/2]") < seen.rindex("Drawing")


def test_nothing_spins_in_a_log(capsys):
    with stage.spinner("Loading"):
        stage.stage("Reading images")
    assert capsys.readouterr().out == ""
