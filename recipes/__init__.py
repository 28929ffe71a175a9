"""lrlab's recipes from Python. The names are loaded when they are used, so that importing this package is instant.

`build(...)` makes a Learner of names and numbers, and every recipe is a module with a function `main`:
`lrlab.recipes.compare.main(data="digits")`.
"""

from importlib import import_module

_HOME = {
    "compare_schedules": "lrlab.recipes.studies.compare.own_learner",
    "build": "lrlab.recipes.kitchen.workloads",
    "load_model": "lrlab.recipes.kitchen.learner.saved_model",
    "decide": "lrlab.recipes.kitchen.stats.decide",
    "guarantee": "lrlab.recipes.kitchen.stats.decide",
    "prepare_torchvision": "lrlab.recipes.kitchen.machine.torchvision_compat",
}
__all__ = list(_HOME)


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
