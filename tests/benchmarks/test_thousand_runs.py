"""A folder of 1,000 stored runs: how long its report takes and how much memory, and how soon one missing run starts.

Prints what it measures (`pytest tests/benchmarks/test_thousand_runs.py -s`) and checks that nothing is missing; a
clock is no test on a machine that others use too.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lrlab.recipes import compare
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.store.tables import RunResult
from tests.kill_grid import Command

SCHEDULES = "constant,step,exponential,cosine,triangular,triangular2,sgdr,one_cycle"
OPTIONS = {"data": "digits", "epochs": "7", "schedules": SCHEDULES, "lr_max": "3e-3", "size": 8, "bs": 64}
SEEDS = 125


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    "One real run of every schedule, and 124 copies of each with noise, written as the grid writes them."
    out = tmp_path_factory.mktemp("thousand") / "out"
    compare.main(**OPTIONS, seeds="1", jobs="1", out=out)
    rng = np.random.default_rng(0)
    with Store(out) as store:
        rows = store.complete()
        plan = []
        for seed in range(SEEDS):
            for run_id, row in rows.items():
                own = replace(row, run_id=run_id.removesuffix("-s0") + f"-s{seed}", seed=seed)
                plan.append(own.run_id)
                if seed:
                    noise = rng.normal(0, 0.01)
                    epochs = pd.read_csv(store.runs / run_id / "epochs.csv", dtype={"lr_max": str})
                    epochs = epochs.assign(run_id=own.run_id, seed=seed, accuracy=(epochs.accuracy + noise).clip(0, 1))
                    store.write_run(
                        RunResult(replace(own, accuracy=epochs.accuracy.iloc[-1]), epochs, store.steps(run_id))
                    )
        question = store.manifest.question | {"seeds": list(range(SEEDS))}
        store.update(question=question, plan=plan)
    return out


def test_the_report_of_a_thousand_runs(thousand):
    code = "import sys; from lrlab.recipes.cli import main; sys.exit(main(['report', sys.argv[1]]))"
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", code, str(thousand)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds, gigabytes = time.monotonic() - start, usage.ru_maxrss * 1024 / 1e9
    own = usage.ru_utime + usage.ru_stime
    size = (thousand / "report.html").stat().st_size / 1e6
    print(
        f"\nreport of 1,000 runs: {seconds:.1f} s ({own:.1f} s of processor), {gigabytes:.2f} GB, {size:.1f} MB of HTML"
    )
    assert status == 0 and len(pd.read_csv(thousand / "runs.csv")) == 1000
    page = (thousand / "report.html").read_text(encoding="utf-8")
    assert page.count("<polyline") == 3000 and page.count("<details") == 8 + 1


def test_continuing_with_one_run_missing(thousand):
    config = json.loads((thousand / "config.json").read_text(encoding="utf-8"))
    missing = config["plan"][500]
    shutil.rmtree(thousand / "runs" / missing)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
    start = time.monotonic()
    command = Command([*options, "--seeds=125", "--jobs=2", f"--out={thousand}"])
    command.wait_for("To do: 1 runs")
    begun = time.monotonic() - start
    command.wait_for("[1000/1000]")
    ended = time.monotonic() - start
    code, output = command.end()
    print(
        f"\ncontinuing 1,000 runs: training starts after {begun:.1f} s (with imports), the run ends after {ended:.1f} s"
    )
    assert code == 0, output
    assert (thousand / "runs" / missing / "run.json").exists() and len(pd.read_csv(thousand / "runs.csv")) == 1000
