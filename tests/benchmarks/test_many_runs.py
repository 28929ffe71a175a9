"""A folder of many stored runs: how long its report takes and how much memory, and how soon one missing run starts.

Checks that nothing is missing, and prints what it measures (`-s`): a clock is no test on a machine that others use too.
With SEEDS = 125 and all of digits it is a folder of a thousand ordinary runs.
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
from tests.conftest import draw_nothing
from tests.kill_grid import Command

SCHEDULES = "constant,step,exponential,cosine,triangular,triangular2,sgdr,one_cycle"
OPTIONS = {"data": "digits:200", "epochs": "7", "schedules": SCHEDULES, "lr_max": "3e-3", "size": 8, "bs": 64}
SEEDS = 5
RUNS = len(SCHEDULES.split(",")) * SEEDS


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    "One real run of every schedule, and copies of each with noise, written as the grid writes them."
    out = tmp_path_factory.mktemp("many") / "out"
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch.setattr)
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


def test_the_report_of_many_runs(many):
    code = "import sys; from lrlab.recipes.cli import main; sys.exit(main(['report', sys.argv[1]]))"
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", code, str(many)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds, gigabytes = time.monotonic() - start, usage.ru_maxrss * 1024 / 1e9
    own = usage.ru_utime + usage.ru_stime
    size = (many / "report.html").stat().st_size / 1e6
    print(f"\nreport of {RUNS} runs: {seconds:.1f} s ({own:.1f} s of CPU), {gigabytes:.2f} GB, {size:.1f} MB of HTML")
    assert status == 0 and len(pd.read_csv(many / "runs.csv")) == RUNS
    page = (many / "report.html").read_text(encoding="utf-8")
    assert page.count("<polyline") == 3 * RUNS and page.count("<details") == 8 + 1


def test_continuing_with_one_run_missing(many):
    config = json.loads((many / "config.json").read_text(encoding="utf-8"))
    missing = config["plan"][RUNS // 2]
    shutil.rmtree(many / "runs" / missing)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
    start = time.monotonic()
    command = Command([*options, f"--seeds={SEEDS}", "--jobs=2", f"--out={many}"])
    command.wait_for("To do: 1 run")
    begun = time.monotonic() - start
    command.wait_for(f"[{RUNS}/{RUNS}]")
    ended = time.monotonic() - start
    code, output = command.end()
    print(f"\ncontinuing {RUNS} runs: training starts after {begun:.1f} s (with imports) and ends after {ended:.1f} s")
    assert code == 0, output
    assert (many / "runs" / missing / "run.json").exists() and len(pd.read_csv(many / "runs.csv")) == RUNS
