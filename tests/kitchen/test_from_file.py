"""A function of a user's file: alone or in a package, under any name, and with the same random numbers."""

import pickle
import sys
import textwrap
from importlib.machinery import PathFinder

import pytest
from fastai.basics import Learner

from lrlab.recipes.kitchen.errors import UserCodeError, UserError
from lrlab.recipes.kitchen.from_file import FromFile
from lrlab.recipes.kitchen.learner_workload import LearnerWorkload, choose_workload, identity
from lrlab.recipes.kitchen.training_code import own_learner


def test_a_function_of_a_file(tmp_path):
    (tmp_path / "parts.py").write_text("from tests.kitchen.tasks import classifier\n")
    file = tmp_path / "train_it.py"
    file.write_text(
        "from parts import classifier\n\n\ndef make():\n    return classifier()\n\n\ndef bad():\n    return x\n"
    )
    workload = choose_workload(FromFile.parse(f"{file}:make"), data=None, arch=None)
    assert workload.name == "make of train_it.py" and isinstance(workload.learner(0), Learner)
    with pytest.raises(UserCodeError, match=r"train_it.py, line 9, in bad: NameError: name 'x' is not defined"):
        LearnerWorkload(FromFile.parse(f"{file}:bad")).load()
    with pytest.raises(UserError, match="no function other"):
        LearnerWorkload(FromFile.parse(f"{file}:other")).load()
    with pytest.raises(UserError, match="leave out `arch`"):
        choose_workload(FromFile.parse(f"{file}:make"), data=None, arch="small")
    file.with_name("broken.py").write_text(textwrap.dedent("def make(:\n"))
    with pytest.raises(UserCodeError, match=r"broken.py, line 1: SyntaxError"):
        LearnerWorkload(FromFile.parse(f"{tmp_path}/broken.py:make")).load()
    file.with_name("script.py").write_text("import argparse\n\nargparse.ArgumentParser().parse_args(['--bs', '8'])\n")
    with pytest.raises(UserCodeError, match=r"script.py, line 3, in <module>: SystemExit: 2"):
        LearnerWorkload(FromFile.parse(f"{tmp_path}/script.py:make")).load()


def test_a_function_of_a_file_in_a_package(tmp_path, monkeypatch):
    "With relative and absolute imports, and with those of a script; what it makes can be pickled."
    monkeypatch.setattr(sys, "path", [*sys.path])
    folder = tmp_path / "my_project" / "models"
    folder.mkdir(parents=True)
    for package in (folder, folder.parent):
        (package / "__init__.py").touch()
    (folder.parent / "base.py").write_text("class Here: ...\n")
    (folder / "beside.py").write_text("number = 3\n")
    for name, line in {
        "relative": "from ..base import Here",
        "absolute": "from my_project.base import Here",
        "script": "import beside\nfrom ..base import Here",
    }.items():
        (folder / f"{name}.py").write_text(f"{line}\n")
        made = FromFile.parse(f"{folder}/{name}.py:Here")()
        assert type(made).__module__ == "my_project.base" and type(pickle.loads(pickle.dumps(made))) is type(made)
    question, data = {"learner": "Here of relative.py"}, {"source": str(folder / "relative.py")}
    imports, call = own_learner({"question": question, "data": data})
    assert imports[-1] == "from my_project.models.relative import Here" and call == ["learn = Here()"]
    assert f"sys.path.insert(0, {str(tmp_path)!r})" in imports


@pytest.mark.parametrize("name", ["random", "fastai", "my.train"])
def test_a_file_may_have_the_name_of_another_module(name, tmp_path, monkeypatch):
    "In this process, and in worker processes, which import by the same path."
    monkeypatch.setattr(sys, "path", [*sys.path])
    before, file = sys.modules.get(name), tmp_path / f"{name}.py"
    file.write_text("class Here: ...\n")
    made = FromFile.parse(f"{file}:Here")()
    assert sys.modules.get(name) is before and type(pickle.loads(pickle.dumps(made))) is type(made)
    found = PathFinder.find_spec(name, sys.path)
    assert str(tmp_path) in sys.path and (found is None or found.origin != str(file))


def test_a_file_is_run_with_the_same_random_numbers_and_changes_none_of_a_run(tmp_path):
    "Two processes that start with different seeds split the data of the file alike, and a first call is as the later."
    here = "import torch\nfrom tests.kitchen.tasks import classifier\nsplit = torch.rand(1)\n"
    weights, splits = [], []
    for number, seed in enumerate((5, 5, 6)):
        file = tmp_path / f"of_process_{number}.py"
        file.write_text(f"{here}def make():\n    return classifier()\n")
        workload = LearnerWorkload(FromFile.parse(f"{file}:make"))
        weights.append([identity(workload.learner(seed))["weights"] for _ in range(2)])
        splits.append(float(sys.modules[file.stem].split))
    assert weights[0] == weights[1] != weights[2] and all(first == later for first, later in weights)
    assert len(set(splits)) == 1
