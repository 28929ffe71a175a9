"""The examples in the docstrings give what they say, and what users import has one."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

from lrlab import callbacks

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    "lrlab." + ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for package in ("callbacks", "recipes")
    for file in (ROOT / package).rglob("*.py")
    if "    >>> " in file.read_text(encoding="utf-8")
)
# What others return: their examples are those of the functions that make them.
RESULTS = {"Join", "LRRange", "Scaled", "SchedulePreview", "Warmup"}
PUBLIC = [name for name in callbacks.__all__ if callable(getattr(callbacks, name)) and name not in RESULTS]


@pytest.mark.parametrize("module", MODULES)
def test_examples(module):
    failed, attempted = doctest.testmod(importlib.import_module(module))
    assert attempted and not failed


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_public_has_an_example(name):
    assert ">>>" in (inspect.getdoc(getattr(callbacks, name)) or "")
