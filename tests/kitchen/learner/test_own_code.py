"""The code of a user's own loss, model and metrics is a part of the question."""

import pytest

from lrlab.recipes.kitchen.from_file import FromFile
from lrlab.recipes.kitchen.learner.own_code import own_code

OWN_CODE = """from fastai.basics import *
from tests.kitchen.tasks import classifier

class Base(nn.Module):
    def forward(self, pred, targ):
        return F.cross_entropy(pred, targ)

class Loss(Base): pass

def right(pred, targ):
    return (pred.argmax(1) == targ).float().mean()

def make():
    learn = classifier()
    learn.loss_func, learn.metrics = Loss(), [right]
    return learn

made = partial(make)
"""


@pytest.mark.parametrize("name", ["make", "made"])
def test_another_loss_or_metric_in_the_users_code_is_another_question(name, tmp_path):
    "Their names alone do not tell. A comment does not matter."
    changes = (
        ("", ""),
        ("):\n", "):  # mine\n"),
        ("(pred, targ)\n\nclass", "(2 * pred, targ)\n\nclass"),
        (".float()", ".half()"),
    )
    found = []
    for number, change in enumerate(changes):
        file = tmp_path / f"{name}_{number}.py"
        file.write_text(OWN_CODE.replace(*change))
        function = FromFile.parse(f"{file}:{name}").function()
        found.append(own_code(function, function()))
    assert found[0] == found[1] and found[0] != found[2] != found[3] != found[0]
