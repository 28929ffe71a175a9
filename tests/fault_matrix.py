"""Every fault x every recipe that it can meet, in real processes: what happened.

    python tests/fault_matrix.py            # writes results/reference/faults/faults.csv and README.md

Kills, Ctrl-C and full disks are in kills.*, made by kill_grid.py. A recipe runs in a process of its own; faults that
cannot be had from outside (a weight that turns NaN, memory that runs out) are put into that process before it starts.
"""

import argparse
import contextlib
import csv
import encodings
import importlib
import os
import pkgutil
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lrlab.recipes import cli  # noqa: E402
from lrlab.recipes.kitchen import comparison, lr_lesson, lr_range, training, tutorial  # noqa: E402, F401  (before forking)
from tests.conftest import write_photos  # noqa: E402

TARGET = ROOT / "results" / "reference" / "faults"
COLUMNS = ["fault", "recipe", "exit_code", "outcome", "said", "commit"]
TRAINING = ["--bs", "8", "--size", "12", "--precision", "fp32"]
RECIPES = {  # small enough for seconds
    "compare": [*TRAINING, "--epochs", "2", "--seeds", "2", "--schedules", "constant,one_cycle", "--lr-max", "3e-3",
                "--jobs", "1"],
    "lr-find": [*TRAINING, "--seeds", "1", "--num-it", "30"],
    "one-cycle": [*TRAINING, "--arch", "small", "--epochs", "2", "--lr-max", "3e-3"],
    "learning-rate": [*TRAINING, "--epochs", "2", "--long", "3", "--seeds", "1", "--jobs", "1", "--lr", "3e-3"],
}  # fmt: skip


# ---- faults of the data and the machine: what is done to the case before the recipe starts


def unreadable(count: int) -> Callable:
    def make(case):
        for i in range(count):
            (case.photos / "left" / f"bad{i}.jpg").write_bytes(b"not an image")

    return make


def duplicates(case):
    for file in list((case.photos / "left").glob("*.png")):
        shutil.copy(file, file.with_name(f"copy_{file.name}"))


def imbalance(case):
    for file in sorted((case.photos / "left").glob("*.png"))[2:]:
        file.unlink()


def out_is_a_file(case):
    case.out.touch()


def read_only_cache(case):
    case.environment["LRLAB_CACHE"] = "/proc/cache"


def no_home(case):
    "A user without a name, a home or a writable working directory, as in many containers."
    case.user = 54321
    for name in ("HOME", "XDG_CACHE_HOME", "LRLAB_CACHE", "USER", "LOGNAME"):
        case.environment.pop(name, None)


def divergence(case):
    case.options[case.options.index("--lr" if case.recipe == "learning-rate" else "--lr-max") + 1] = "1e8"


# ---- faults within the process: put into it before the recipe is called


def _every_step(action: Callable[[int, object], None]) -> None:
    from fastai.optimizer import Optimizer

    step, count = Optimizer.step, iter(range(10**9))

    def faulty(self, *args, **kwargs):
        result = step(self, *args, **kwargs)
        action(next(count), self)
        return result

    Optimizer.step = faulty


def nan_weights(photos: Path, first: int) -> None:
    "From step `first` on the weights of a layer are no numbers."
    import torch

    def spoil(number, optimizer):
        if number >= first:
            with torch.no_grad():
                next(iter(optimizer.all_params()))[0].fill_(float("nan"))

    _every_step(spoil)


def out_of_memory(most: int) -> Callable:
    def fault(photos: Path, first: int) -> None:
        "Training on more than `most` images asks for more memory than there is, from step `first` on."
        import torch
        from fastai.layers import ConvLayer

        seen, forward = [], ConvLayer.forward
        _every_step(lambda number, optimizer: seen.append(number))

        def greedy(self, x):
            if self.training and len(x) > most and len(seen) >= first:
                torch.empty(2**60)
            return forward(self, x)

        ConvLayer.forward = greedy

    return fault


def vanishing_data(photos: Path, first: int) -> None:
    "The folder of photos is gone after the first step."
    _every_step(lambda number, optimizer: shutil.rmtree(photos, ignore_errors=True))


def jumping_clock(photos: Path, first: int) -> None:
    "Every reading of the wall clock is an hour before the one before."
    now, readings = time.time(), iter(range(10**9))
    time.time = lambda: now - 3600 * next(readings)


DIVERGES = "a loss that is not finite (LR 1e8)"
FAULTS = {
    "none": None,
    "no such data": lambda case: shutil.rmtree(case.photos),
    "2 % of the images unreadable": unreadable(1),
    "10 % of the images unreadable": unreadable(6),
    "copies of training images in the validation set": duplicates,
    "one class ten times rarer": imbalance,
    "--out is a file": out_is_a_file,
    "the cache cannot be written": read_only_cache,
    "a user without name and home": no_home,
    DIVERGES: divergence,
}
INNER_FAULTS = {
    "a weight turns NaN": nan_weights,
    "out of memory above 4 images": out_of_memory(4),
    "out of memory always": out_of_memory(0),
    "the data vanish during the run": vanishing_data,
    "a clock that runs backwards": jumping_clock,
}


class Case:
    "One fault met by one recipe, in a temporary folder of its own."

    def __init__(self, fault: str, recipe: str, folder: Path):
        self.fault, self.recipe, self.user = fault, recipe, None
        self.photos, self.out, self.options = folder / "photos", folder / "out", list(RECIPES[recipe])
        self.environment = os.environ | {
            "LRLAB_CACHE": str(folder / "cache"), "MPLBACKEND": "agg", "COLUMNS": "200", "TMPDIR": str(folder),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        }  # fmt: skip
        for i, name in enumerate(("left", "right")):
            write_photos(self.photos / name, 24, seed=i, size=12)
        if FAULTS.get(fault):
            FAULTS[fault](self)
        for path in (folder, *folder.rglob("*")):
            os.chmod(path, 0o777)

    def run(self) -> dict:
        "In a forked process: everything is imported already, and what a fault changes ends with it."
        said = self.out.parent / "stderr.txt"
        pid = os.fork()
        if pid == 0:
            os._exit(self._as_child(said))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        text = said.read_text(encoding="utf-8", errors="replace")
        lines = [line for line in text.splitlines() if line.strip() and "Warning" not in line and line[0] != " "]
        last = (lines or [""])[-1] if code else " ".join(lines[-2:])
        last = "TRACEBACK " * ("Traceback" in text) + last.replace(str(self.photos.parent), "...")[:300]
        return dict(zip(COLUMNS, [self.fault, self.recipe, code, self.outcome(code), last, commit()], strict=True))

    def _as_child(self, said: Path) -> int:
        streams = {1: said.with_name("stdout.txt"), 2: said}
        for number, file in streams.items():
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT, 0o666), number)
        os.environ.clear()
        os.environ.update(self.environment)
        os.chdir(self.out.parent)
        tempfile.tempdir = None
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, so one thread
        try:
            if self.user is not None:
                os.setuid(self.user)
            if self.fault in INNER_FAULTS:
                # compare and one-cycle begin with an LR range test of 100 steps
                first = 105 if self.recipe in ("compare", "one-cycle") else 5
                INNER_FAULTS[self.fault](self.photos, first)
            return cli.main([self.recipe, *self.options, "--data", str(self.photos), "--out", str(self.out)])
        except BaseException:  # the end of this process: the record is to show it
            traceback.print_exc()
            return 1
        finally:
            sys.stderr.flush()

    def outcome(self, code: int) -> str:
        if not self.out.is_dir():
            return "refused, nothing written" if code else "done"
        runs = self.out / "runs.csv"
        if runs.exists():
            with open(runs, newline="", encoding="utf-8") as table:
                rows = list(csv.DictReader(table))
            status = [row["status"] + (f" ({row['error'][:90]})" if row["error"] else "") for row in rows]
            return "; ".join(f"{status.count(one)} runs {one}" for one in dict.fromkeys(status))
        if code:
            return "stopped, folder kept"
        printed = (self.out.parent / "stdout.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        return next((f"done; {line}" for line in printed if "diverged" in line or "No rule found" in line), "done")


def commit() -> str:
    done = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip()


def matrix(faults: list[str], recipes: list[str], target: Path) -> None:
    "Run and record; rows of other faults that are recorded already are kept, so it may be done in parts."
    for codec in pkgutil.iter_modules(
        encodings.__path__
    ):  # another user may not be allowed to read this Python's files
        with contextlib.suppress(ImportError):
            importlib.import_module(f"encodings.{codec.name}")
    for fault in faults:
        rows = [row for row in recorded(target) if row["fault"] != fault]
        for recipe in recipes:
            if (fault, recipe) == (DIVERGES, "lr-find"):  # it has no LR to set
                continue
            with tempfile.TemporaryDirectory(prefix="fault-") as folder:
                rows.append(Case(fault, recipe, Path(folder)).run())
            print(*rows[-1].values(), sep=" | ", flush=True)
        write(rows, target)


def recorded(target: Path) -> list[dict]:
    if not (target / "faults.csv").exists():
        return []
    with open(target / "faults.csv", newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write(rows: list[dict], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    order = [*FAULTS, *INNER_FAULTS]
    rows = sorted(rows, key=lambda row: order.index(row["fault"]))
    with open(target / "faults.csv", "w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    lines = [
        "# What happens when something goes wrong",
        "",
        f"{len(rows)} real runs, each in a process of its own: every fault x the recipes that train on photos. The",
        "data are 48 generated images; the recipes run with 2 epochs and batches of 8. Exit codes: 0 done, 1 a fault",
        "of the machine, 2 bad input. Kills, Ctrl-C and full disks are recorded in `kills.*`.",
        "",
        f"Made by `python tests/fault_matrix.py` at commit {', '.join(sorted({row['commit'] for row in rows}))} on "
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {platform.system()}, CPU only.",
        "",
        "| fault | recipe | exit code | outcome | what was said |",
        "|---|---|---|---|---|",
        *("| " + " | ".join(str(value).replace("|", "\\|") for value in list(row.values())[:5]) + " |" for row in rows),
        "",
    ]
    (target / "README.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=Path, default=TARGET)
    parser.add_argument("--faults", nargs="*", default=[*FAULTS, *INNER_FAULTS])
    given = parser.parse_args()
    matrix(given.faults, list(RECIPES), given.target)
