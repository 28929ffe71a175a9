"""Whole command lines with mistakes, here and in processes of their own: one sentence, exit code 2, no traceback."""

import inspect
import os
import re
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lrlab.recipes import compare
from tests.recipes.mistakes import complaint, everything

pytestmark = pytest.mark.usefixtures("nothing_trains")
UNDECODABLE = os.fsdecode("แมว\x1b[31m".encode() + b"\xff")
LINES = [  # whole command lines
    (["compre"], "did you mean compare"),
    (["lrfind"], "did you mean lr-find"),
    (["--epochs", "3"], "there is no recipe --epochs"),
    (["compare.py"], "did you mean compare"),
    (["../compare"], "there is no recipe"),
    (["cli"], "there is no recipe cli"),
    (["kitchen"], "there is no recipe kitchen"),
    (["__main__"], "there is no recipe"),
    (["Compare"], "did you mean compare"),
    (["compare", "--epohcs", "3"], "did you mean --epochs"),
    (["compare", "--lrmax", "3"], "did you mean --lr-max"),
    (["compare", "--learning-rate", "3"], "no option --learning-rate; did you mean --lr-max"),
    (["compare", "--s", "3"], "no option --s; did you mean --"),
    (["compare", "--epochs"], "--epochs needs a value"),
    (["compare", "--epochs", "3", "--epochs", "4"], "--epochs is given twice"),
    (["compare", "--lr-max=1", "--lr_max", "2"], "--lr-max is given twice"),
    (["compare", "--quick=maybe"], "--quick maybe: expected yes or no"),
    (["compare", "solar"], "solar; did you mean --data solar\\?"),
    (["compare", "--data", UNDECODABLE], "no such folder"),
    (["compare", "--out="], "--out is empty"),
    (["compare", "--pdb"], "there is no option --pdb"),
    (["compare", "--epochs", "-nan"], "number"),
    (["report"], "needs a results folder"),
    (["report", "no/such/folder"], "no such folder"),
    (["report", "~nobody-here/x"], "~nobody-here/x: there is no such home folder"),
    (["lr-find", "--out", "~nobody-here/x"], "no such home folder"),
    (["lr-find", "--data", "~nobody-here/x"], "no such home folder"),
    (["lr-find", "--learner", "~nobody-here/x.py:make"], "no such home folder"),
    (["report", "empty"], "no config.json"),
    (["report", "file.txt"], "file.txt"),
    (["report", "a\0b"], "null character"),
    (["doctor", "--out", ""], "--out is empty"),
    (
        ["compare", "--data", "digits", "--size", "1024"],
        "--size 1024: the digits have 8 x 8 pixels; expected at most 512",
    ),
    (["compare", "--data", "digits", "--tune-points", "7"], "--tune-points and --tune-seeds are for --tune"),
    (["compare", "--data", "digits", "--address", "auto"], "--address is for --engine ray"),
    (["compare", "--data", "digits", "--weights", "x.pth"], "--arch small takes no --weights"),
    (["compare", "--arch", "resnet18", "--scratch", "--weights", "x.pth"], "--scratch takes no --weights"),
    (["lr-find", "--arch", "resnet18", "--scratch", "--freeze-epochs", "2"], "no trained layers to freeze"),
    (["compare", "--opt", "torch.optim:Rprop", "--wd", "0.1"], "--wd 0.1: --opt torch.optim:Rprop has no weight decay"),
    (["learning-rate", "--low", "1", "--high", "1e-6"], "--low 1 --high 1e-06: .* in ascending order"),
    (["learning-rate", "--lr", "1", "--high", "0.1"], "--lr 1 --high 0.1: .* in ascending order"),
    (["learning-rate", "--lr", "slice(1e-5,1e-3)"], "--lr slice.*: expected a positive number"),
    (["learning-rate", "--epochs", "8", "--long", "8"], "--long 8: expected more than the --epochs 8"),
    (["one-cycle", "--quick", "--arch", "smal"], "did you mean .*small"),
    (["one-cycle", "--quick", "--weights", "no.pth"], "--weights no.pth: no such file"),
    (["one-cycle", "--arch", "small", "--lr-max", "slice(1e-3,1e-5)"], "--lr-max slice.* must be the smaller one"),
    (["transfer", "--data", "digits", "--lr", "slice(1e-3,1e-5)"], "--lr slice.* must be the smaller one"),
    (["transfer", "--data", "digits", "--lr", "find"], "--lr find: expected the LRs of the first layers and"),
    (["transfer", "--data", "digits", "--arch", "small"], "--arch small has no pretrained weights"),
    (["transfer-vs-scratch", "--lrs", "slice(1e-5,1e-3)"], "--lrs slice.*: expected a positive number"),
    (["transfer-vs-scratch", "--lrs", "1e-3,0.001"], "expected different numbers"),
    (["transfer-vs-scratch", "--epochs", "3,3"], "expected different whole numbers"),
    (["snapshot-ensemble", "--epochs", "3", "--cycles", "4"], "at most one cycle an epoch, and there are 3 epochs"),
]


@pytest.mark.parametrize(("argv", "says"), LINES)
def test_bad_command_lines(argv, says, empty_place, capsys):
    before = everything(empty_place)
    assert re.search(says, complaint(argv, capsys))
    assert everything(empty_place) == before


SUBPROCESSES = [  # argv, the terminal's encoding, what it says
    (["compre\x1b[31m", "--epochs", "3"], "utf-8", "did you mean compare"),
    (["compare", "--lr_max"], "ascii", "--lr-max needs a value"),
    (["compare", "--seeds", UNDECODABLE], "ascii", "expected how many"),
]


@pytest.mark.parametrize(("argv", "encoding", "says"), SUBPROCESSES)
def test_real_processes_on_terminals_of_any_encoding(argv, encoding, says, tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "80"}
    command = [sys.executable, "-m", "lrlab.recipes", *argv]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment)
    error = done.stderr.decode(encoding)
    assert done.returncode == 2 and not done.stdout and re.search(says, error)
    assert error.startswith("lrlab: ") and error.count("\n") == 1 and "\x1b" not in error
    assert not list(tmp_path.iterdir())


TEXT = st.text(max_size=30) | st.text("0123456789.-+e,()slice nainf%_", max_size=30)
DECLARED = inspect.signature(compare.main).parameters.items()
FLAG = st.sampled_from([f"--{name}" for name, option in DECLARED if name != "data" and option.default is not False])
WORD = st.tuples(FLAG, TEXT).map(lambda pair: list(pair)) | st.tuples(FLAG, TEXT).map("=".join).map(lambda one: [one])


@settings(max_examples=50)
@given(words=st.lists(WORD | TEXT.map(lambda text: [text]), max_size=6))
@example(words=[["--lr-max", "-"], ["--"]])
def test_no_options_give_a_traceback(words, empty_place, capsys):
    "The data do not exist, so that no command line that is drawn can start a training."
    argv = ["compare", *[part for word in words for part in word], "--data", "no/such/folder"]
    if any(word in ("-h", "--help", "--version") or "--help".startswith(word) for word in argv if len(word) > 1):
        return
    capsys.readouterr()
    complaint(argv, capsys)
