"""Save and restore the state of all random generators that training uses."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from . import _fastai

_GENERATORS = (random.Random, np.random.RandomState, np.random.Generator, torch.Generator)


def random_state(dls: Any) -> dict[str, Any]:
    "The state of the generators of Python, NumPy, torch (CPU and every CUDA device) and the DataLoaders."
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "dls": [_get(generator) for generator in _generators(dls)],
    }


def set_random_state(dls: Any, state: dict[str, Any]) -> None:
    "Restore a `random_state`. DataLoaders that have other generators than then raise `ValueError`."
    generators = list(_generators(dls))
    if len(generators) != len(state["dls"]):
        raise ValueError(f"dls has {len(generators)} random generators, and the state is of {len(state['dls'])}")
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"][: torch.cuda.device_count()])
    for generator, its_state in zip(generators, state["dls"], strict=True):
        _set(generator, its_state)


def seed_loaders(dls: Any, seed: int) -> None:
    """Give the DataLoaders' own generators the state that they have for `seed`.

    fastai draws the seed of a loader's batch order when the loader is made. Loaders that are made once and used for
    several runs would continue the order of the run before.
    """
    for generator in _generators(dls):
        if isinstance(generator, (random.Random, np.random.RandomState)):
            generator.seed(seed)
        elif isinstance(generator, np.random.Generator):
            generator.bit_generator.state = type(generator.bit_generator)(seed).state
        else:
            generator.manual_seed(seed)


@contextmanager
def kept_random_state(dls: Any) -> Iterator[None]:
    "Restore the random state on exit, so that draws inside the block do not affect the code after it."
    state = random_state(dls)
    try:
        yield
    finally:
        set_random_state(dls, state)


def _generators(dls: Any) -> Iterator[Any]:
    "The generators of the loaders, of the loaders that they wrap, and of their samplers; and the orders of texts."
    for loader in dls.loaders:
        yield from _fastai.TextOrder.of(loader)
        own = getattr(loader, "__dict__", {})  # a fastai DataLoader also has its dataset's attributes
        for holder in (loader, own.get("dl"), own.get("sampler")):
            for _, value in sorted(getattr(holder, "__dict__", {}).items()):
                if isinstance(value, _GENERATORS):
                    yield value


def _get(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.get_state()


def _set(generator: Any, state: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        generator.set_state(state)
