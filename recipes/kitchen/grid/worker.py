"""How a worker process behaves from its start. Imports nothing heavy: it has to work while torch is still loading."""

import multiprocessing
import os
import signal
import sys
import threading
import time

LOOK_EVERY = 0.5  # seconds between a worker's looks at whether its parent is still there


def start(parent: int) -> None:
    """Ignore Ctrl-C, which reaches the whole process group (the parent decides), and end soon after the parent.

    A killed comparison must not leave processes behind that compute, or wait, for nobody.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":  # joblib's own way to start processes would pickle the data sets of DataLoaders
        multiprocessing.set_start_method("fork", force=True)
    threading.Thread(target=_end_with, args=(parent,), name="end with the parent", daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY)
    os._exit(1)
