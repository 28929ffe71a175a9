"""The code in callbacks/README.md runs as pasted, and its optimizers follow the schedules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import lrlab.callbacks

TEXT = (Path(lrlab.callbacks.__file__).parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.M | re.S)


@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: code.split("\n")[0])
def test_python_runs_as_pasted(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "callbacks/README.md", "exec"), {"__name__": "readme"})


def test_prodigy_and_muon_follow_the_schedule(make_learner, witness):
    names: dict = {"__name__": "readme"}
    exec(compile(BLOCKS[-1], "callbacks/README.md", "exec"), names)
    decay = names["CosineDecay"]()
    learn = make_learner(opt_func=names["partial"](names["OptimWrapper"], opt=names["Prodigy"]))
    learn.fit_schedule(10, decay, lr_max=1, cbs=witness)
    assert learn.recorder.values[-1][1] < 0.1 * learn.recorder.values[0][1]  # the LR that it found is a good one
    assert [lr for (lr,) in witness.lrs] == pytest.approx(decay.multipliers(100, 10))

    model = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    learn = make_learner(model=model, splitter=names["matrices_last"], opt_func=names["muon"])
    learn.fit_schedule(1, decay, lr_max=[1e-3, 2e-2], cbs=witness)
    assert [lrs[1] for lrs in witness.lrs] == pytest.approx(2e-2 * decay.multipliers(10, 10))
    assert [hypers["use_muon"] for hypers in learn.opt.hypers] == [False, True]
    assert [p.ndim for group in learn.opt.param_lists for p in group] == [1, 1, 2, 2]
