"""Writes results/reference/parity: for every schedule and peer, the largest difference at any step.

    python tests/callbacks/parity_table.py

It runs the cases of the parity tests, which stand beside it, in about half a minute on one core.
"""

from __future__ import annotations

import platform
import subprocess
import warnings
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from test_parity import CASES, TOLERANCE, largest_difference
from test_parity_fastai import FITS, FLOAT32

FOLDER = Path(__file__).parents[2] / "results" / "reference" / "parity"
PEERS = ["torch", "timm", "pytorch-ignite", "transformers", "fastai"]

TEXT = """# Parity: lrlab's schedules against their peers

For each schedule and each peer that has it, the largest absolute difference at any step of any configuration, with
lr_max = 1; momentum included where the peer cycles it. {drawn:,} configurations in all: drawn by hypothesis, up to a
few hundred steps each, and for fastai real fits. The tests allow {tolerance:g}, and {float32:g} for fastai, which keeps
the bounds of its phases in float32.

Where a peer is wrong (late or missed restarts, peaks below the floor), the tests show its number beside the formula of
the paper: `tests/callbacks/test_parity.py`, `test_parity_fastai.py`.

| schedule | peer | configurations | largest difference |
|---|---|---:|---:|
{rows}

Made on {day} at commit {commit} with Python {python} and {versions} by

    python tests/callbacks/parity_table.py
"""


def drawn_cases() -> list[dict]:
    rows = []
    for case in CASES:
        worst, drawn = largest_difference(case)
        rows.append(row(case.schedule, case.peer, drawn, worst))
    return rows


def fastai_fits() -> list[dict]:
    rows = []
    for (schedule, peer), (compare, configs) in FITS.items():
        curves = [pair for config in configs for pair in compare(**config).values()]
        worst = max(float(np.abs(ours - theirs).max()) for ours, theirs in curves)
        rows.append(row(schedule, peer, len(configs), worst))
    return rows


def row(schedule: str, peer: str, configurations: int, worst: float) -> dict:
    return {"schedule": schedule, "peer": peer, "configurations": configurations, "largest_difference": worst}


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    table = pd.DataFrame(drawn_cases() + fastai_fits())
    FOLDER.mkdir(parents=True, exist_ok=True)
    table.to_csv(FOLDER / "parity.csv", index=False, float_format="%.1e")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=FOLDER).stdout
    lines = [
        f"| {each.schedule} | {each.peer} | {each.configurations} | {each.largest_difference:.1e} |"
        for each in table.itertuples()
    ]
    text = TEXT.format(
        drawn=table.configurations.sum(),
        tolerance=TOLERANCE,
        float32=FLOAT32,
        rows="\n".join(lines),
        day=date.today().isoformat(),
        commit=commit.strip(),
        python=platform.python_version(),
        versions=", ".join(f"{peer} {version(peer)}" for peer in PEERS),
    )
    (FOLDER / "README.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
