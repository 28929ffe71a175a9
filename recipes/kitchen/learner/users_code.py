"""Errors of the user's own code, as theirs: file, line and what went wrong."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from fastai.basics import Callback, Metric

from lrlab.recipes.kitchen.errors import UserCodeError, UserError
from lrlab.recipes.kitchen.learner.out_of_memory import is_out_of_memory
from lrlab.recipes.kitchen.learner.own_code import is_library
from lrlab.recipes.kitchen.text import printable, raised, shorten


@contextmanager
def users_code(when: str) -> Iterator[None]:
    """Turn an error of the block into a UserCodeError that says `when`, where in the user's code, and what went wrong.

    Too little memory is not the fault of the code, and stays what it is.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise UserCodeError(f"{when}: {place_of(error)}") from error


def place_of(error: BaseException) -> str:
    "An exception as one line: the last line of the user's code that it passed, and what it says."
    frames, kind, said = raised(error)
    own = [frame for frame in frames if not is_library(frame.filename)]
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{error.filename}, line {error.lineno}: "
    else:
        where = "" if own else name_part(error)
        for frame in own[-1:]:
            in_notebook = "ipykernel" in frame.filename or frame.filename.startswith("<ipython")
            file = "the notebook" if in_notebook else frame.filename
            where = f"{file}, line {frame.lineno}, in {frame.name}: "
    said = " ".join(line for line in said.splitlines() if not line.startswith("Exception occured in '"))
    return printable(f"{where}{kind}: {shorten(said, 300) or 'no message'}")


def name_part(error: BaseException) -> str:
    """The metric or the callback that raised the error, or an empty text.

    fastai adds up what a metric returns, and looks for what a callback monitors, so no line of the user's is at fault.
    """
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        part = frame.f_locals.get("self")
        if isinstance(part, Metric):
            return f"in the metric {part.name}: "
        if isinstance(part, Callback):
            return f"in the callback {type(part).__name__}: "
    return ""
