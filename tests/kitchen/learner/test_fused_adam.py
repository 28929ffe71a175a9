"""FusedAdam makes fastai's updates: every layer group, freezing, weight decay, state, with momentum on the move."""

import copy

import pytest
import torch
from fastai.optimizer import Adam
from fastai.torch_core import set_seed

from lrlab.callbacks import SGDR, OneCycle
from lrlab.recipes.kitchen.learner.fused_adam import FusedAdam
from lrlab.recipes.kitchen.workloads import Workload


def net() -> torch.nn.Module:
    "In double precision: a bias before batch norm has a gradient of rounding errors, and Adam makes them large."
    set_seed(1)
    layers = [torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3)]
    model = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(64, 3))
    return model.double().to(memory_format=torch.channels_last)


def optimizer(kind, model, **hypers):
    "Three layer groups; batch norm and biases without weight decay, as a Learner arranges it."
    opt = kind([list(model[:2].parameters()), list(model[3:4].parameters()), list(model[5:].parameters())], **hypers)
    for p, _, state, _ in opt.all_params():
        if p.ndim == 1:
            state["do_wd"] = False
    return opt


def train(model, opt, steps: int, start: int = 0):
    for step in range(start, start + steps):
        opt.set_hyper("lr", [1e-4 * (step + 1), 1e-3, 1e-2])
        opt.set_hyper("mom", 0.95 - 0.01 * step)
        batch = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(step), dtype=torch.double)
        model(batch.contiguous(memory_format=torch.channels_last)).square().mean().backward()
        opt.step()
        opt.zero_grad()


def same(a, b):
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("hypers", [{}, {"wd": 0.3}, {"wd": 0.0, "sqr_mom": 0.9, "eps": 1e-8}])
def test_the_updates_are_fastais(hypers):
    ours, theirs = net(), net()
    train(ours, optimizer(FusedAdam, ours, lr=1e-3, **hypers), 20)
    train(theirs, optimizer(Adam, theirs, lr=1e-3, **hypers), 20)
    same(ours, theirs)
    still = net()
    assert not torch.allclose(ours[3].weight, still[3].weight, atol=1e-3), "they did train"


def test_weight_decay_shrinks_weights_alone():
    "With a loss that does not depend on them, only the decay is left."
    model = net()
    opt = optimizer(FusedAdam, model, lr=0.1, wd=0.5)
    before = copy.deepcopy(model.state_dict())
    sum((0 * p).sum() for p in model.parameters()).backward()
    opt.step()
    torch.testing.assert_close(model[3].weight, before["3.weight"] * 0.95)
    for name in ("3.bias", "1.weight", "1.bias", "5.bias"):
        torch.testing.assert_close(model.state_dict()[name], before[name])


def test_frozen_groups_stay_and_their_state_too():
    model = net()
    opt = optimizer(FusedAdam, model, lr=1e-2)
    opt.freeze_to(2)
    before = copy.deepcopy(model.state_dict())
    train(model, opt, 3)
    assert torch.equal(model[3].weight, before["3.weight"]) and not torch.equal(model[5].weight, before["5.weight"])
    assert "step" not in opt.state[model[3].weight] and opt.state[model[5].weight]["step"] == 3
    opt.unfreeze()
    train(model, opt, 1)
    assert not torch.equal(model[3].weight, before["3.weight"])
    assert opt.state[model[3].weight]["step"] == 1 and opt.state[model[5].weight]["step"] == 4


@pytest.mark.parametrize("first", [FusedAdam, Adam])
def test_a_saved_state_goes_on_where_it_was_whichever_of_the_two_made_it(first):
    whole, begun = net(), net()
    train(whole, optimizer(Adam, whole, lr=1e-3), 8)
    opt = optimizer(first, begun, lr=1e-3)
    train(begun, opt, 4)
    later = optimizer(FusedAdam, begun, lr=1e-3)
    later.load_state_dict(copy.deepcopy(opt.state_dict()))
    train(begun, later, 4, start=4)
    same(begun, whole)


def test_a_closure_is_refused_as_in_fastai():
    with pytest.raises(NotImplementedError, match="closure"):
        optimizer(FusedAdam, net(), lr=1e-3).step(lambda: 0)


@pytest.mark.parametrize("shape", [OneCycle(), SGDR()])
def test_a_learner_of_the_kitchen_trains_as_with_fastais_adam(shape):
    "One epoch of the small net on digits: the same losses step by step, within what rounding grows to."
    losses = []
    for kind in (FusedAdam, Adam):
        learn = Workload(data="digits", precision="fp32").learner(3)
        assert isinstance(learn.opt_func, type) and learn.opt_func is FusedAdam
        learn.opt_func = kind
        with learn.no_bar(), learn.no_logging():
            learn.fit_schedule(1, shape, lr_max=1e-3)
        losses.append(torch.stack([loss.detach() for loss in learn.recorder.losses]))
    assert len(losses[0]) > 15 and losses[0][-1] < losses[0][0]
    torch.testing.assert_close(*losses, rtol=1e-3, atol=1e-3)


def test_one_call_a_group_and_kind(monkeypatch):
    "What makes it fast: three groups, two of them with weights and with parameters free of decay, are six calls."
    from lrlab.recipes.kitchen.learner import fused_adam

    model, calls = net(), []
    opt = optimizer(FusedAdam, model, lr=1e-3)
    monkeypatch.setattr(fused_adam, "adamw", lambda params, *_, **own: calls.append((len(params), own["weight_decay"])))
    train(model, opt, 1)
    assert calls == [(1, 0.01), (3, 0.0), (1, 0.01), (1, 0.0), (1, 0.01), (1, 0.0)]


def test_state_of_another_memory_format_is_brought_into_that_of_the_parameters():
    "As where a contiguous model's checkpoint goes on as channels_last: the kernel walks through memory, not indices."
    whole, begun = net(), net()
    train(whole, optimizer(Adam, whole, lr=1e-3), 8)
    opt = optimizer(FusedAdam, begun, lr=1e-3)
    train(begun, opt, 4)
    for p in begun.parameters():
        for name in ("grad_avg", "sqr_avg"):
            opt.state[p][name] = opt.state[p][name].contiguous()
    assert any(opt.state[p]["grad_avg"].stride() != p.stride() for p in begun.parameters())
    train(begun, opt, 4, start=4)
    same(begun, whole)
