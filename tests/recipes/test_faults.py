"""Nothing finished is lost: kills, Ctrl-C, a full disk, two commands at once, and a run that kills its process."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import cloudpickle
import pandas as pd
import pytest

from lrlab.recipes import compare, snapshot_ensemble
from lrlab.recipes.kitchen.errors import Refused, UserError
from lrlab.recipes.kitchen.grid.place import Place
from lrlab.recipes.kitchen.grid.runner import run_tasks, was_killed
from lrlab.recipes.kitchen.runs.plan import Run, plan_runs
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.store.tables import RunResult, RunRow
from lrlab.recipes.studies.snapshot_ensemble import loss_plane
from tests.conftest import no_file_above, write_images
from tests.kill_grid import alive, complete, numbers
from tests.kitchen.tasks import SCRIPT
from tests.processes import Command

pytestmark = pytest.mark.usefixtures("undrawn")
linux = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="finds the worker processes in Linux's /proc")
QUESTION = {
    "epochs": "2",
    "seeds": "3",
    "schedules": "constant,cosine",
    "lr_max": "3e-3",
    "size": 12,
    "bs": 16,
    "precision": "fp32",
}


@pytest.fixture(scope="module")
def question(tmp_path_factory):
    image_set = tmp_path_factory.mktemp("images")
    for i, name in enumerate(("left", "right")):
        write_images(image_set / name, 32, seed=i, size=12)
    return QUESTION | {"data": str(image_set)}


@pytest.fixture(scope="module")
def undisturbed(question, tmp_path_factory):
    return compare.main(**question, jobs="1", out=tmp_path_factory.mktemp("whole") / "out")


def options(question: dict, **more) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in (question | more).items()]


@linux
def test_a_killed_worker_and_a_killed_command_lose_nothing(question, undisturbed, tmp_path, capsys):
    "SIGKILL of a worker amid its runs, then of the command: continued, the same table as if nothing had happened."
    out = tmp_path / "out"
    command = Command(options(question, jobs=2, out=out))
    command.wait_for("[1/6]")
    os.kill(command.workers()[0], signal.SIGKILL)
    command.wait_for(f"[{complete(out) + 1}/6]")
    workers = command.workers()
    os.kill(command.process.pid, signal.SIGKILL)
    _, output = command.end()
    assert "Traceback" not in output and "failed" not in output, output
    assert workers and 2 <= complete(out) < 6
    deadline = time.monotonic() + 60
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < deadline, "orphaned workers continue to compute for nobody"
        time.sleep(0.05)
    kept = {file: file.stat().st_mtime_ns for file in out.glob("runs/[!.]*/run.json")}

    compare.main(**question, jobs="1", out=out)
    assert f"To do: {6 - len(kept)} run" in capsys.readouterr().out
    assert kept == {file: file.stat().st_mtime_ns for file in kept}, "what was complete was not done again"
    pd.testing.assert_frame_equal(numbers(out), numbers(undisturbed.out), check_exact=True)


@linux
def test_a_killed_comparison_of_your_own_learner_gives_the_same_table(tmp_path):
    "Killed amid its runs, then continued: the same as one undisturbed process."
    (tmp_path / "train.py").write_text(SCRIPT)
    asked = {"learner": f"{tmp_path / 'train.py'}:make", "epochs": 12, "seeds": 3, "schedules": "constant,cosine"}
    asked |= {"lr_max": 1e-2}
    out = tmp_path / "out"
    command = Command(options(asked, jobs=1, out=out))
    command.wait_for("[2/6]")
    os.kill(command.process.pid, signal.SIGKILL)
    command.end()
    assert 2 <= complete(out) < 6
    again, alone = (compare.main(**asked, jobs=1, out=folder) for folder in (out, tmp_path / "alone"))
    pd.testing.assert_frame_equal(numbers(again.out), numbers(alone.out), check_exact=True)


@linux
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(question, undisturbed, tmp_path):
    out = tmp_path / "out"
    command = Command(options(question | {"epochs": "2,8"}, jobs=1, out=out))
    command.wait_for("[1/12]")
    os.killpg(command.process.pid, signal.SIGINT)  # as a terminal sends it, to every process of the group
    code, output = command.end()
    assert code == 130, output
    assert "runs unfinished: the same command continues." in output
    assert "Traceback" not in output
    done = complete(out)
    assert 1 <= done < 12 and len(numbers(out)) == done and (out / "report.html").exists()
    kept = numbers(out)
    kept = kept[kept.budget == 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, numbers(undisturbed.out).iloc[: len(kept)], check_dtype=False)


def interrupt_twice(command: Command) -> str:
    "Ctrl-C, and again when the command says that it waits for the runs in flight. Returns its output."
    os.killpg(command.process.pid, signal.SIGINT)
    while not command.saw("Stopping after the runs in flight") and command.process.poll() is None:
        time.sleep(0.02)  # before the first run has begun, one Ctrl-C is enough
    if command.process.poll() is None:
        os.killpg(command.process.pid, signal.SIGINT)
    code, output = command.end()
    assert code == 130 and "Traceback" not in output and "\nStopped" in output, output
    return output


@linux
def test_ctrl_c_twice_stops_at_once(question, tmp_path):
    out = tmp_path / "out"
    command = Command(options(question | {"epochs": "5000"}, jobs=2, out=out))
    command.wait_for("To do")
    interrupt_twice(command)
    assert complete(out) == 0, "it waited for a run of 5000 epochs"


@linux
def test_a_lesson_survives_ctrl_c_twice(question, tmp_path, monkeypatch):
    "Its finished run is kept. The same command then does the rest, and draws."
    wanted = {name: question[name] for name in ("data", "size", "bs", "precision")}
    wanted |= {"seeds": "1", "epochs": 12, "cycles": 3}
    out = tmp_path / "out"
    command = Command(options(wanted, jobs=1, out=out), "snapshot-ensemble")
    command.wait_for("[1/3]")
    assert "failed" not in interrupt_twice(command)
    assert 1 <= complete(out) < 3 and not (out / "snapshot_ensemble.png").exists()
    kept = {file: file.stat().st_mtime_ns for file in out.glob("runs/[!.]*/run.json")}
    monkeypatch.setattr(loss_plane, "RESOLUTION", 2)
    found = snapshot_ensemble.main(**wanted, jobs="1", out=str(out))
    assert kept == {file: file.stat().st_mtime_ns for file in kept}
    assert numbers(out).status.tolist() == ["ok"] * 3 and "The ensemble reaches" in found.text
    assert (out / "snapshot_ensemble.png").exists()


def train_or_die(run: Run, shared) -> RunResult:
    "A task that kills the process in which it is done for seed 1. It loads no torch, so workers start quickly."
    if run.seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return RunResult(RunRow(**vars(run.key)), pd.DataFrame(), pd.DataFrame())


@linux
def test_a_run_that_kills_its_process_is_a_row_and_the_others_are_finished():
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    rows = {}
    runs = plan_runs({"constant": None}, 1e-3, [0, 1, 2], epochs=1)
    assert run_tasks(runs, train_or_die, None, lambda r: rows.update({r.row.seed: r.row}), Place(jobs=2))
    assert [rows[seed].status for seed in (0, 1, 2)] == ["ok", "failed", "ok"]
    assert was_killed(rows[1]) and "2 times" in rows[1].error, "tried again when the comparison is continued"


@linux
def test_a_full_disk_ends_in_a_sentence_and_keeps_what_is_finished(question, undisturbed, tmp_path):
    "Runs of 1 epoch fit, those of 80 do not. The images are in the cache already."
    out, longer = tmp_path / "out", question | {"epochs": "1,80", "seeds": "1"}
    with no_file_above(7_000), pytest.raises(UserError, match="cannot be written.*2 finished runs are kept") as caught:
        compare.main(**longer, jobs="1", out=out)
    assert "\n" not in str(caught.value)
    with Store(out) as store:
        runs, epochs = store.tables()
    assert runs.budget.tolist() == [1, 1] and runs.status.tolist() == ["ok", "ok"] and len(epochs) == 2
    assert not list((out / "runs").glob(".part-*")), "no half-written run takes up the little room there is"


ON_SMALL_DISKS = """
import subprocess, sys
from pathlib import Path
from lrlab.recipes import cli
from lrlab.recipes.kitchen.data import catalog as data

images, cache, out = map(Path, sys.argv[1:])
for folder, how in ((cache, "size=1m"), (out, "size=1m,ro")):
    subprocess.run(["mount", "-t", "tmpfs", "-o", how, "tmpfs", folder], check=True)
options = ["lr-find", "--data", str(images), "--bs", "16", "--precision", "fp32"]
print(cli.main([*options, "--size", "96"]), sorted(file.name for file in cache.iterdir()))
print(cli.main([*options, "--size", "12", "--out", str(out)]), len(list(cache.glob("photos-*/images.npy"))))
print(len(data.load(str(images), 12).images))
"""


@linux
def test_a_full_disk_of_the_cache_and_results_that_cannot_be_written(question, tmp_path):
    "Real file systems: one of 1 MB for 1.8 MB of decoded images, and one that is read-only."
    alone = ["unshare", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*alone, "mount", "-t", "tmpfs", "t", "/mnt"]).returncode:
        pytest.skip("no file system can be mounted here")
    cache, out = tmp_path / "cache", tmp_path / "out"
    cache.mkdir()
    out.mkdir()
    command = [*alone, sys.executable, "-c", ON_SMALL_DISKS, question["data"], str(cache), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"LRLAB_CACHE": str(cache)})
    full, read_only = [line for line in done.stderr.splitlines() if line.startswith("lrlab: ")]
    assert re.search("decoded images take 2 MB and .*cache has 1 MB left; choose a smaller --size, or set", full)
    assert f"--out {out}: cannot be written (Read-only file system)" in read_only and "Traceback" not in done.stderr
    assert done.stdout.splitlines() == ["2 []", "2 1", "64"], "nothing is left of what did not fit; the rest is cached"


def test_the_second_command_on_a_folder_is_refused(question, undisturbed):
    with Store(undisturbed.out), pytest.raises(Refused, match="another lrlab command is writing there"):
        compare.main(**question, jobs="1", out=undisturbed.out)


def test_a_damaged_run_is_named_set_aside_and_done_again(question, undisturbed, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(undisturbed.out, out)
    steps = sorted(out.glob("runs/*/steps.csv"))[2]
    steps.write_text(steps.read_text()[:100])
    again = compare.main(**question, jobs="1", out=out)
    printed = capsys.readouterr().out
    assert f"{steps.parent.name} is damaged" in printed and "To do: 1 run" in printed
    pd.testing.assert_frame_equal(numbers(out), numbers(undisturbed.out), check_exact=True)
    assert len(again.runs) == 6
