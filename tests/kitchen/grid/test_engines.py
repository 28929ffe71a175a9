"""Where runs are computed: shared data is not copied, and an idle worker ends with its parent too."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import namedtuple

import numpy as np
import psutil
import pytest

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.grid import engines
from lrlab.recipes.kitchen.grid.engines import compute
from lrlab.recipes.kitchen.grid.place import ENGINES, Place, place_for
from lrlab.recipes.kitchen.machine.environment import fitting_jobs, peak_memory
from tests.kill_grid import alive

Task = namedtuple("Task", "run_id")


def backing(run, shared) -> tuple[int, type, int]:
    "The process, and whether the array in it is a map of a file or a copy of its own."
    time.sleep(0.2)
    array = shared["images"]
    return os.getpid(), isinstance(array, np.memmap), int(array[-1, -1])


def test_processes_map_the_images_instead_of_copying_them():
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    shared = {"images": np.arange(2_000_000, dtype=np.uint8).reshape(1000, 2000)}
    found = dict(compute([Task(f"run {i}") for i in range(4)], backing, shared, Place(jobs=2)))
    assert set(found) == {f"run {i}" for i in range(4)}
    assert all(mapped and last == shared["images"][-1, -1] for _, mapped, last in found.values())
    assert os.getpid() not in {pid for pid, _, _ in found.values()}


def test_one_job_needs_no_process():
    found = dict(compute([Task("run")], backing, {"images": np.ones((2, 2))}, Place(jobs=1)))
    assert found["run"][0] == os.getpid()


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="finds the worker processes in Linux's /proc")
def test_an_idle_worker_ends_with_its_parent():
    "Two workers and one task: the parent is killed while the other worker waits for something to do."
    script = """
        import os, time
        from lrlab.recipes.kitchen.grid import worker
        from joblib import Parallel, delayed
        pool = Parallel(n_jobs=2, backend="loky", initializer=worker.start, initargs=(os.getpid(),))
        print(*pool(delayed(lambda: time.sleep(0.3) or os.getpid())() for _ in range(4)), flush=True)
        time.sleep(600)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    workers = {int(pid) for pid in parent.stdout.readline().split()}
    assert workers and all(alive(pid) for pid in workers)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    killed = time.monotonic()
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < killed + 10
        time.sleep(0.05)


def test_as_many_jobs_as_cores_and_memory_allow(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    assert fitting_jobs(1, 1e3) == 8 and fitting_jobs(3, 1e3) == 2 and fitting_jobs(10_000, 1e3) == 1
    assert fitting_jobs(1, 1e15) == 1
    assert 5e7 < peak_memory() < psutil.virtual_memory().total


def test_places_that_cannot_be():
    assert place_for("local", "auto", None) == Place("local", None, None)
    for engine, jobs, address in [("spark", "1", None), ("local", "0", None), ("local", "1", "auto")]:
        with pytest.raises(UserError):
            place_for(engine, jobs, address)
    assert set(ENGINES) == {"local", "ray"}


def test_ctrl_c_waits_also_where_another_thread_gets_the_signal():
    "The system hands a signal to any thread that does not block it; Python then interrupts the main one."
    done = threading.Event()
    threading.Thread(target=done.wait, daemon=True).start()
    inside, usual = [], signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
    try:
        with pytest.raises(KeyboardInterrupt), engines.ctrl_c_waits():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
            inside.append("finished")
        assert inside == ["finished"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        done.set()
        signal.signal(signal.SIGINT, usual)
