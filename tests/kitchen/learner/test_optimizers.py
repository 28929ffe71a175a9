"""Optimizers by name and by import path: each trains, each is the one that was asked for."""

import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
import torch
from fastai import optimizer as fastais
from torch import nn

from lrlab.callbacks import OneCycle
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.learner.optimizers import check_optimizer, opt_func
from lrlab.recipes.kitchen.optimizer_names import FASTAI, OWN_LR
from lrlab.recipes.kitchen.workloads import build, make_workload

PACKAGES = ["prodigy"] if find_spec("prodigyopt") else []
PATHS = ["torch.optim:NAdam", "torch.optim:RMSprop"]


@pytest.mark.parametrize("opt", [*FASTAI, *PACKAGES, *PATHS])
def test_every_optimizer_trains_under_a_schedule_with_the_weight_decay_that_was_asked_for(opt):
    learn = build("digits:100", size=8, opt=opt, wd=0.25, precision="fp32")
    before = learn.model[1][-1].weight.detach().clone()
    with learn.no_bar(), learn.no_logging():
        learn.fit_schedule(1, OneCycle(), lr_max=OWN_LR.get(opt, 1e-3))
    assert torch.isfinite(torch.tensor(learn.recorder.values[0][0]))
    assert {hyper["wd"] for hyper in learn.opt.hypers} == {0.25}
    assert not torch.allclose(learn.model[1][-1].weight, before)


def step_of(make) -> torch.Tensor:
    "A parameter after two steps."
    torch.manual_seed(0)
    p = nn.Parameter(torch.randn(3, 4))
    made = make([[p]], lr=0.1)
    for _ in range(2):
        p.grad = torch.linspace(-1, 1, 12).view(3, 4)
        made.step()
    return p.detach()


THEIRS = {
    "adam": fastais.Adam,
    "sgd": lambda params, lr: fastais.SGD(params, lr, mom=0.9),
    "lamb": fastais.Lamb,
    "ranger": fastais.ranger,
    "torch.optim:NAdam": lambda params, lr: torch.optim.NAdam(params[0], lr=lr),
}


@pytest.mark.parametrize("opt", THEIRS)
def test_a_name_is_that_optimizer(opt):
    torch.testing.assert_close(step_of(opt_func(opt)), step_of(THEIRS[opt]))


def test_an_optimizer_of_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "own_optimizer_of_a_test.py").write_text(
        "from fastai.optimizer import SGD\n"
        "def plain(params, lr):\n    return SGD(params, lr)\n"
        "def wrong(params, lr):\n    return 5\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")  # put back what the import adds
    torch.testing.assert_close(step_of(opt_func("own_optimizer_of_a_test:plain")), step_of(fastais.SGD))
    check_optimizer("own_optimizer_of_a_test:plain", wd=0.1)
    with pytest.raises(UserError, match="made int; expected an optimizer of fastai or torch"):
        check_optimizer("own_optimizer_of_a_test:wrong", wd=None)
    for path in ("LBFGS", "SparseAdam", "Muon"):  # a closure, sparse gradients, matrices alone
        with pytest.raises(UserError, match=f"`opt` torch.optim:{path}: expected an optimizer of fastai or torch"):
            check_optimizer(f"torch.optim:{path}", wd=None)
    with pytest.raises(UserError, match="`wd` 0.1: `opt` torch.optim:Rprop has no weight decay"):
        check_optimizer("torch.optim:Rprop", wd=0.1)


def test_prodigy_comes_from_its_package_and_has_one_lr_for_all_layers(monkeypatch):
    monkeypatch.setitem(sys.modules, "prodigyopt", SimpleNamespace(Prodigy=torch.optim.SGD))
    torch.testing.assert_close(step_of(opt_func("prodigy")), step_of(opt_func("torch.optim:SGD")))
    workload = make_workload("digits", "efficientnet_lite0", 32, None, "fp32", opt="prodigy")
    assert workload.head_lr == 1.0 and str(workload.spread(1.0)) == "1"
    usual = make_workload("digits", "efficientnet_lite0", 32, None, "fp32")
    assert usual.head_lr == 3e-3 and str(usual.spread(1.0)) == "slice(1e-2, 1)"


def test_a_missing_package_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "prodigyopt", None)
    with pytest.raises(UserError, match=r"`opt` prodigy needs the package prodigyopt: pip install 'lrlab\[prodigy\]'$"):
        check_optimizer("prodigy", wd=None)
