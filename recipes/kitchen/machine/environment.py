"""Where and with what a result was made: versions, machine, device, commit, command, date."""

import os
import platform
import shlex
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("lrlab", "fastai", "torch", "torchvision", "timm", "numpy", "pandas", "scipy")
MOST_RUNS_PER_GPU = 4  # beyond, small models share a GPU without getting faster


def environment() -> dict:
    "JSON types, for config.json."
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": _machine(),
        "device": device,
        "commit": _commit(),
    }


def _machine() -> dict:
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "memory_gb": _memory_gb(), "system": platform.platform()}


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


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _commit() -> str | None:
    "The commit of the checkout that this code was imported from, marked if the working tree differs; None elsewhere."
    folder = Path(__file__).parent
    # Without locks: killed at the wrong moment, git would leave index.lock behind and the repository unusable.
    try:
        head = subprocess.run(  # noqa: S603  (fixed words and the folder of this file)
            ["git", "--no-optional-locks", "-C", folder, "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607  (the user's own git)
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() or None if head.returncode == 0 else None


def peak_memory() -> float:
    "Bytes of memory that this process has needed at most so far; 2 GB where the system does not tell."
    try:
        import resource
    except ImportError:  # Windows
        return 2e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else 1024 * peak)


def fitting_jobs(threads: int, memory_per_run: float, on_gpu: bool = False) -> int:
    """How many runs at a time: one for every `threads` cores that this process may use, as far as the memory goes.

    `memory_per_run` is measured in bytes, on the LR range test. Runs on one GPU share it, so there the memory of
    the GPU counts too.
    """
    import torch
    from joblib import cpu_count

    jobs = min(cpu_count() // threads, int(0.8 * available_memory() / memory_per_run))
    if on_gpu:
        free, _ = torch.cuda.mem_get_info()
        # Beside the tensors every process holds a CUDA context of about half a gigabyte.
        jobs = min(jobs, int(0.8 * free / (torch.cuda.max_memory_reserved() + 5e8)), MOST_RUNS_PER_GPU)
    return max(1, jobs)


def busy() -> bool:
    "Whether others, or what ran here a moment ago, keep this machine's cores at work."
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.5 * (os.cpu_count() or 1)


def available_memory() -> float:
    "Bytes that new processes can have without swapping; all of the machine's where the system does not tell."
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return (_memory_gb() or 2.0) * 1e9
