"""What `import lrlab.callbacks` brings along, and the examples in the docstrings."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
import types

import pytest

import lrlab.callbacks

MODULES = (
    "averaging divergence history hypers lr_find plateau random_state resume schedule_lr snapshots start steps unfreeze"
).split()
CALLBACKS = (
    "ScheduleLR HyperHistory StopOnDivergence SnapshotEnsemble CycleAverage ReduceOnPlateau GradualUnfreeze Resumable "
    "lr_range_test"
).split()


def test_import_is_light():
    code = "import sys, lrlab.callbacks; print([m for m in sys.modules if m.split('.')[0] == 'torchvision'"
    code += " or m.startswith('lrlab.recipes') or m.startswith('fastai.vision')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_public_names():
    for name in lrlab.callbacks.__all__:
        assert not isinstance(getattr(lrlab.callbacks, name), (types.ModuleType, type(None))), name
    assert set(CALLBACKS) <= set(lrlab.callbacks.__all__)


@pytest.mark.parametrize("module", MODULES)
def test_examples(module):
    assert doctest.testmod(importlib.import_module(f"lrlab.callbacks.{module}")).failed == 0


@pytest.mark.parametrize("name", CALLBACKS)
def test_every_callback_has_an_example(name):
    assert ">>>" in getattr(lrlab.callbacks, name).__doc__
