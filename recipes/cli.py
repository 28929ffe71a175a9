"""The `lrlab` command: lists the recipes and starts one. Imports nothing heavy until a recipe starts."""

import argparse
import ast
import difflib
import importlib
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from fastcore.script import anno_parser

NOT_RECIPES = {"__init__", "__main__", "cli"}
STOPPED = 130  # the exit code after Ctrl-C
_KINDS = {"int": "a whole number", "float": "a number"}


def recipes() -> dict[str, str]:
    "Every recipe by its name on the command line, with the first line of its docstring."
    files = sorted(f for f in Path(__file__).parent.glob("*.py") if f.stem not in NOT_RECIPES)
    docs = {f.stem.replace("_", "-"): ast.get_docstring(ast.parse(f.read_text(encoding="utf-8"))) for f in files}
    return {name: (doc or "").splitlines()[0] for name, doc in docs.items()}


def main(argv: list[str] | None = None) -> int:
    "The console command; returns the exit code: 0 done, 1 a fault, 2 bad input, 130 stopped."
    command = argv is None
    argv = sys.argv[1:] if argv is None else list(argv)
    _print_anywhere()
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if argv[0] == "--version":
        from importlib.metadata import version

        print(f"lrlab {version('lrlab')}")
        return 0
    name = argv[0].replace("_", "-")
    if name not in recipes():
        near = difflib.get_close_matches(name, recipes(), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return _complain(f"there is no recipe {argv[0]}; the recipes are {', '.join(recipes())}{hint}")
    module = importlib.import_module(f"lrlab.recipes.{name.replace('-', '_')}")
    code = run(module.main, argv[1:], f"lrlab {name}")
    if command and code == STOPPED:  # one more Ctrl-C has nothing left to stop
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


def run(recipe: Callable, argv: list[str] | None = None, prog: str | None = None) -> int:
    """Call a recipe's `main` with the command line's options and return the exit code.

    Bad input is one sentence on stderr and 2, a full disk or a missing package one sentence and 1. What a recipe
    returns may name its own `exit_code`.
    """
    argv = sys.argv[1:] if argv is None else argv
    from lrlab.recipes.kitchen.errors import UserError, with_options

    _print_anywhere()
    parser = anno_parser(recipe, prog=prog)
    parser.error = lambda message: parser.exit(_complain(_explain(message, parser)))
    argv = _negative_values([_as_declared(argument, parser) for argument in argv])
    problem = _impossible(argv, parser)
    if problem:
        return _complain(problem)
    try:
        options = vars(parser.parse_args(argv))
    except SystemExit as stop:
        return int(stop.code or 0)
    extra = {name: options.pop(name) for name in ("pdb", "xtra") if name in options}
    if extra.get("pdb"):
        return _complain("--pdb is not supported")
    try:
        result = recipe(*options.pop("dirs", ()), **options)
        sys.stdout.flush()  # a closed pipe shows itself here and not while Python exits
    except UserError as error:
        return _complain(with_options(str(error)), error.exit_code)
    except KeyboardInterrupt:
        print("\nStopped. What was finished is kept; the same command continues.", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:  # `lrlab ... | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more when it exits
        return 1
    except (OSError, MemoryError, ImportError) as error:
        if (getattr(error, "name", None) or "").startswith("lrlab"):
            raise  # a fault of ours and not of the machine
        return _complain(_fault(error), code=1)
    except RuntimeError as error:
        from lrlab.recipes.kitchen.runs.out_of_memory import out_of_memory

        if not out_of_memory(error):
            raise
        return _complain(_fault(MemoryError()), code=1)
    return getattr(result, "exit_code", 0)


def _impossible(argv: list[str], parser: argparse.ArgumentParser) -> str | None:
    "What no recipe can make sense of: an option twice, an empty value, a null character."
    flags = [argument.partition("=")[0] for argument in argv if argument.startswith("--")]
    twice = next((flag for flag in flags if flag in parser._option_string_actions and flags.count(flag) > 1), None)
    if twice:
        return f"{_hyphens(twice)} is given twice"
    if any("\0" in argument for argument in argv):
        return "an option holds a null character"
    for flag, value in zip(["", *argv], argv, strict=False):
        if not value.strip() or (value.startswith("--") and value.endswith("=")):
            flag = value[:-1] if value.strip() else flag
            return f"{_hyphens(flag)} is empty" if flag.startswith("--") else "there is an empty argument"
    return None


def _fault(error: OSError | MemoryError | ImportError) -> str:
    "A fault of the machine in one sentence."
    if isinstance(error, ImportError):
        from lrlab.recipes.kitchen.machine.optional_packages import missing_package

        return missing_package(error)
    if isinstance(error, MemoryError):
        return "out of memory; choose a smaller --bs or --size, or --jobs 1. What was finished is kept"
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}. What was finished is kept; the same command continues"


def _print_anywhere() -> None:
    "Names in any script go to a terminal of any encoding: what it lacks is shown as a question mark."
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict":
            stream.reconfigure(errors="replace")


def _overview() -> str:
    listed = recipes()
    width = max(map(len, listed))
    lines = [f"  {name:<{width}}  {line}" for name, line in listed.items()]
    return "\n".join(["usage: lrlab RECIPE [options]      lrlab RECIPE --help", "", "Recipes:", *lines])


def _as_declared(argument: str, parser: argparse.ArgumentParser) -> str:
    "`--lr_max=1` and `--lr-max=1` alike, whichever of the two the parser declares."
    if not argument.startswith("--"):
        return argument
    flag, equals, value = argument.partition("=")
    alike = {known.replace("_", "-"): known for known in parser._option_string_actions}
    return alike.get(flag.replace("_", "-"), flag) + equals + value


def _negative_values(argv: list[str]) -> list[str]:
    "`--lr-max -1e-3` as `--lr-max=-1e-3`: argparse would take the value for an option and ask for another."
    joined: list[str] = []
    for argument in argv:
        if (
            re.match(r"-(\d|\.\d|inf|nan)", argument, re.IGNORECASE)
            and joined
            and re.fullmatch(r"--[\w-]+", joined[-1])
        ):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _explain(message: str, parser: argparse.ArgumentParser) -> str:
    "argparse's message, with the nearest option where one was misspelt."
    unknown = message.partition("unrecognized arguments: ")[2].split(" ")[0].partition("=")[0]
    options = [option for option in parser._option_string_actions if option not in ("--pdb", "--xtra")]
    near = difflib.get_close_matches(unknown, options, n=1, cutoff=0.7) if unknown.startswith("--") else []
    message = re.sub(r"invalid (int|float) value: ", lambda kind: f"expected {_KINDS[kind[1]]}, not ", message)
    for option in options:
        message = message.replace(option, _hyphens(option))
    hint = f"; did you mean {_hyphens(near[0])}?" if near else f" (see {parser.prog} --help)"
    return message.removeprefix("argument ") + hint


def _hyphens(flag: str) -> str:
    return flag.replace("_", "-")


def _complain(sentence: str, code: int = 2) -> int:
    from lrlab.recipes.kitchen.text import printable

    print(f"lrlab: {printable(sentence)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
