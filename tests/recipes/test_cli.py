"""The `lrlab` command: what it lists, how soon it answers, and what it does with faults."""

import importlib
import os
import shlex
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Annotated, Any

import pytest

from lrlab.callbacks import CosineDecay
from lrlab.recipes import cli
from lrlab.recipes.kitchen.command_line import command_line
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.options import GROUPS, Knobs, LrMax, Option, Quick, Schedules, Seeds, number
from lrlab.recipes.kitchen.schedule_names import NAMES
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.text import printable

HEAVY = ("torch", "fastai", "pandas", "matplotlib", "numpy", "scipy", "PIL")


def test_every_recipe_is_listed_with_its_question(capsys):
    for argv in ([], ["--help"], ["-h"], ["help"]):
        assert cli.main(argv) == 0
        out = capsys.readouterr().out
        assert all(f"  {name} " in out for name in cli.recipes())
    assert {"compare", "lr-find", "one-cycle", "report", "doctor"} <= set(cli.recipes())
    assert all(line.endswith(".") or "?" in line for line in cli.recipes().values())


def test_the_flagship_comes_first_and_a_newcomer_is_told_where_to_start(capsys):
    assert next(iter(cli.recipes())) == "compare"
    assert cli.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("lrlab ") and any(line.startswith("Start here: lrlab compare") for line in lines)


def test_help_is_grouped_and_names_the_schedules_and_an_example(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.main(["compare", "--help"]) == 0
    out = capsys.readouterr().out
    positions = [out.index(f" {group} ") for group in GROUPS]
    assert positions == sorted(positions)
    assert all(name in out for name in NAMES)
    assert "    lrlab compare --data" in out
    assert "--quick" in out and "Changes the defaults: --epochs 2 --seeds 2" in out


def test_completion_is_installed_for_every_recipe_and_option(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert cli.main(["--install-completion", "bash"]) == 0
    script = (tmp_path / ".local/share/bash-completion/completions/lrlab").read_text()
    assert all(name in script for name in cli.recipes()) and "--schedules" in script and "--num-it" in script
    assert cli.main(["--install-completion", "tcsh"]) == 2
    assert "bash" in capsys.readouterr().err


def test_the_version_is_told(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("lrlab ")


@pytest.mark.parametrize("recipe", cli.recipes())
def test_native_defaults_pass_beside_pydantic(recipe):
    "Once pydantic is imported (Ray does), Cyclopts also validates the defaults of the signature."
    pytest.importorskip("pydantic")
    main = importlib.import_module(f"lrlab.recipes.{recipe.replace('-', '_')}").main
    _, bound, _ = command_line(main, recipe).parse_args([], exit_on_error=False, print_error=False)
    assert not bound.arguments, "only what was typed comes back"


@pytest.mark.parametrize("recipe", cli.recipes())
def test_every_recipe_has_help(recipe, capsys):
    assert cli.main([recipe.replace("-", "_"), "--help"]) == 0
    assert f"Usage: lrlab {recipe} " in capsys.readouterr().out


# Neither help nor a mistake needs torch. Each of these is answered with exit code 0 or 2.
INSTANT = [
    ["--help"],
    ["compare", "--help"],
    ["doctor", "--help"],
    ["compre"],
    ["compare", "--epohcs", "3"],
    ["compare", "--epochs", "abc"],
    ["compare", "--seeds", "0"],
    ["compare", "--lr-max", "foo"],
    ["compare", "--schedules", "foo"],
    ["compare", "--schedules", "OneCycl()"],
    ["compare", "--precision", "fp61"],
    ["compare", "--jobs", "many"],
    ["compare", "--tune-points", "7"],
    ["transfer", "--arch", "small"],
    ["transfer", "--arms", "slic"],
    ["claims", "--claims", "cosine"],
    ["snapshot-ensemble", "--cycles", "9", "--epochs", "3"],
]


def test_help_and_mistakes_need_nothing_heavy_and_are_answered_at_once():
    code = f"""
import sys
from lrlab.recipes import cli
codes = [cli.main(argv) for argv in {INSTANT}]
print(codes)
print([module for module in {HEAVY} if module in sys.modules])
"""
    before = os.times().children_user
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    codes, heavy = done.stdout.splitlines()[-2:]
    assert codes == str([0] * 3 + [2] * (len(INSTANT) - 3)) and done.stderr.count("lrlab: ") == len(INSTANT) - 3
    assert heavy == "[]"
    assert os.times().children_user - before < 1.0, "seconds of processor time for all; 0.3 on an idle machine"


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


SMALL = Option("Training", "N", "A number", number(1, 99))


@cli.recipe(big={"epochs": 50}, quick={"epochs": 1, "seeds": 1, "schedules": "cosine"})
def preset_recipe(
    epochs: Annotated[Any, SMALL] = 7,
    seeds: Seeds = 3,
    schedules: Schedules = "constant,cosine",
    lr_max: LrMax = "slice(3e-6,3e-3)",
    big: Annotated[bool, Option("Training", "", "A long run")] = False,
    quick: Quick = False,
):
    "A recipe that returns what it got."
    return SimpleNamespace(text="the answer", got=(epochs, seeds, schedules), lr_max=lr_max)


@pytest.mark.parametrize(
    ("arguments", "got"),
    [
        ({}, (7, [0, 1, 2], ["constant", "cosine"])),
        ({"quick": True}, (1, [0], ["cosine"])),
        ({"quick": True, "seeds": 3}, (1, [0, 1, 2], ["cosine"])),
        ({"quick": True, "epochs": "7", "schedules": "constant,cosine"}, (7, [0], ["constant", "cosine"])),
        ({"quick": True, "big": True}, (50, [0], ["cosine"])),
        ({"seeds": [0, 5], "epochs": None}, (7, [0, 5], ["constant", "cosine"])),
        ({"schedules": ["One-Cycle", CosineDecay()]}, (7, [0, 1, 2], ["one_cycle", CosineDecay()])),
    ],
)
def test_what_was_passed_wins_over_presets_and_presets_over_defaults(arguments, got, capsys):
    assert preset_recipe(**arguments).got == got
    assert capsys.readouterr().out == "the answer\n"


def test_the_command_line_and_python_read_the_same_values(capsys):
    native, text = preset_recipe(lr_max=slice(1e-4, 1e-2)), preset_recipe(lr_max="slice(1e-4, 1e-2)")
    assert native.lr_max == text.lr_max
    capsys.readouterr()
    with pytest.raises(UserError, match="`seeds` 0: expected"):
        preset_recipe(seeds=0)
    assert cli.run(preset_recipe, ["--seeds", "0"]) == 2
    assert capsys.readouterr().err == "lrlab: --seeds 0: expected a whole number from 1 to 1000\n"


@cli.recipe(tune={"lr_max": "find"})
def knobs_recipe(
    lr_max: LrMax = 1e-3,
    tune: Annotated[bool, Option("Comparison", "", "Tune")] = False,
    *,
    knobs: Knobs,
):
    "A recipe that returns the options that it gets together."
    return SimpleNamespace(text="", lr_max=lr_max, knobs=knobs)


def test_options_that_belong_together_reach_a_recipe_as_one(capsys):
    plain = {"scratch": False, "freeze_epochs": None, "aug": None, "wd": None, "opt": None}
    assert knobs_recipe().knobs == plain
    assert knobs_recipe(wd="0.1", scratch=True).knobs == plain | {"wd": 0.1, "scratch": True}
    assert cli.run(knobs_recipe, ["--aug", "flip"]) == 2 and "did you mean flips" in capsys.readouterr().err
    assert cli.run(knobs_recipe, ["--help"]) == 0 and "--freeze-epochs" in capsys.readouterr().out


def test_an_optimizer_that_finds_its_lr_has_a_default_of_its_own():
    peaks = [knobs_recipe(**given).lr_max for given in ({}, {"opt": "lamb"}, {"opt": "Prodigy", "tune": True})]
    assert [lr.peak for lr in peaks] == [1e-3, 1e-3, 1.0]
    assert knobs_recipe(opt="prodigy", lr_max=0.5).lr_max.peak == 0.5


def offering(options, given):
    return cli.Offer("That takes long.", {"seeds": 1}) if len(options["seeds"]) > 1 else None


@cli.recipe(before=offering)
def long_recipe(seeds: Seeds = 3, quick: Quick = False):
    "A recipe that has a shorter version of itself."
    return SimpleNamespace(text="", seeds=seeds)


@pytest.mark.parametrize(
    ("is_terminal", "typed", "seeds"), [(False, None, 3), (True, "", 1), (True, "Yes", 1), (True, "n", 3)]
)
def test_an_offer_is_printed_and_on_a_terminal_asked_for(is_terminal, typed, seeds, monkeypatch, capsys):
    monkeypatch.setattr(cli, "spinner", lambda text: nullcontext())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: is_terminal))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: typed)
    assert len(long_recipe(quick=True).seeds) == seeds
    assert "That takes long.\n    lrlab test-cli --quick --seeds 1\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (UserError("`x` 5: too large"), 2, "--x 5: too large"),
        (OSError(28, "No space left on device", "/full/runs.csv"), 1, "No space left on device (/full/runs.csv)"),
        (MemoryError(), 1, "out of memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), 1, "out of memory"),
        (ModuleNotFoundError("no", name="timm"), 1, "pip install 'lrlab[pretrained]'"),
        (ImportError("libcuda.so"), 1, "lrlab doctor"),
        (KeyboardInterrupt(), 130, "Stopped"),
    ],
)
def test_faults_are_one_sentence_and_an_exit_code(error, code, says, capsys):
    def recipe():
        raise error

    assert cli.run(recipe, []) == code
    said = capsys.readouterr().err
    assert says in said and "kept" not in said


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
def test_what_is_kept_is_said_where_a_results_folder_was_open(error, tmp_path, capsys):
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "run.json").touch()

    def recipe():
        with Store(tmp_path):
            raise error

    cli.run(recipe, [])
    assert "; 1 finished run is kept, the same command continues" in capsys.readouterr().err


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


@pytest.mark.parametrize("argv", [["compare", "--help"], ["--help"]])
def test_a_closed_pipe_is_no_traceback(argv):
    command = [sys.executable, "-m", "lrlab.recipes", *argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 1


@pytest.mark.parametrize(("argv", "code"), [("lr-find --help", 0), ("lr-find --data nowhere", 2)])
def test_a_process_without_streams_ends_as_others_do(argv, code, tmp_path):
    command = f"exec {shlex.quote(sys.executable)} -m lrlab.recipes {argv} <&- >&-"
    process = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True)
    assert process.returncode == code and process.stderr.count("\n") == (code == 2), process.stderr


@pytest.mark.parametrize("argv", [["help", "lr-find"], ["--help", "lr_find"]])
def test_help_of_a_recipe_in_another_order(argv, capsys):
    assert cli.main(argv) == 0
    assert "Usage: lrlab lr-find [options]" in capsys.readouterr().out


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
