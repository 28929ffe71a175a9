"""A fastai or torch that lacks a name that lrlab needs is refused by a sentence that names it."""

import sys

import pytest
from fastai.callback.fp16 import MixedPrecision
from fastai.learner import Learner

from lrlab.recipes.kitchen.learner import private_names


def test_this_environment_has_every_name():
    private_names.check()


@pytest.mark.parametrize(
    "owner, name, sentence",
    [
        (Learner, "_do_one_batch", r"lrlab needs Learner._do_one_batch, and fastai \d"),
        (MixedPrecision, "after_loss", r"lrlab needs MixedPrecision.after_loss, and fastai \d"),
        (
            sys.modules["torch.optim.adamw"],
            "adamw",
            r"lrlab needs torch.optim.adamw.adamw\(amsgrad, beta1, .*\), and torch \d",
        ),
    ],
)
def test_a_missing_name_is_named(monkeypatch, owner, name, sentence):
    monkeypatch.delattr(owner, name)
    with pytest.raises(ImportError, match=sentence + ".*pip install"):
        private_names.check()


def test_a_function_with_other_arguments_is_named(monkeypatch):
    monkeypatch.setattr(sys.modules["torch.optim.adamw"], "adamw", lambda params, grads: None)
    with pytest.raises(ImportError, match="torch.optim.adamw.adamw"):
        private_names.check()
