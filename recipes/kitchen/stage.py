"""What is happening now: a spinner where a person is looking, and notes on what is odd."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

_shown: list = []  # the Progress of rich that is on the screen, and its text; at most one


def is_watched() -> bool:
    "Whether a person is looking: a terminal, or a notebook that can show progress (it has ipywidgets)."
    in_notebook = "ipykernel" in sys.modules and find_spec("ipywidgets")
    return bool(_shown or in_notebook or sys.stdout.isatty())  # while something is shown, rich stands in for stdout


@contextmanager
def spinner(text: str) -> Iterator[None]:
    "Show a spinner with `text`, then with the text of every `stage`, until the block ends."
    if _shown or not is_watched():
        yield
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), transient=True) as progress:
        progress.add_task(text, total=None)
        _shown.append(progress)
        try:
            yield
        finally:
            _shown.clear()


def stage(text: str) -> None:
    "Say what happens from now on: `Reading images`."
    for progress in _shown:
        progress.update(progress.task_ids[0], description=text)


@contextmanager
def no_spinner() -> Iterator[None]:
    "Give the line to something else, such as a progress bar."
    for progress in _shown:
        progress.stop()
    yield
    for progress in _shown:
        progress.start()


def print_note(name: str, note: str) -> None:
    "A line about the data or the Learner of this `name`, on stderr, because the answer of a recipe is on stdout."
    print(f"Note on {name}: {note}.", file=sys.stderr, flush=True)
