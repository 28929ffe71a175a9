"""The command line of a recipe, from its signature: Cyclopts parses, `options` says what each option means."""

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Group, Parameter, exceptions

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.options import GROUPS, Option, Options
from lrlab.recipes.kitchen.text import did_you_mean

OTHER_NAMES_OF_LR = ("--learning-rate", "--lr", "--max-lr")
KINDS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "yes or no"}


def command_line(recipe: Callable, prog: str | None = None) -> App:
    "The parser of a recipe's options. It returns only what was typed; the recipe knows its own defaults."
    prog = prog or Path(sys.argv[0]).name
    groups = {name: Group(name, sort_key=i) for i, name in enumerate(GROUPS)}

    presets = getattr(recipe, "presets", {})
    named = inspect.signature(recipe).parameters.values()
    parameters = [_by_name(p, groups, presets.get(p.name)) for p in named]
    files = "".join(f" {_option(p).metavar}..." for p in named if p.kind == p.VAR_POSITIONAL)

    def typed(*args, **kwargs):
        pass

    typed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    app = App(
        name=prog,
        usage=f"{prog}{files} [options]",
        # each paragraph of the docstring on one line, for the terminal to wrap
        help=re.sub(r"(?<=\S)\n(?=\S)", " ", inspect.getdoc(inspect.getmodule(recipe)) or ""),
        help_format="plaintext",
        version_flags=[],
        group_commands=groups["Output"],  # of --help itself
    )
    app.default(typed)
    return app


def _by_name(parameter: inspect.Parameter, groups: dict[str, Group], preset: dict | None) -> inspect.Parameter:
    "The parameter as the command line takes it: by name only, and its value as typed."
    option = _option(parameter)
    if option is None:
        return parameter
    hint: Any = bool
    if option.metavar:
        hint = Path if {"FOLDER", "FILE"} & set(option.metavar.split("|")) else str  # for the completion
        shown = Parameter(
            help=option.help,
            group=groups[option.group],
            metavar=option.metavar,
            converter=lambda hint, tokens: tokens[0].value,  # as typed
            show_default=False if parameter.default in (None, parameter.empty) else str(parameter.default),
        )
        if parameter.default is not parameter.empty:  # Cyclopts would hold a native default against the hint
            hint, parameter = hint | None, parameter.replace(default=None)
    else:
        changes = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in (preset or {}).items())
        means = f". Changes the defaults: {changes}" if preset else ""
        shown = Parameter(help=option.help + means, group=groups[option.group], negative=(), show_default=False)
    kind = parameter.kind if parameter.kind == parameter.VAR_POSITIONAL else parameter.KEYWORD_ONLY
    return parameter.replace(annotation=Annotated[hint, shown], kind=kind)


def refuse_empty(arguments: dict[str, Any]) -> None:
    "Raise UserError for a blank value, or one that holds a null character."
    for name, value in arguments.items():
        named, texts = ("a folder", value) if isinstance(value, tuple) else (f"`{name}`", [value])
        for text in texts:
            if isinstance(text, str) and not text.strip():
                raise UserError(f"{named} is empty")
            if isinstance(text, str) and "\0" in text:
                raise UserError(f"{named} holds a null character")


def explain(error: CycloptsError, app: App) -> str:
    "What is wrong with a command line, in lrlab's words."
    options = [name for argument in app.assemble_argument_collection() for name in argument.names]
    name = error.argument.name if error.argument else ""
    if isinstance(error, exceptions.UnknownOptionError):
        typed = error.token.keyword or error.token.value
        if typed.replace("_", "-") in OTHER_NAMES_OF_LR and "--lr-max" in options:
            return f"there is no option {typed}; did you mean --lr-max?"
        return f"there is no option {typed}" + (did_you_mean(typed, options) or f" (see {app.name[0]} --help)")
    if isinstance(error, exceptions.UnusedCliTokensError):
        extra = (error.unused_tokens or [""])[0]
        hint = f"; did you mean --data {extra}?" if "--data" in options else ""
        return f"there is an argument without an option: {extra}{hint}"
    if isinstance(error, exceptions.MissingArgumentError):
        return f"{name} needs a value"
    if isinstance(error, exceptions.RepeatArgumentError):
        return f"{(error.token.keyword or '').replace('_', '-')} is given twice"
    if isinstance(error, exceptions.CoercionError) and error.token and error.target_type in KINDS:
        return f"{name} {error.token.value}: expected {KINDS[error.target_type]}"
    return str(error)


def read_option(parameter: inspect.Parameter, value: Any) -> Any:
    "What the recipe needs of `value`: text, or a native value. None is left as it is."
    option = _option(parameter)
    return value if option is None or value is None else option.read(value, parameter.name)


def _option(parameter: inspect.Parameter) -> Option | None:
    found = declared(parameter)
    return found if isinstance(found, Option) else None


def declared(parameter: inspect.Parameter) -> Option | Options | None:
    "The option, or the options, that a parameter of a recipe is declared with."
    metadata = getattr(parameter.annotation, "__metadata__", ())
    return next((data for data in metadata if isinstance(data, (Option, Options))), None)
