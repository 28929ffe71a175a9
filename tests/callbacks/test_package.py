"""What `import lrlab.callbacks` brings along."""

from __future__ import annotations

import subprocess
import sys
import types

import lrlab.callbacks

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
