"""Every option of every recipe with values that cannot be: one sentence, exit code 2, nothing trained or written.

Long because most of it is one table: a value for every way in which an option can be wrong.
"""

import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from types import SimpleNamespace

import numpy as np
import pytest
from fastai.test_utils import synth_learner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lrlab import callbacks
from lrlab.recipes import cli
from lrlab.recipes.kitchen import learning_rates, options, schedule_names
from lrlab.recipes.kitchen.command_line import read_option, refuse_empty
from lrlab.recipes.kitchen.data import catalog as data
from lrlab.recipes.kitchen.data import image_set
from lrlab.recipes.kitchen.errors import UserError
from tests.conftest import write_images

WHOLE = "expected a whole number"

# option -> (value, what the sentence says)
BAD = {
    "data": [
        ("solr", "did you mean solar"),
        ("digit", "did you mean digits"),
        ("no/such/folder", "no such folder, and not one of the datasets solar, digits"),
        ("", "--data is empty"),
        (" ", "--data is empty"),
        ("a\0b", "null character"),
        ("~nobody_of_this_name/x", "home"),
        ("x" * 5000, "too long"),
        ("empty", "no images found"),
        ("one_class", "only one class"),
        ("file.txt", "a file; expected a folder"),
        ("loose", "lie outside class folders"),
        ("\x1b[2Jred", r"\ufffd\[2Jred: no such folder"),
    ],
    "arch": [
        ("resnt34", "did you mean .*resnet34"),
        ("smal", "did you mean .*small"),
        ("RESNET34", "--arch"),
        ("", "--arch is empty"),
        ("list_models", "--arch list_models"),
        ("os.system", "--arch os.system"),
        ("../../x.pth", "--arch"),
    ],
    "epochs": [
        ("0", f"{WHOLE} from 1"),
        ("-1", f"{WHOLE} from 1"),
        ("1000000", f"{WHOLE} from 1"),
        ("nan", WHOLE),
        ("inf", WHOLE),
        ("1.5", WHOLE),
        ("x", WHOLE),
        ("", "--epochs is empty"),
    ],
    "seeds": [
        ("0", "--seeds 0: expected a whole number from 1 to 1000"),
        ("-1", "--seeds -1"),
        ("1,1", "the same seed twice"),
        ("3,-1", "whole numbers from 0"),
        ("nan", "expected how many"),
        ("1e3", "expected how many"),
        ("1.5", "expected how many"),
        ("99999", "from 1 to 1000"),
        ("1,99999999999", "whole numbers from 0"),
        (",", "--seeds"),
        ("", "--seeds is empty"),
    ],
    "seed": [
        ("-1", f"--seed -1: {WHOLE} from 0"),
        ("99999999999", f"{WHOLE} from 0"),
        ("0.5", WHOLE),
        ("nan", WHOLE),
    ],
    "schedules": [
        ("cosin", "did you mean cosine"),
        ("cosine,cosine", "names cosine twice"),
        ("cosine,CosineDecay()", "the same schedule"),
        ("OneCycl()", "did you mean OneCycle"),
        ("OneCycle(pct_strat=0.3)", "did you mean pct_start"),
        ("OneCycle(pct_start=2)", "pct_start must be a number in .* got 2"),
        ("OneCycle(pct_start=nan)", "expected a number or text"),
        ("OneCycle(pct_start=1e999)", "pct_start must be .* got inf"),
        ("OneCycle(pct_start=-1)", "pct_start"),
        ("OneCycle(", "not a constructor call"),
        ("OneCycle)", "did you mean one_cycle|not a constructor call"),
        ("", "--schedules is empty"),
        (",", "--schedules is empty"),
        ("1", "no schedule 1"),
        ("CosineRestarts(cycle_len=0)", "cycle_len must be"),
        ("CosineRestarts(cycle_len='5 stepps')", "cycle_len must be"),
        ("CosineRestarts(cycle_len='0 steps')", "cycle_len must be"),
        ("CosineRestarts(cycle_mult=0)", "cycle_mult"),
        ("StepDecay(gamma=2)", "gamma"),
        ("Triangular(decay='peek')", "decay must be one of"),
        ("InverseSqrt(warmup='500%')", "warmup"),
        ("warmup(CosineDecay(), 1000)", "longer than the run"),
        ("join([])", "--schedules"),
        ("Points(((0, 1), (0.5, 2)))", "Points|points"),
        ("Custom(5)", "--schedules"),
        ("OneCycle().__class__", "not a schedule|expected a number or text|not a constructor"),
        ("__import__('os').system('touch owned')", "there is no"),
        ("(lambda: open('owned', 'w'))()", "there is no"),
        ("[OneCycle()]", "not a schedule"),
        ("OneCycle(*[0.3])", "--schedules"),
        ("SGDR(cycle_len=1, cycle_len=2)", "an argument of SGDR is given twice"),
        ("(" * 500 + ")" * 500, "--schedules"),
    ],
    "learner": [
        ("nowhere.py:make_learner", "there is no file nowhere.py"),
        ("make_learner", "expected FILE.py:FUNCTION"),
        ("train.py:make learner", "expected FILE.py:FUNCTION"),
    ],
    "labels": [("nowhere.csv", "there is no such file"), ("", "--labels is empty")],
    "label_re": [("(", "no regular expression"), ("cat", "expected a group for the label")],
    "train": [("nowhere", "names another folder")],
    "valid": [("nowhere", "names another folder")],
    "test": [("nowhere", "names another folder")],
    "minutes": [("0", r"expected a number from 0\.[15]"), ("nan", "expected a number"), ("soon", "expected a number")],
    "judge": [
        ("my_cost", "--judge my_cost: no run has it; the runs have|--judge is for --learner"),
        ("", "--judge is empty"),
        ("+", "expected accuracy, loss, brier or the name of a metric"),
    ],
    "tolerance": [
        ("0", "expected a positive number"),
        ("0%", "expected a positive number"),
        ("nan", "expected a positive number"),
        ("wide", "expected a positive number"),
    ],
    "lr_max": [
        ("0", "expected a positive number"),
        ("-1e-3", "expected a positive number"),
        ("nan", "expected a positive number"),
        ("inf", "expected a positive number"),
        ("1e999", "expected a positive number"),
        ("1e-999", "expected a positive number"),
        ("three", "expected a positive number"),
        ("fnd", "expected a positive number"),
        ("", "--lr-max is empty"),
        ("slice(3e-3,3e-6)", "must be the smaller one"),
        ("slice(1e-3,1e-3)", "must be the smaller one"),
        ("slice()", "expected a positive number"),
        ("slice(1e-5,1e-4,1e-3)", "expected a positive number"),
        ("slice(0,1e-3)", "expected a positive number"),
        ("1e-3,1e-2", "expected a positive number"),
        ("__import__('os').system('touch owned')", "expected a positive number"),
    ],
    "freeze_epochs": [
        ("-1", f"{WHOLE} from 0"),
        ("one", WHOLE),
        ("1", "--freeze-epochs 1: a model from scratch has no trained layers to freeze"),
    ],
    "aug": [("flip", "expected one of none, flips, fastai; did you mean flips"), ("", "--aug is empty")],
    "wd": [
        ("-0.1", "--wd -0.1: expected a number from 0.0"),
        ("nan", "expected a number"),
        ("inf", "expected a number"),
        ("x", "expected a number"),
    ],
    "opt": [
        ("adm", "did you mean adam"),
        ("torch.optim.SGD", "or an import path such as torch.optim:NAdam"),
        ("torch.optim:Addam", "--opt torch.optim:Addam: AttributeError"),
        ("no_such_module:Lion", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("os:getcwd", "--opt os:getcwd: expected an optimizer of fastai or torch, called with parameters and lr"),
        ("json:loads", "--opt json:loads: expected an optimizer of fastai or torch, called with parameters and lr"),
        ("prodgy", "did you mean prodigy"),
        ("", "--opt is empty"),
    ],
    "log": [("tensorbord", "did you mean tensorboard"), ("", "--log is empty")],
    "bs": [
        ("0", WHOLE),
        ("1", f"{WHOLE} from 2"),
        ("-64", WHOLE),
        ("70000", WHOLE),
        ("64.5", WHOLE),
        ("nan", WHOLE),
        ("5000", "--bs 5000: there are only"),
    ],
    "size": [
        ("1", f"{WHOLE} from 8"),
        ("0", f"{WHOLE} from 8"),
        ("-32", f"{WHOLE} from 8"),
        ("10000", f"{WHOLE} from 8 to 2048"),
        ("64px", WHOLE),
        ("inf", WHOLE),
    ],
    "precision": [
        ("fp64", "one of auto, fp32, bf16"),
        ("bf61", "one of auto, fp32, bf16"),
        ("", "--precision is empty"),
    ],
    "jobs": [
        ("0", f"{WHOLE} from 1"),
        ("-1", f"{WHOLE} from 1"),
        ("many", "expected auto or a whole number"),
        ("1.5", "expected auto or a whole number"),
        ("100000", f"{WHOLE} from 1"),
    ],
    "threads": [("0", WHOLE), ("-1", WHOLE), ("1000", WHOLE), ("two", WHOLE)],
    "lrs": [("0", "--lrs 0"), ("nan", "--lrs nan"), ("1e-3,x", "--lrs x"), ("1e-3,1e-3", "--lrs"), ("find", "--lrs")],
    "lr": [("0", "--lr"), ("nan", "--lr"), ("-1e-3", "--lr"), ("fnd", "--lr"), ("", "--lr is empty")],
    "high": [
        ("0", "positive number"),
        ("nan", "positive number"),
        ("-1", "--high"),
        ("x", "expected a positive number"),
    ],
    "low": [("0", "positive number"), ("inf", "positive number"), ("-1", "--low"), ("x", "expected a positive number")],
    "long": [("0", WHOLE), ("-1", WHOLE), ("x", WHOLE)],
    "num_it": [("0", WHOLE), ("5", WHOLE), ("-1", WHOLE), ("1e9", WHOLE), ("999999999", WHOLE)],
    "starts": [("0", WHOLE), ("4", WHOLE), ("-1", WHOLE), ("9999999", WHOLE), ("nan", WHOLE)],
    "noise": [("-1", "expected a number"), ("nan", "number"), ("inf", "number"), ("x", "expected a number")],
    "weights": [
        ("no/such/file.pth", "--weights"),
        ("file.txt", "--weights"),
        ("", "--weights is empty"),
        ("\0", "null character"),
    ],
    "engine": [("rya", "--engine"), ("", "--engine is empty"), ("RAY", "--engine")],
    "address": [("", "--address is empty"), ("somewhere:1", "--address")],
    "points": [("2", f"--points 2: {WHOLE} from 3"), ("x", WHOLE), ("100", WHOLE)],
    "tune_points": [("0", f"--tune-points 0: {WHOLE}"), ("2", WHOLE), ("-1", WHOLE), ("1000", WHOLE), ("nan", WHOLE)],
    "tune_seeds": [("0", f"--tune-seeds 0: {WHOLE}"), ("-1", WHOLE), ("1000", WHOLE), ("1.5", WHOLE)],
    "folds": [
        ("2", f"--folds 2: {WHOLE}"),
        ("x", WHOLE),
        ("4", "--folds 4: they are for the seeds 0 to 3; choose fewer --seeds"),
    ],
    "arms": [
        ("slic", "did you mean slice"),
        ("slice,slice", "--arms slice,slice: expected all, or some of"),
        (",", "--arms ,: expected all, or some of"),
        ("", "--arms is empty"),
    ],
    "claims": [
        ("cosine-constnat", "did you mean cosine-constant"),
        ("high-lr,high-lr", "expected all, or different names"),
        (",", "--claims ,: expected all"),
        ("", "--claims is empty"),
    ],
    "beside": [("cosin", "did you mean cosine"), ("", "--beside is empty")],
    "cycles": [("0", WHOLE), ("-1", WHOLE), ("x", WHOLE)],
    "repeats": [("0", WHOLE), ("-1", WHOLE), ("1000", WHOLE), ("x", WHOLE)],
    "out": [("", "--out is empty"), ("\0", "null character"), ("file.txt", "--out file.txt: cannot be written")],
}
FLAGS = {"fresh", "quick", "tune", "untuned", "no_cache", "until_decided", "scratch"}
ELSEWHERE = {"doctor", "predict", "report"}  # recipes without these options, or whose options their own tests try
NAMES = [name for name in cli.recipes() if name not in ELSEWHERE]
PRETRAINED = {"best", "transfer", "transfer-vs-scratch"}  # recipes for which `small` is itself a mistake


def declared(recipe: str) -> dict[str, inspect.Parameter]:
    module = importlib.import_module(f"lrlab.recipes.{recipe.replace('-', '_')}")
    return dict(inspect.signature(module.main).parameters)


def is_refused_when_read(option: inspect.Parameter, value: str) -> bool:
    "Before a recipe begins, so in the same way by every recipe that declares the option by the same type."
    try:
        refuse_empty({"it": value})
        read_option(option, value)
    except UserError:
        return True
    return False


def cases() -> Iterator[tuple[str, str, str, str]]:
    "Every value for every option of every recipe; of an option that another recipe has tried, what it may do itself."
    tried = set()
    for recipe in NAMES:
        for name, option in declared(recipe).items():
            bad = BAD.get(name, [])
            untried = [case for case in bad if (option.annotation, name, case[0]) not in tried]
            tried |= {(option.annotation, name, value) for value, _ in bad if is_refused_when_read(option, value)}
            yield from ((recipe, name, value, says) for value, says in untried or bad[:1])


CASES = list(cases())
# Cyclopts takes most of the time of a mistake, and passes text on as it was typed. It reads every value of an option
# once, and every option of every recipe once; else the text goes to the recipe as from there.
READ = {*{(name, value): (recipe, name, value) for recipe, name, value, _ in CASES[::-1]}.values()}
READ |= {*{(recipe, name): (recipe, name, value) for recipe, name, value, _ in CASES[::-1]}.values()}
# One test for each option of each recipe: to begin and end a test takes longer than most mistakes.
OPTIONS = {option: [case[2:] for case in own] for option, own in groupby(CASES, key=lambda case: case[:2])}


@pytest.fixture
def empty_place(tmp_path, monkeypatch):
    "A working directory with a few folders that are no datasets."
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_images(tmp_path / "one_class" / "cat", 1)
    write_images(tmp_path / "loose", 1)
    (tmp_path / "file.txt").write_text("text")
    return tmp_path


@pytest.fixture(autouse=True)
def nothing_trains(monkeypatch):
    "A mistake in these tests must not start a comparison of hours."
    from fastai.learner import Learner

    monkeypatch.setattr(Learner, "fit", lambda *args, **kwargs: pytest.fail("training has begun"))


def everything(folder) -> set[str]:
    return {str(file) for file in folder.rglob("*")}


def complaint(argv: list[str], capsys, code: int = 2) -> str:
    "The sentence on stderr; the data are small so that even an option that is found fault with late is found soon."
    done = cli.main(argv)
    printed = capsys.readouterr()
    assert done == code, (done, printed.out, printed.err)
    assert printed.err.startswith("lrlab: ") and printed.err.count("\n") == 1 and printed.err.rstrip().isprintable()
    assert not printed.out
    return printed.err.rstrip()


def reads_as(typed: dict[str, str | bool]) -> Callable:
    "In place of Cyclopts: a command line of these values."
    given = SimpleNamespace(args=(), kwargs=typed, arguments=typed)
    app = SimpleNamespace(default_command=None, parse_args=lambda *_, **__: (None, given, None))
    return lambda *_: app


@pytest.mark.parametrize(("recipe", "name"), OPTIONS)
def test_bad_values(recipe, name, empty_place, monkeypatch, capsys):
    before, options_of = everything(empty_place), declared(recipe)
    arch = "efficientnet_lite0" if recipe in PRETRAINED else "small"
    small = {"data": "digits", "arch": arch, "precision": "fp32", "jobs": "1", "out": "results/here"}
    beside = {other: text for other, text in small.items() if other in options_of and other != name}
    of_one_lr = options_of[name].annotation == options.OneLrOrFind
    for value, says in OPTIONS[recipe, name]:
        typed = {name: value} | beside
        argv = [recipe, *[word for other, text in typed.items() for word in (f"--{other.replace('_', '-')}", text)]]
        argv += ["--tune"] if name.startswith("tune_") else []
        with monkeypatch.context() as patch:
            if (recipe, name, value) not in READ:
                typed |= {"tune": True} if name.startswith("tune_") else {}
                patch.setattr(cli, "command_line", reads_as(typed))
            said = complaint(argv, capsys)
        assert re.search(f"{says}|expected a positive number" if of_one_lr else says, said), value
        assert everything(empty_place) == before, f"{value}: nothing is written"


def test_the_table_is_long_and_holds_every_option_of_every_recipe():
    assert len(CASES) >= 120
    tried = {case[:2] for case in CASES}
    for recipe in NAMES:
        assert set(declared(recipe)) <= set(BAD) | FLAGS, recipe
        assert {(recipe, name) for name in declared(recipe) if name in BAD} <= tried


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
FLAG = st.sampled_from([f"--{name}" for name in declared("compare") if name not in ("data", *FLAGS)])
WORD = st.tuples(FLAG, TEXT).map(lambda pair: list(pair)) | st.tuples(FLAG, TEXT).map("=".join).map(lambda one: [one])


@settings(max_examples=50)
@given(words=st.lists(WORD | TEXT.map(lambda text: [text]), max_size=6))
@example(words=[["--lr-max", "-"], ["--"]])
def test_no_options_give_a_traceback(words, empty_place, capsys):
    "With data that do not exist nothing can start, whatever the other options are."
    argv = ["compare", *[part for word in words for part in word], "--data", "no/such/folder"]
    if any(word in ("-h", "--help", "--version") or "--help".startswith(word) for word in argv if len(word) > 1):
        return
    capsys.readouterr()
    complaint(argv, capsys)


LITERALS = ["1", "0.3", "'10%'", "'3 steps'", "nan", "x", "()", "None", "True", "1e308", "-1", "'\\x1b'"]
CALLED = st.sampled_from([*schedule_names.CALLS, "eval", "slice"])


def nested(inner):
    "A call or a list of what there is."
    arguments = st.lists(inner, max_size=3).map(", ".join)
    return st.builds("{}({})".format, CALLED, arguments) | arguments.map("[{}]".format)


@settings(max_examples=300)
@given(st.recursive(st.sampled_from(LITERALS), nested, max_leaves=6))
def test_schedule_expressions_are_schedules_or_one_sentence(expression):
    "Whatever is nested in whatever; what was built can be asked for its LRs or says why not."
    try:
        (schedule,) = schedule_names.parse_schedules(expression, 3).values()
    except UserError as error:
        assert str(error).startswith("`schedules`")
        return
    try:
        multipliers = schedule.multipliers(30, 10)
    except ValueError as error:
        assert str(error)
    else:
        assert multipliers.shape == (30,) and np.isfinite(multipliers).all()


def workload(**values):
    from lrlab.recipes.kitchen import workloads

    return workloads.build(**({"data": "digits"} | values))


PUBLIC = [  # public functions, called from somebody's notebook: (call, what the ValueError says)
    (lambda: workload(data="solr"), "did you mean solar"),
    (lambda: workload(data=5), "`data` 5"),
    (lambda: workload(arch="smal"), "did you mean .*small"),
    (lambda: workload(arch=None), "`arch` None"),
    (lambda: workload(bs=0), "`bs` 0"),
    (lambda: workload(bs="many"), "`bs` many: expected a whole number"),
    (lambda: workload(bs=float("nan")), "`bs` nan"),
    (lambda: workload(bs=5000), "`bs` 5000: there are only"),
    (lambda: workload(size=1), "`size` 1"),
    (lambda: workload(size=10_000), "`size` 10000"),
    (lambda: workload(size=True), "`size` True"),
    (lambda: workload(seed=-1), "`seed` -1"),
    (lambda: workload(seed=2**40), "`seed`"),
    (lambda: workload(seed=0.5), "`seed` 0.5"),
    (lambda: workload(precision="fp61"), "`precision` fp61"),
    (lambda: data.load("digits", size=0), "`size` 0"),
    (lambda: image_set.stratified_split([0, 1], share=2.0), "share"),
    (lambda: learning_rates.parse_lr(None), "`lr_max`"),
    (lambda: learning_rates.parse_lr([1e-3]), "`lr_max`"),
    (lambda: learning_rates.parse_lr(True), "`lr_max`"),
    (lambda: learning_rates.parse_lr(slice(None)), "`lr_max`"),
    (lambda: learning_rates.parse_lr(slice(1, "x")), "`lr_max`"),
    (lambda: learning_rates.parse_lr(b"1e-3"), "`lr_max`"),
    (lambda: options.parse_seeds(None), "`seeds`"),
    (lambda: options.parse_seeds(2.5), "`seeds`"),
    (lambda: schedule_names.parse_schedules(None, 5), "`schedules`"),
    (lambda: schedule_names.parse_schedules(5, 5), "`schedules`"),
    (lambda: options.parse_jobs("many"), "`jobs`"),
    (lambda: options.number(1, 9)("3.5", "epochs"), "`epochs` 3.5"),
    (lambda: options.number(0.0, 9.0)(float("nan"), "noise"), "`noise` nan"),
    (lambda: callbacks.OneCycle(pct_start=float("nan")), "pct_start must be .* got nan"),
    (lambda: callbacks.CosineRestarts(cycle_len=float("inf")), "cycle_len must be .* got inf"),
    (lambda: callbacks.StepDecay(gamma="0.5"), "gamma must be .* got '0.5'"),
    (lambda: callbacks.Points(()), "."),
    (lambda: callbacks.Custom(5), "."),
    (lambda: callbacks.warmup(5, 1), "."),
    (lambda: callbacks.join([]), "."),
    (lambda: callbacks.CosineDecay().multipliers(0, 10), "total_steps must be"),
    (lambda: callbacks.CosineDecay().multipliers(10, 0), "steps_per_epoch must be"),
    (lambda: callbacks.CosineDecay().multipliers(10.5, 10), "total_steps must be"),
    (lambda: callbacks.ScheduleLR(5), "."),
    (lambda: callbacks.ScheduleLR("cosine"), "."),
    (lambda: callbacks.StopOnDivergence(factor=float("nan")), "factor must be"),
    (lambda: callbacks.StopOnDivergence(patience=0), "patience must be"),
    (lambda: callbacks.ReduceOnPlateau(factor=0.5), "factor must be"),
    (lambda: callbacks.ReduceOnPlateau(monitor=None), "monitor must be .* got None"),
    (lambda: callbacks.ReduceOnPlateau(comp=0), "comp must be .* got 0"),
    (lambda: callbacks.Resumable(float("nan")), "file must be a path, got nan"),
    (lambda: callbacks.Resumable(""), "file must be a path, got ''"),
    (lambda: callbacks.join(5), "parts must be pairs .* got 5"),
    (lambda: synth_learner().fit_schedule(0, callbacks.SGDR()), "n_epoch must be"),
    (lambda: synth_learner().fit_schedule(1, callbacks.SGDR(), wd=float("nan")), "wd must be .* got nan"),
    (lambda: synth_learner().fit_schedule(1, callbacks.SGDR(), lr_max=slice(None)), "lr_max.stop must be"),
    (lambda: synth_learner().fit_schedule(1, callbacks.SGDR(), moms=(0.9,)), "moms must be two numbers"),
    (lambda: synth_learner().preview_schedule(1, "sgdr"), "schedule must be a Schedule .* got 'sgdr'"),
    (lambda: synth_learner().preview_schedule(1.5, callbacks.SGDR()), "n_epoch must be .* got 1.5"),
    (lambda: synth_learner().lr_range_test(suggest=None), "suggest must be a list .* got None"),
    (lambda: synth_learner().lr_range_test(suggest="valley"), "suggest must be a list .* got 'valley'"),
    (lambda: synth_learner().lr_range_test(suggest=["vally"]), "suggest must be some of .* got 'vally'"),
    (lambda: synth_learner().lr_range_test(start_lr=1, end_lr=0.1), "start_lr must be above 0 and below end_lr=0.1"),
    (lambda: synth_learner().lr_range_test(num_it=0), "num_it must be"),
    (lambda: callbacks.SnapshotEnsemble(keep=0), "keep must be"),
    (lambda: callbacks.GradualUnfreeze(every=0), "every must be"),
    (lambda: callbacks.Resumable("x", every=0), "every must be"),
]


@pytest.mark.parametrize("case", range(len(PUBLIC)))
def test_public_functions_raise_value_errors_that_name_the_argument(case):
    call, says = PUBLIC[case]
    with pytest.raises(ValueError, match=says):
        call()
