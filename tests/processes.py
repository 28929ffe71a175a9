"""Processes of their own that begin with torch and fastai loaded, which takes five seconds of processor time.

They are forked from a process that has done nothing else, so they share no state with the tests.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

LOADED = ["tests.callbacks.extendable_fit", "tests.callbacks.distributed_fit"]  # the second needs accelerate


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
