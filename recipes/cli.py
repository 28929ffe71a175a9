"""The `lrlab` command: lists the recipes and starts one. Imports nothing heavy until a recipe starts.

A recipe is a file beside this one with a `main`, declared with the option types of `kitchen.options`:

    @cli.recipe(quick={"epochs": 1})
    def main(data: Data = "solar", epochs: Epochs = 7, quick: Quick = False): ...
"""

import ast
import functools
import hashlib
import importlib
import inspect
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError

from lrlab.recipes.kitchen.command_line import command_line, declared, explain, read_option, refuse_empty
from lrlab.recipes.kitchen.errors import UserError, with_options
from lrlab.recipes.kitchen.optimizer_names import OWN_LR
from lrlab.recipes.kitchen.options import Options
from lrlab.recipes.kitchen.stage import spinner
from lrlab.recipes.kitchen.text import did_you_mean, printable, typed_path

NOT_RECIPES = {"__init__", "__main__", "cli"}
ORDER = (
    "compare", "epochs", "best", "predict", "lr-find", "lr-band", "one-cycle", "learning-rate", "transfer",
    "transfer-vs-scratch", "snapshot-ensemble", "gradient-descent", "report", "doctor", "speed", "claims",
)  # fmt: skip
SAME_QUESTION = {"jobs", "engine", "address", "no_cache", "out", "fresh", "quick", "log"}
BY_VALUE = {"data", "arch", "learner", "labels", "train"}  # whose value says enough in the name of a folder
LONGEST = 60  # characters that a folder's name gets from options
HELP = ("-h", "--help", "help")
STOPPED = 130  # the exit code after Ctrl-C
OVERVIEW = """\
lrlab finds a learning rate, a schedule and a number of epochs for your own images, and shows the evidence.

Usage: lrlab RECIPE [options]
       lrlab RECIPE --help

Recipes:
{recipes}

Start here: lrlab compare --data digits --quick    (then --data FOLDER, without --quick)
Tab completion: lrlab --install-completion"""


@functools.cache
def recipes() -> dict[str, str]:
    "Every recipe by its name on the command line, with the first line of its docstring. The flagship comes first."
    files = [file for file in Path(__file__).parent.glob("*.py") if file.stem not in NOT_RECIPES]
    names = {file.stem.replace("_", "-"): file for file in files}
    order = sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    docs = {name: ast.get_docstring(ast.parse(names[name].read_text(encoding="utf-8"))) for name in order}
    return {name: (doc or "").partition("\n")[0] for name, doc in docs.items()}


def recipe(
    grows: tuple[str, ...] = (),
    before: Callable | None = None,
    **presets: dict[str, Any],
) -> Callable[[Callable], Callable]:
    """Make a function a recipe: read its options, show progress, print the `text` of its result.

    A preset is what an option that was given changes in the defaults of others: `quick={"epochs": 1}`. What was passed
    explicitly wins over every preset, and an earlier preset wins over a later one. None means: not given. An optimizer
    that finds its LR by itself changes the default of `lr_max`.

    Without `out`, another question has another folder: what was given becomes a part of its name. `grows` names the
    options that extend a folder instead.

    `before(options, given)` may refuse the options, or return an Offer of others. On a terminal the user is asked;
    elsewhere the recipe runs as it was called.

    A recipe with the option `log` has its runs logged when the text is printed: a tracker that fails does not hide it.
    """

    def decorate(main: Callable) -> Callable:
        signature, several = _expand(inspect.signature(main))

        @functools.wraps(main)
        def call(*args, **kwargs):
            passed = signature.bind(*args, **kwargs).arguments
            given = {name: value for name, value in passed.items() if value is not None}
            bound = inspect.BoundArguments(signature, _with_presets(given, presets, signature))
            bound.apply_defaults()
            values = bound.arguments
            if "out" in signature.parameters and "out" not in given and values["out"]:
                values["out"] += name_question({name: value for name, value in given.items() if name not in grows})
            for name, value in values.items():
                values[name] = read_option(signature.parameters[name], value)
            if values.get("out"):
                out = typed_path(values["out"])  # no shell expands --out=~/results
                values["out"] = str(out.absolute() if values.get("learner") else out)  # its file may change the folder
            if log := values.get("log"):
                from lrlab.recipes.kitchen.logs.log_runs import check_tracker, log_result

                check_tracker(log)
            together = {name: _join(options, values, given) for name, options in several.items()}
            if before:
                with spinner("Loading"):
                    offer = before(values | together, given)
                if offer and _accepts(offer, main, given | offer.changes):
                    return call(**(given | offer.changes))
            with spinner("Loading"):
                result = main(*bound.args, **bound.kwargs, **together)
            print(result.text, flush=True)
            if log:
                log_result(values["out"], result, log)
            return result

        call.presets = presets  # type: ignore[attr-defined]
        call.__signature__ = signature  # type: ignore[attr-defined]
        return call

    return decorate


def _with_presets(given: dict[str, Any], presets: dict[str, dict], signature: inspect.Signature) -> dict[str, Any]:
    "What was given, with the defaults that it changes."
    own_lr = OWN_LR.get(str(given.get("opt")).strip().lower())
    values = {"lr_max": own_lr} | given if own_lr and "lr_max" in signature.parameters else given
    for option, preset in presets.items():
        if values.get(option):
            values = preset | values
    return values


def _expand(signature: inspect.Signature) -> tuple[inspect.Signature, dict[str, Options]]:
    "The signature with every option under its own name, and the parameters that stand for several options."
    several: dict[str, Options] = {}
    kept, added = [], []
    for parameter in signature.parameters.values():
        found = declared(parameter)
        if not isinstance(found, Options):
            kept.append(parameter)
            continue
        several[parameter.name] = found
        for name, option in found.by_name.items():
            hint, default = Annotated[Any, option], None if option.metavar else False
            if name == parameter.name:
                kept.append(parameter.replace(annotation=hint))
            else:
                added.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint))
    return signature.replace(parameters=[*kept, *added]), several


def _join(options: Options, values: dict[str, Any], given: dict[str, Any]) -> Any:
    "Take options that belong together from `values`. Where any is given, no default of the others is meant."
    own = {name: values.pop(name) for name in options.by_name}
    if any(name in given for name in own):
        own = {name: value if name in given or not value else None for name, value in own.items()}
    return options.join(**own)


@dataclass(frozen=True)
class Offer:
    "The same recipe with some options changed, and why: a sentence."

    why: str
    changes: dict[str, Any]


def _accepts(offer: Offer, main: Callable, given: dict[str, Any]) -> bool:
    "Print the offer with its command. On a terminal, whether the user wants it; elsewhere, no."
    words = [f"lrlab {main.__module__.rpartition('.')[2].replace('_', '-')}"]
    for name, value in given.items():
        if value is not None and value is not False:
            option = f"--{name.replace('_', '-')}"
            words.append(option if value is True else f"{option} {shlex.quote(str(value))}")
    print(f"{offer.why}\n    {' '.join(words)}", flush=True)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    try:
        return input("Train that instead? [Y/n] ").strip().lower() in ("", "y", "yes")
    except EOFError:  # Ctrl-D
        return False


def name_question(given: dict[str, Any]) -> str:
    """The end of a folder's name, from the options that were given and change the question.

    >>> name_question({"data": "~/my photos", "bs": 32, "tune": True, "jobs": 2})
    '-my_photos-bs_32-tune'
    """
    words = []
    for name, value in given.items():
        if name in SAME_QUESTION or value is False:
            continue
        word = "" if value is True else Path(str(value)).name if name in BY_VALUE else str(value)
        words.append(re.sub(r"[^A-Za-z0-9.]+", "_", word if name in BY_VALUE else f"{name} {word}".strip()).strip("_"))
    text = "".join(f"-{word}" for word in words if word)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def main(argv: list[str] | None = None) -> int:
    "The console command; returns the exit code: 0 done, 1 a fault, 2 bad input, 130 stopped."
    is_process = argv is None
    code = _exit_code(lambda: _command(sys.argv[1:] if argv is None else list(argv)))
    if is_process and code == STOPPED:  # one more Ctrl-C has nothing left to stop
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


def _command(argv: list[str]) -> int:
    "Print what lrlab is, or start a recipe. `lrlab help RECIPE` is `lrlab RECIPE --help`."
    if argv[1:] and argv[0] in HELP:
        argv = [argv[1], "--help"]
    if not argv or argv[0] in HELP:
        listed = recipes()
        width = max(map(len, listed))
        print(OVERVIEW.format(recipes="\n".join(f"  {name:<{width}}  {line}" for name, line in listed.items())))
        return 0
    if argv[0] == "--version":
        from importlib.metadata import version

        print(f"lrlab {version('lrlab')}")
        return 0
    if argv[0] == "--install-completion":
        return _install_completion(*argv[1:2])
    name = argv[0].replace("_", "-")
    if name not in recipes():
        hint = did_you_mean(name, recipes())
        return _complain(f"there is no recipe {argv[0]}; the recipes are {', '.join(recipes())}{hint}")
    return _start(_main_of(name), argv[1:], f"lrlab {name}")


def _main_of(name: str) -> Callable:
    return importlib.import_module(f"lrlab.recipes.{name.replace('-', '_')}").main


def run(recipe: Callable, argv: list[str] | None = None, prog: str | None = None) -> int:
    """Call a recipe's `main` with the options of the command line and return the exit code.

    Bad input is one sentence on stderr and 2; a full disk or a missing package is one sentence and 1. The result of a
    recipe may name its own `exit_code`; one that was `stopped` by Ctrl-C has 130.
    """
    return _exit_code(lambda: _start(recipe, sys.argv[1:] if argv is None else argv, prog))


def _start(recipe: Callable, argv: list[str], prog: str | None) -> int:
    app = command_line(recipe, prog)
    try:
        command, given, _ = app.parse_args(argv, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        return _complain(explain(error, app))
    if command != app.default_command:  # help
        command(*given.args, **given.kwargs)
        return 0
    refuse_empty(given.arguments)
    result = recipe(*given.args, **given.kwargs)
    return getattr(result, "exit_code", STOPPED if getattr(result, "stopped", False) else 0)


def _exit_code(action: Callable[[], int]) -> int:
    "That of an action. Bad input and a fault of the machine are a sentence on stderr; a mistake in lrlab is raised."
    _prepare_streams()
    try:
        code = action()
        sys.stdout.flush()  # a closed pipe shows itself here and not while Python exits
        return code
    except UserError as error:
        return _complain(with_options(str(error)), error.exit_code)
    except KeyboardInterrupt as error:
        print(f"\nStopped{getattr(error, 'kept', '')}.", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:  # `lrlab ... | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more when it exits
        return 1
    except (OSError, MemoryError, ImportError) as error:
        if (getattr(error, "name", None) or "").startswith("lrlab"):
            raise
        return _complain(_fault(error), code=1)
    except RuntimeError as error:
        from lrlab.recipes.kitchen.learner.out_of_memory import is_out_of_memory

        if not is_out_of_memory(error):
            raise
        return _complain(_fault(error), code=1)


def _install_completion(shell: str | None = None) -> int:
    from cyclopts.completion.detect import ShellDetectionError

    app = App(name="lrlab", version_flags=[])
    for name in recipes():
        app.command(command_line(_main_of(name), name))
    try:
        file = app.install_completion(shell=shell)  # type: ignore[arg-type]
    except (ShellDetectionError, ValueError):
        return _complain("name your shell: lrlab --install-completion bash (or zsh, fish, powershell)")
    print(f"Tab completion is installed in {file}. Open a new terminal to use it.")
    return 0


def _fault(error: OSError | MemoryError | ImportError | RuntimeError) -> str:
    "A fault of the machine in one sentence. A RuntimeError is torch's for memory."
    if isinstance(error, ImportError):
        from lrlab.recipes.kitchen.machine.optional_packages import missing_package

        return missing_package(error)
    if isinstance(error, OSError):
        said = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
    else:
        said = "out of memory; choose a smaller batch size, smaller images or fewer jobs"
    return said + getattr(error, "kept", "")  # in a results folder that was open


def _prepare_streams() -> None:
    """Stand-ins for streams that a daemon or `>&-` has closed: Python has None there.

    Characters that the terminal's encoding lacks are shown as question marks, instead of failing.
    """
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict":
            stream.reconfigure(errors="replace")


def _complain(sentence: str, code: int = 2) -> int:
    print(f"lrlab: {printable(sentence)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
