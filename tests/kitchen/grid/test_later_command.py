"""What a later command finds in a folder, and what Ctrl-C leaves of one."""

from types import SimpleNamespace

import pytest

from lrlab.callbacks import Constant, CosineDecay
from lrlab.recipes.kitchen.errors import Refused, UserError
from lrlab.recipes.kitchen.grid.later_command import held_manifest, reading_question_of, train_and_redraw, with_asked
from lrlab.recipes.kitchen.grid.study import Stopped
from lrlab.recipes.kitchen.store.manifest import Manifest


def stop():
    raise Stopped


@pytest.fixture
def study():
    "A study of two runs, one of which is finished."
    store = SimpleNamespace(manifest=Manifest(plan=["a", "b"]), complete=lambda: {"a": None, "tune-a": None})
    return SimpleNamespace(store=store)


def redraw(store, stopped=False):
    return "stopped" if stopped else "finished"


def test_ctrl_c_ends_with_what_is_finished(study, capsys):
    assert train_and_redraw(study, lambda: None, redraw) == "finished" and capsys.readouterr().out == ""
    assert train_and_redraw(study, stop, redraw) == "stopped"
    assert capsys.readouterr().out == "Stopped. The same command continues.\n"


@pytest.mark.parametrize("plan", [None, ["b"]])
def test_without_a_finished_run_of_the_plan_ctrl_c_stays_ctrl_c(study, plan):
    "Runs that chose the LR are no answer."
    study.store.manifest = Manifest(plan=plan)
    with pytest.raises(KeyboardInterrupt) as raised:
        train_and_redraw(study, stop, redraw)
    assert raised.type is KeyboardInterrupt


def test_a_folder_is_held_by_the_recipe_that_wrote_it(tmp_path):
    assert held_manifest("epochs", tmp_path, fresh=False) is None
    Manifest("epochs", {"seeds": [0]}).write(tmp_path)
    assert held_manifest("epochs", tmp_path, fresh=False).question == {"seeds": [0]}
    assert held_manifest("compare", tmp_path, fresh=False) is held_manifest("epochs", tmp_path, fresh=True) is None


def test_a_damaged_question_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="config.json is damaged .*'seeds'.*`fresh`"), reading_question_of(tmp_path):
        Manifest().question["seeds"]


def test_schedules_are_added_and_never_changed(tmp_path):
    held, asked = {"a": Constant()}, {"b": CosineDecay(), "a": Constant()}
    assert list(with_asked(held, asked, tmp_path)) == ["a", "b"]
    with pytest.raises(Refused, match=r"there a is Constant\(\); choose another"):
        with_asked(held, {"a": CosineDecay()}, tmp_path)
