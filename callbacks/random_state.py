"""All the randomness that training draws on, as numbers that can be kept and put back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

_GENERATORS = (random.Random, np.random.RandomState, np.random.Generator, torch.Generator)


def random_state(dls: Any) -> dict[str, Any]:
    """The state of Python's, NumPy's and torch's generators (CPU and every CUDA device) and of the DataLoaders' own.

    Made of plain Python values and tensors alone, so that `torch.load(weights_only=True)` reads it back.
    """
    return {
        "python": random.getstate(),
        "numpy": _plain(np.random.get_state(legacy=False)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "dls": [_get(generator) for generator in _generators(dls)],
    }


def set_random_state(dls: Any, state: dict[str, Any]) -> None:
    "Put back what `random_state` gave; raises `ValueError` where the DataLoaders have other generators by now."
    generators = list(_generators(dls))
    if len(generators) != len(state["dls"]):
        raise ValueError(f"dls holds {len(generators)} random generators, and the state is of {len(state['dls'])}")
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"][: torch.cuda.device_count()])
    for generator, own in zip(generators, state["dls"], strict=True):
        _set(generator, own)


@contextmanager
def kept_random_state(dls: Any) -> Iterator[None]:
    "What is drawn inside is not missing outside."
    state = random_state(dls)
    try:
        yield
    finally:
        set_random_state(dls, state)


def _generators(dls: Any) -> Iterator[Any]:
    "The generators that the loaders, what they wrap and their samplers hold."
    for loader in dls.loaders:
        # vars(), because a fastai DataLoader answers for its dataset's attributes too.
        for holder in (loader, vars(loader).get("dl"), vars(loader).get("sampler")):
            for _, value in sorted(getattr(holder, "__dict__", {}).items()):
                if isinstance(value, _GENERATORS):
                    yield value


def _get(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return _plain(generator.get_state(legacy=False))
    if isinstance(generator, np.random.Generator):
        return _plain(generator.bit_generator.state)
    return generator.get_state()


def _set(generator: Any, state: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        generator.set_state(state)


def _plain(state: Any) -> Any:
    "NumPy's arrays within a state as lists."
    if isinstance(state, dict):
        return {name: _plain(value) for name, value in state.items()}
    return state.tolist() if isinstance(state, (np.ndarray, np.generic)) else state
