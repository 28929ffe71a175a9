"""A function in a file of the user's own, by its path and name. Imports nothing heavy."""

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import import_name, typed_path


@dataclass(frozen=True)
class FromFile:
    "The function `name` of a Python file, which every process imports for itself."

    file: str
    name: str

    @classmethod
    def parse(cls, text: Any, argument: str = "learner") -> "FromFile":
        "Such as `train.py:make_learner`. Raises UserError, naming the `argument`, unless the file is there."
        if isinstance(text, cls):
            return text
        file, colon, name = str(text).rpartition(":")
        if not colon or not name.isidentifier() or not file:
            raise UserError(f"`{argument}` {text}: expected FILE.py:FUNCTION, such as train.py:make_learner")
        path = typed_path(file)
        if not path.is_file():
            raise UserError(f"`{argument}` {text}: there is no file {path}")
        return cls(str(path.resolve()), name)

    @property
    def __name__(self) -> str:
        return self.name

    def function(self) -> Callable:
        "The function itself; the file is run for it."
        module = _module(self.file)
        found = getattr(module, self.name, None)
        if not callable(found):
            raise UserError(f"`learner` {self.file}:{self.name}: there is no function {self.name} in that file")
        return found

    def __call__(self) -> Any:
        return self.function()()


@cache
def _module(file: str) -> Any:
    "The module of a file, imported once per process. Modules beside it can be imported, as for a script."
    from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision

    prepare_torchvision()
    path = Path(file)
    root, name = import_name(path)
    if root != path.parent:
        sys.path.append(str(root))  # of the package; last, so that it replaces nothing
    is_taken = _is_taken(name, path)
    name = re.sub(r"\W", "_", file) if is_taken else name
    # Worker processes have the same path. First in it, a file random.py would replace Python's own random there.
    sys.path.insert(len(sys.path) if is_taken else 0, str(path.parent))
    if "." in name:
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules[name] = module  # what is pickled names its module
    spec.loader.exec_module(module)
    return module


def _is_taken(name: str, path: Path) -> bool:
    "Whether another module than this file has the name, such as random, or whether no module can have it."
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # my.train, __main__
        return True
    return found is not None and found.origin != str(path)
