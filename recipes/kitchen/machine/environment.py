"""Where and with what a result was made: versions, machine, device, commit, command, date."""

import os
import platform
import shlex
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = ("lrlab", "fastai", "torch", "torchvision", "timm", "numpy", "pandas", "scipy")
MAX_RUNS_PER_GPU = 4  # more small models on one GPU get no faster


def environment() -> dict:
    "JSON types, for config.json."
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": {
            "cpu": cpu_name(),
            "cores": os.cpu_count(),
            "memory_gb": memory_gb(),
            "system": platform.platform(),
        },
        "device": device,
        "commit": _commit(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def cpu_name() -> str:
    "The processor as the system calls it."
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def memory_gb() -> float:
    return round(psutil.virtual_memory().total / 1e9, 1)


def _commit() -> str | None:
    """The commit of the checkout that holds this code, or None if there is no checkout.

    It is marked as dirty if the code differs from it. New results in the same checkout change no number.
    """
    head = _git("describe", "--always", "--abbrev=12")
    changes = _git("status", "--porcelain", "--", ":/recipes", ":/callbacks")
    return f"{head}-dirty" if head and changes else head or None


def _git(*arguments: str) -> str | None:
    folder = Path(__file__).parent
    # Without locks: a git that is killed would leave index.lock behind, and the repository unusable.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)  # noqa: S603  (fixed words, this folder)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def peak_memory() -> float:
    "Bytes of memory that this process has used at most so far; 2 GB on Windows, which does not count them."
    try:
        import resource
    except ImportError:  # Windows
        return 2e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else 1024 * peak)


def fitting_jobs(threads: int, memory_per_run: float, on_gpu: bool = False) -> int:
    """How many runs to train at a time: one per `threads` cores that this process may use, if the memory suffices.

    `memory_per_run` is in bytes. Runs on one GPU share its memory, which then counts too.
    """
    import torch
    from joblib import cpu_count

    jobs = min(cpu_count() // threads, int(0.8 * psutil.virtual_memory().available / memory_per_run))
    if on_gpu:
        free, _ = torch.cuda.mem_get_info()
        # In addition to its tensors, every process holds a CUDA context of about half a gigabyte.
        jobs = min(jobs, int(0.8 * free / (torch.cuda.max_memory_reserved() + 5e8)), MAX_RUNS_PER_GPU)
    return max(1, jobs)
