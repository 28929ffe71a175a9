"""Nothing finished is lost: kills, Ctrl-C, a full disk, two commands at once, and a run that kills its process."""

import os
import signal
import time
from contextlib import contextmanager

import pandas as pd
import pytest

from lrlab.callbacks import Constant
from lrlab.recipes import compare
from lrlab.recipes.kitchen.engines import Place
from lrlab.recipes.kitchen.errors import Refused, UserError
from lrlab.recipes.kitchen.grid import plan_runs, run_grid, was_killed
from lrlab.recipes.kitchen.store import Store
from lrlab.recipes.kitchen.workloads import Workload
from tests.conftest import write_photos
from tests.kill_grid import Command, alive, complete, numbers

linux = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="finds the worker processes in Linux's /proc")
QUESTION = {"epochs": "2", "seeds": "3", "schedules": "constant,cosine", "lr_max": "3e-3", "size": 12, "bs": 16}


@pytest.fixture(scope="module")
def question(tmp_path_factory):
    photos = tmp_path_factory.mktemp("photos")
    for i, name in enumerate(("left", "right")):
        write_photos(photos / name, 32, seed=i, size=12)
    return QUESTION | {"data": str(photos)}


@pytest.fixture(scope="module")
def undisturbed(question, tmp_path_factory):
    return compare.main(**question, jobs="1", out=tmp_path_factory.mktemp("whole") / "out")


def options(question: dict, **more) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in (question | more).items()]


@linux
def test_killed_command_and_killed_worker_lose_nothing(question, undisturbed, tmp_path):
    "SIGKILL of the command amid its runs, then of a worker amid the rest: the same table as if nothing had happened."
    out = tmp_path / "out"
    command = Command(options(question, jobs=2, out=out))
    command.wait_for("[1/6]")
    workers = command.workers()
    os.kill(command.process.pid, signal.SIGKILL)
    command.process.wait()
    killed = time.monotonic()
    assert workers and 1 <= complete(out) < 6
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < killed + 10, "orphaned workers go on computing for nobody"
        time.sleep(0.05)
    kept = {file: file.stat().st_mtime_ns for file in out.glob("runs/*/run.json")}

    command = Command(options(question, jobs=2, out=out))
    while not (workers := command.workers()):
        assert command.process.poll() is None
        time.sleep(0.01)
    os.kill(workers[0], signal.SIGKILL)
    code, output = command.end()
    assert code == 0, output
    assert "Traceback" not in output and "failed" not in output, output
    assert kept == {file: file.stat().st_mtime_ns for file in kept}, "what was complete was not done again"
    pd.testing.assert_frame_equal(numbers(out), numbers(undisturbed.out), check_exact=True)


@linux
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(question, undisturbed, tmp_path):
    out = tmp_path / "out"
    command = Command(options(question | {"epochs": "2,20"}, jobs=1, out=out))
    command.wait_for("[1/12]")
    os.killpg(command.process.pid, signal.SIGINT)  # as a terminal sends it, to every process of the group
    code, output = command.end()
    assert code == 130, output
    assert "The same command continues." in output and "runs are still to be done" in output
    assert "Traceback" not in output
    done = complete(out)
    assert 1 <= done < 12 and len(numbers(out)) == done and (out / "report.html").exists()
    kept = numbers(out)
    kept = kept[kept.budget == 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, numbers(undisturbed.out).iloc[: len(kept)], check_dtype=False)


class SelfKilling(Workload):
    "A workload that kills the process in which it is trained from seed 1."

    def learner(self, seed=0, photos=None):
        if seed == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().learner(seed, photos)


@linux
def test_a_run_that_kills_its_process_is_a_row_and_the_others_go_on(question):
    workload = SelfKilling(question["data"], size=12, bs=16)
    runs = plan_runs({"constant": Constant()}, 1e-3, [0, 1, 2], epochs=1)
    rows = {}
    place = Place(jobs=2)
    assert run_grid(runs, workload, workload.photos(), lambda r: rows.update({r.row["seed"]: r.row}), place=place)
    assert [rows[seed]["status"] for seed in (0, 1, 2)] == ["ok", "failed", "ok"]
    assert was_killed(rows[1]) and "2 times" in rows[1]["error"], "tried again when the comparison is continued"


@contextmanager
def no_file_above(size: int):
    "What a full disk does, from the process's point of view: writing ends with an OSError in the middle of a file."
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@linux
def test_a_full_disk_ends_in_a_sentence_and_keeps_what_is_finished(question, tmp_path):
    "Runs of 1 epoch fit, those of 90 do not."
    out, longer = tmp_path / "out", question | {"epochs": "1,90", "seeds": "1"}
    with no_file_above(9000), pytest.raises(UserError, match="cannot be written.*2 finished runs are kept") as caught:
        compare.main(**longer, jobs="1", out=out)
    assert "\n" not in str(caught.value)
    with Store(out) as store:
        runs, epochs = store.tables()
    assert runs.budget.tolist() == [1, 1] and runs.status.tolist() == ["ok", "ok"] and len(epochs) == 2
    assert not list((out / "runs").glob(".part-*")), "no half-written run takes up the little room there is"


def test_the_second_command_on_a_folder_is_refused(question, undisturbed):
    with Store(undisturbed.out), pytest.raises(Refused, match="another lrlab command is writing there"):
        compare.main(**question, jobs="1", out=undisturbed.out)


def test_a_damaged_run_is_named_set_aside_and_done_again(question, undisturbed, tmp_path, capsys):
    import shutil

    out = tmp_path / "out"
    shutil.copytree(undisturbed.out, out)
    steps = sorted(out.glob("runs/*/steps.csv"))[2]
    steps.write_text(steps.read_text()[:100])
    again = compare.main(**question, jobs="1", out=out)
    printed = capsys.readouterr().out
    assert f"{steps.parent.name} is damaged" in printed and "To do: 1 run" in printed
    pd.testing.assert_frame_equal(numbers(out), numbers(undisturbed.out), check_exact=True)
    assert len(again.runs) == 6
