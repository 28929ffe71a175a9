"""FusedAdam makes fastai's updates: every layer group, freezing, weight decay, state, with momentum on the move."""

import copy

import pytest
import torch
from fastai.optimizer import Adam
from fastai.torch_core import set_seed

from lrlab.callbacks import SGDR, OneCycle
from lrlab.recipes.kitchen.learner import fused_adam
from lrlab.recipes.kitchen.learner.fused_adam import FusedAdam
from lrlab.recipes.kitchen.workloads import ImageWorkload


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
        learn = ImageWorkload(data="digits", precision="fp32").learner(3)
        assert isinstance(learn.opt_func, type) and learn.opt_func is FusedAdam
        learn.opt_func = kind
        with learn.no_bar(), learn.no_logging():
            learn.fit_schedule(1, shape, lr_max=1e-3)
        losses.append(torch.stack([loss.detach() for loss in learn.recorder.losses]))
    assert len(losses[0]) > 15 and losses[0][-1] < losses[0][0]
    torch.testing.assert_close(*losses, rtol=1e-3, atol=1e-3)


def test_one_call_per_group_and_kind(monkeypatch):
    "What makes it fast: three groups, two of them with weights and with parameters free of decay, are six calls."
    model, calls = net(), []
    opt = optimizer(FusedAdam, model, lr=1e-3)
    count = lambda params, *_, **options: calls.append((len(params), options["weight_decay"], options["fused"]))  # noqa: E731
    monkeypatch.setattr(fused_adam, "adamw", count)
    train(model, opt, 1)
    assert calls == [(n, wd, True) for n, wd in ((1, 0.01), (3, 0.0), (1, 0.01), (1, 0.0), (1, 0.01), (1, 0.0))]


def test_state_of_another_memory_format_is_brought_into_that_of_the_parameters():
    "A checkpoint of a contiguous model is resumed as channels_last: the kernel walks through memory, not indices."
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


def strided(shape: tuple, kind: str) -> torch.Tensor:
    "Random values in one of several orders in memory."
    values = torch.randn(shape, dtype=torch.double)
    if kind == "channels_last":
        return values.contiguous(memory_format=torch.channels_last)
    if kind == "transposed":
        return values.transpose(0, 1).contiguous().transpose(0, 1)
    return values[..., :1].expand(shape) if kind == "expanded" else values


@pytest.mark.parametrize("of_gradient", ["contiguous", "channels_last", "transposed", "expanded"])
@pytest.mark.parametrize("of_parameter", ["contiguous", "channels_last", "transposed"])
def test_gradients_may_lie_in_memory_in_another_order_than_their_parameters(of_parameter, of_gradient):
    torch.manual_seed(0)
    ours = torch.nn.Parameter(strided((4, 3, 5, 5), of_parameter))
    theirs = torch.nn.Parameter(ours.detach().clone())
    opts = FusedAdam([ours], lr=0.1), Adam([theirs], lr=0.1)
    for _ in range(3):
        gradient = strided((4, 3, 5, 5), of_gradient)
        for p, opt in zip((ours, theirs), opts, strict=True):
            p.grad = gradient
            opt.step()
            p.grad = None
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_a_parameter_that_is_a_view_with_gaps_is_updated_too():
    torch.manual_seed(0)
    base = torch.randn(4, 6, dtype=torch.double)
    ours, theirs = torch.nn.Parameter(base.clone()[:, ::2]), torch.nn.Parameter(base[:, ::2].clone())
    opts = FusedAdam([ours], lr=0.1), Adam([theirs], lr=0.1)
    for _ in range(3):
        gradient = torch.randn(4, 3, dtype=torch.double)
        for p, opt in zip((ours, theirs), opts, strict=True):
            p.grad = gradient.clone()
            opt.step()
    torch.testing.assert_close(ours.detach(), theirs.detach(), rtol=1e-9, atol=1e-12)


class TwoBranches(torch.nn.Module):
    "One of two layers is used in turns, as in a model with experts or layer drop."

    def __init__(self):
        super().__init__()
        set_seed(0)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(3, 3).double() for _ in range(2))

    def forward(self, x, which):
        return self.layers[which](x)


@pytest.mark.parametrize("order", [[0, 0, 0, 1, 1, 1], [0, 1] * 4, [1, 0, 0, 0, 0]])
def test_a_weight_that_was_not_used_goes_on_with_its_momentum(order):
    "As with fastai's Adam, whose gradients are zeros then. A weight that was never used stays where it is."
    models, opts = [TwoBranches(), TwoBranches()], []
    for model, kind in zip(models, (FusedAdam, Adam), strict=True):
        opts.append(kind([list(model.parameters())], lr=0.1))
    for step, which in enumerate(order):
        for model, opt in zip(models, opts, strict=True):
            x = torch.randn(4, 3, generator=torch.Generator().manual_seed(step), dtype=torch.double)
            model(x, which).square().mean().backward()
            opt.step()
            opt.zero_grad()
        same(*models)


def test_a_layer_that_is_frozen_later_stays_where_it_is():
    model = net()
    opt = optimizer(FusedAdam, model, lr=1e-2)
    train(model, opt, 3)
    opt.freeze_to(2)
    before = copy.deepcopy(model.state_dict())
    train(model, opt, 2, start=3)
    assert torch.equal(model[3].weight, before["3.weight"]) and not torch.equal(model[5].weight, before["5.weight"])


def test_weight_decay_on_batch_norm_and_biases_is_the_reason_for_it():
    "torch's own fused AdamW in an OptimWrapper ignores fastai's mark of the parameters that are not decayed."
    from functools import partial

    from fastai.optimizer import OptimWrapper

    shrunk = {}
    for name, kind in {"ours": FusedAdam, "torch": partial(OptimWrapper, opt=torch.optim.AdamW, fused=True)}.items():
        learn = ImageWorkload(data="digits", precision="fp32").learner(0)
        learn.opt_func = kind
        learn.create_opt()
        learn.opt.set_hyper("lr", 0.1)
        learn.opt.set_hyper("wd", 0.5)
        norm = learn.model[0][0][1].weight
        norm.grad, before = torch.zeros_like(norm), norm.detach().clone()
        learn.opt.step()
        shrunk[name] = not torch.equal(norm, before)
    assert shrunk == {"ours": False, "torch": True}
