"""The `lrlab` command: lists the recipes and starts one. Imports nothing heavy until a recipe starts."""

import argparse
import ast
import difflib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from fastcore.script import anno_parser

NOT_RECIPES = {"__init__", "__main__", "cli"}


def recipes() -> dict[str, str]:
    "Every recipe by its name on the command line, with the first line of its docstring."
    files = sorted(f for f in Path(__file__).parent.glob("*.py") if f.stem not in NOT_RECIPES)
    docs = {f.stem.replace("_", "-"): ast.get_docstring(ast.parse(f.read_text(encoding="utf-8"))) for f in files}
    return {name: (doc or "").splitlines()[0] for name, doc in docs.items()}


def main(argv: list[str] | None = None) -> int:
    "The console command; returns the exit code: 0 done, 2 bad input, 130 stopped."
    argv = sys.argv[1:] if argv is None else list(argv)
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
    return run(module.main, argv[1:], f"lrlab {name}")


def run(recipe: Callable, argv: list[str] | None = None, prog: str | None = None) -> int:
    "Call a recipe's `main` with the command line's options; bad input becomes one sentence and exit code 2."
    argv = sys.argv[1:] if argv is None else argv
    from lrlab.recipes.kitchen.errors import UserError

    parser = anno_parser(recipe, prog=prog)
    parser.error = lambda message: parser.exit(_complain(_explain(message, parser)))
    try:
        options = vars(parser.parse_args([_as_declared(argument, parser) for argument in argv]))
    except SystemExit as stop:
        return int(stop.code or 0)
    extra = {name: options.pop(name) for name in ("pdb", "xtra") if name in options}
    if extra.get("pdb"):
        return _complain("--pdb is not supported")
    try:
        recipe(*options.pop("dirs", ()), **options)
    except UserError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        print("\nStopped. What was finished is kept; the same command continues.", file=sys.stderr)
        return 130
    return 0


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


def _explain(message: str, parser: argparse.ArgumentParser) -> str:
    "argparse's message, with the nearest option where one was misspelt."
    unknown = message.partition("unrecognized arguments: ")[2].split(" ")[0].partition("=")[0]
    near = difflib.get_close_matches(unknown, parser._option_string_actions, n=1) if unknown else []
    return f"{message}; did you mean {near[0]}?" if near else f"{message} (see {parser.prog} --help)"


def _complain(sentence: str) -> int:
    print(f"lrlab: {' '.join(sentence.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
