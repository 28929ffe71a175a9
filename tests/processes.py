"""Processes of their own that begin with torch and fastai loaded, which takes five seconds of processor time.

They are forked from a process that has done nothing else, so they share no state with the tests.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from lrlab.recipes import cli
from tests import kill_grid
from tests.conftest import make_studies_small

STUDIES = [f"lrlab.recipes.studies.{name}.study" for name in ("compare", "snapshot_ensemble")]
# The second needs accelerate.
LOADED = ["tests.callbacks.extendable_fit", "tests.callbacks.distributed_fit", *STUDIES]


def start(function: Callable, *args: Any) -> BaseProcess:
    "Call a function of a module in a new process."
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    process = context.Process(target=_call, args=(function, *args))
    process.start()
    return process


def _call(function: Callable, *args: Any) -> None:
    multiprocessing.set_start_method(None, force=True)  # for workers of its own, the system's usual way
    function(*args)


def end(process: BaseProcess) -> int:
    "Wait for its exit code: of `os._exit`, or minus the number of the signal that killed it."
    process.join(300)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


class Command(kill_grid.Command):
    "Run a recipe in such a process. It behaves as from a shell, and starts five seconds earlier: all is imported."

    @staticmethod
    def start(argv: list[str], output: Path) -> Recipe:
        return Recipe(start(_recipe, argv, output))


class Recipe:
    "Such a process with the names of `subprocess.Popen`."

    def __init__(self, process: BaseProcess):
        self.pid, self.poll, self.wait = process.pid, lambda: process.exitcode, lambda: end(process)


def _recipe(argv: list[str], output: Path) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(file, stream.fileno())
        stream.reconfigure(line_buffering=True)
    make_studies_small(setattr)
    sys.argv = ["lrlab", *argv]
    os._exit(cli.main())  # idle workers see that and end; multiprocessing would wait for them
