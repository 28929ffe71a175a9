"""The `lrlab` command: what it lists, how soon it answers, and what it does with faults."""

import os
import subprocess
import sys

import pytest

from lrlab.recipes import cli
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import printable

HEAVY = ("torch", "fastai", "pandas", "matplotlib", "numpy", "scipy", "PIL")


def test_every_recipe_is_listed_with_its_question(capsys):
    for argv in ([], ["--help"], ["-h"], ["help"]):
        assert cli.main(argv) == 0
        out = capsys.readouterr().out
        assert all(f"  {name} " in out for name in cli.recipes())
    assert {"compare", "lr-find", "one-cycle", "report", "doctor"} <= set(cli.recipes())
    assert all(line.endswith(".") or "?" in line for line in cli.recipes().values())


def test_the_version_is_told(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("lrlab ")


@pytest.mark.parametrize("recipe", cli.recipes())
def test_every_recipe_has_help(recipe, capsys):
    assert cli.main([recipe.replace("-", "_"), "--help"]) == 0
    assert f"Usage: lrlab {recipe} " in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["--help"], ["compare", "--help"], ["doctor", "--help"], ["compre"]])
def test_help_needs_nothing_heavy_and_is_there_at_once(argv):
    code = (
        f"import sys; from lrlab.recipes import cli; cli.main({argv}); print([m for m in {HEAVY} if m in sys.modules])"
    )
    before = os.times().children_user
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert os.times().children_user - before < 1.0, "seconds of processor time; 0.15 on an idle machine"


def echo(number: int = 1, text: str = "x", num_it: int = 2, flag: bool = False):
    "A recipe that only tells its options."
    print(number, text, num_it, flag)


@pytest.mark.parametrize(
    ("argv", "printed"),
    [
        ([], "1 x 2 False"),
        (["--num-it", "5", "--flag"], "1 x 5 True"),
        (["--num_it=5"], "1 x 5 False"),
        (["--number", "-3"], "-3 x 2 False"),
        (["--text", "-1e-3"], "1 -1e-3 2 False"),
        (["--text=--flag"], "1 --flag 2 False"),
    ],
)
def test_options_with_hyphens_or_underscores_and_negative_values(argv, printed, capsys):
    assert cli.run(echo, argv) == 0
    assert capsys.readouterr().out.strip() == printed


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (UserError("`x` 5: too large"), 2, "--x 5: too large"),
        (OSError(28, "No space left on device", "/full/runs.csv"), 1, "No space left on device (/full/runs.csv)"),
        (MemoryError(), 1, "out of memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), 1, "out of memory"),
        (ModuleNotFoundError("no", name="timm"), 1, "pip install 'lrlab[pretrained]'"),
        (ImportError("libcuda.so"), 1, "lrlab doctor"),
        (KeyboardInterrupt(), 130, "the same command continues"),
    ],
)
def test_faults_are_one_sentence_and_an_exit_code(error, code, says, capsys):
    def recipe():
        raise error

    assert cli.run(recipe, []) == code
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("a fault of ours"), ImportError("x", name="lrlab.x")])
def test_our_own_mistakes_are_not_hidden(error):
    def recipe():
        raise error

    with pytest.raises(type(error)):
        cli.run(recipe, [])


def test_a_result_may_name_its_exit_code():
    class Result:
        exit_code = 7

    assert cli.run(lambda: Result(), []) == 7


def test_a_closed_pipe_is_no_traceback():
    command = [sys.executable, "-m", "lrlab.recipes", "doctor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("แมว 🐈‍⬛ café", "แมว 🐈‍⬛ café"),
        ("a\nb\tc", "a b c"),
        ("\x1b[31mred\x07", "\ufffd[31mred\ufffd"),
        ("abc\u202egpj.exe", "abc\ufffdgpj.exe"),
        ("\udcff\x9b", "\ufffd\ufffd"),
        (5, "5"),
    ],
)
def test_printable(text, shown):
    assert printable(text) == shown
