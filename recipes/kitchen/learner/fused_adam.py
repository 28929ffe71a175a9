"""fastai's Adam by torch's fused kernel: one call per layer group instead of five Python functions per parameter."""

from collections.abc import Callable, Sequence

import torch
from fastai.optimizer import Optimizer

from lrlab.recipes.kitchen.learner import private_names

private_names.check()
adamw = private_names.adamw_function()


class FusedAdam(Optimizer):
    """`fastai.optimizer.Adam`, up to rounding, in a third of the time (Loshchilov & Hutter, arXiv:1711.05101).

    Layer groups, hypers, state and defaults are fastai's, so slices of LRs, freezing and every callback work. torch's
    `AdamW(fused=True)` in an `OptimWrapper` is as fast, but it decays batch norm and biases too, and is wrong where a
    gradient lies in memory in another order than its parameter.

    A parameter without a gradient goes on with its momentum, as with fastai's Adam. A frozen one stays as it is.
    """

    def __init__(self, params, lr: float, mom: float = 0.9, sqr_mom: float = 0.99, eps: float = 1e-5, wd: float = 0.01):
        super().__init__(params, [], lr=lr, mom=mom, sqr_mom=sqr_mom, eps=eps, wd=wd)

    def zero_grad(self) -> None:
        "Drop the gradients. To fill them with zeros would cost the next backward pass an addition."
        for group in self.param_lists:
            for p in group:
                p.grad = None

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> None:
        "Update the parameters once. Raises NotImplementedError for a `closure`, as fastai does."
        if closure is not None:
            raise NotImplementedError("fastai optimizers currently do not support closure")
        for group, hyper in zip(self.param_lists, self.hypers, strict=True):
            moving = [(p, self._start(p)) for p in group if p.grad is not None or self._has_momentum(p)]
            for is_decayed in (True, False):
                chosen = [(p, state) for p, state in moving if state.get("do_wd", True) == is_decayed]
                if chosen:
                    self._update(*zip(*chosen, strict=True), **hyper | ({} if is_decayed else {"wd": 0.0}))

    def _update(self, params: Sequence[torch.Tensor], states: Sequence[dict], lr, mom, sqr_mom, eps, wd) -> None:
        grads = [torch.zeros_like(p) if p.grad is None else _in_order_of(p, p.grad) for p in params]
        grad_avgs, sqr_avgs, steps = ([state[key] for state in states] for key in ("grad_avg", "sqr_avg", "step"))
        can_fuse = params[0].device.type in ("cpu", "cuda") and all(
            grad.stride() == p.stride() for p, grad in zip(params, grads, strict=True)
        )
        adamw(
            list(params),
            grads,
            grad_avgs,
            sqr_avgs,
            [],
            steps,
            fused=can_fuse,
            amsgrad=False,
            beta1=float(mom),
            beta2=float(sqr_mom),
            lr=float(lr),
            weight_decay=float(wd),
            eps=float(eps),
            maximize=False,
        )

    def _has_momentum(self, p: torch.Tensor) -> bool:
        return p.requires_grad and "grad_avg" in self.state[p]

    def _start(self, p: torch.Tensor) -> dict:
        "The state of a parameter. fastai's Adam counts steps in an int, torch's kernel in a tensor."
        state = self.state[p]
        if "grad_avg" not in state:
            state |= {"grad_avg": torch.zeros_like(p), "sqr_avg": torch.zeros_like(p), "step": 0}
        for name in ("grad_avg", "sqr_avg"):  # those of a checkpoint may have another memory format
            state[name] = _in_order_of(p, state[name])
        if not torch.is_tensor(state["step"]):
            state["step"] = torch.tensor(float(state["step"]), device=p.device)
        return state


def _in_order_of(p: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    "`values` in the order in which `p` lies in memory, because the kernel walks through memory and not by index."
    return values if values.stride() == p.stride() else torch.empty_like(p).copy_(values)
