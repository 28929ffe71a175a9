"""Every option of every recipe with values that cannot be: one sentence, exit code 2, nothing trained or written.

Long because most of it is one table: a value for every way in which an option can be wrong.
"""

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from itertools import groupby
from types import SimpleNamespace

import pytest

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options
from lrlab.recipes.kitchen.command_line import read_option, refuse_empty
from lrlab.recipes.kitchen.errors import UserError
from tests.recipes.mistakes import complaint, everything

pytestmark = pytest.mark.usefixtures("nothing_trains")

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
        ("loose", "lies? outside class folders"),
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
