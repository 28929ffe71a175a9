"""A later command on a results folder adds to its question; Ctrl-C ends a command with what is finished by then."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lrlab.callbacks import Schedule
from lrlab.recipes.kitchen.errors import Refused, UserError
from lrlab.recipes.kitchen.grid.study import Stopped, Study
from lrlab.recipes.kitchen.schedule_names import parse_schedule
from lrlab.recipes.kitchen.store.manifest import FILE, Manifest


def held_manifest(recipe: str, out: Path, fresh: bool) -> Manifest | None:
    "What the folder `out` holds so far, if this recipe wrote it. `open_study` refuses the folder of another one."
    manifest = None if fresh else Manifest.read(out)
    return manifest if manifest and manifest.recipe == recipe else None


@contextmanager
def reading_question_of(out: Path) -> Iterator[None]:
    "Raise UserError where the stored question is not what lrlab writes."
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{out / FILE} is damaged ({error}); `fresh` starts over and keeps the old folder") from error


def parse_calls(calls: dict[str, str]) -> dict[str, Schedule]:
    "The schedules of a stored question, by their labels."
    return {label: parse_schedule(call) for label, call in calls.items()}


def with_asked(held: dict[str, Schedule], asked: dict[str, Schedule], out: Path) -> dict[str, Schedule]:
    "The schedules that the folder `out` holds, then those asked for. Raises Refused for another one of the same label."
    for label, schedule in asked.items():
        if held.get(label, schedule) != schedule:
            raise Refused(f"`out` {out}: there {label} is {held[label]!r}; choose another `out`")
    return held | asked


def tell_extended(out: Path | str, covers: str) -> None:
    "Print what the answer `covers`, if that is more than was asked for. To be called when nothing is refused any more."
    if covers:
        print(f"{out} is extended: the answer covers {covers}.", flush=True)


def train_and_redraw(study: Study, train: Callable[[], None], redraw: Callable[..., Any]) -> Any:
    """`redraw(store)` after `train()`; or `redraw(store, stopped=True)` where Ctrl-C stopped the training.

    Raises KeyboardInterrupt if not a single run of the plan is finished by then.
    """
    try:
        train()
    except Stopped:
        if not set(study.store.manifest.plan or ()) & set(study.store.complete()):
            raise KeyboardInterrupt from None
        print("Stopped. The same command continues.")
        return redraw(study.store, stopped=True)
    return redraw(study.store)
