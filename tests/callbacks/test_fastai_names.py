"""The private names of fastai stand in one file, which says in a sentence what a release lacks."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import fastai
import pytest
from fastai.basics import AvgSmoothLoss, Learner, OptimWrapper
from fastai.callback.tracker import EarlyStoppingCallback

import lrlab.callbacks
from lrlab.callbacks import _fastai

FOLDER = Path(lrlab.callbacks.__file__).parent


@pytest.mark.parametrize(("owner", "name"), [(Learner, "_with_events"), (OptimWrapper, "_set_hyper")])
def test_a_method_that_is_missing_is_named_with_the_release(monkeypatch, owner, name):
    for kind in owner.__mro__:
        monkeypatch.delattr(kind, name, raising=False)
    sentence = f"lrlab.callbacks needs {owner.__name__}.{name} of fastai 2.8, and fastai {fastai.__version__} does not"
    with pytest.raises(ImportError, match=re.escape(sentence)):
        _fastai.check()


@pytest.mark.parametrize(("owner", "name"), [(AvgSmoothLoss, "count"), (EarlyStoppingCallback, "patience")])
def test_an_attribute_that_is_renamed_is_named_too(monkeypatch, owner, name):
    made = owner.__init__

    def renamed(self, *args, **kwargs):
        made(self, *args, **kwargs)
        vars(self)["new name"] = vars(self).pop(name)

    monkeypatch.setattr(owner, "__init__", renamed)
    with pytest.raises(ImportError, match=f"needs {owner.__name__}.{name} .*pip install 'fastai>=2.8,<2.9'"):
        _fastai.check()


def test_the_sentence_comes_when_the_package_is_imported(monkeypatch):
    monkeypatch.delattr(Learner, "_with_events")
    for name in [name for name in sys.modules if name.startswith("lrlab.callbacks")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match="^lrlab.callbacks needs Learner._with_events"):
        importlib.import_module("lrlab.callbacks")


def test_a_reload_wraps_the_events_once():
    before = Learner._with_events
    _fastai.wrap_events(lambda learn, event_type, go: go())
    assert Learner._with_events.unwrapped is before.unwrapped
    Learner._with_events = before


PRIVATE = r"_with_events|_set_hyper|bwd_map|_grab_cbs|lr_finder|\.lock\b|smooth_loss\.(count|val)|\.dl\.n\b|_do_\w+"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda file: file.name)
def test_no_other_file_uses_a_private_name(file):
    code = file.read_text()
    used = {match.group() for match in re.finditer(PRIVATE, code)} - (
        {"lr_finder"} if file.name == "lr_find.py" else set()
    )
    assert file.name == "_fastai.py" or not used
