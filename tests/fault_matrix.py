"""Every fault x every recipe that it can meet, in real processes: what happened.

    python tests/fault_matrix.py --jobs 2   # writes results/reference/faults/faults.csv and README.md

Kills of a comparison at random moments are in kills.*, made by kill_grid.py. A recipe runs in a process of its own;
faults that cannot be had from outside (a weight that turns NaN, memory that runs out) are put into it before it starts.
"""

import argparse
import contextlib
import csv
import encodings
import functools
import importlib
import io
import os
import pkgutil
import platform
import re
import shutil
import signal
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
from lrlab.recipes.kitchen import (  # noqa: E402, F401  (before forking)
    comparison,
    descent_answer,
    lr_epochs,
    lr_lesson,
    lr_range,
    snapshot_answer,
    transfer,
    tutorial,
)
from tests.conftest import write_photos  # noqa: E402

TARGET = ROOT / "results" / "reference" / "faults"
COLUMNS = ["fault", "recipe", "exit_code", "outcome", "said", "commit"]
TRAINING = ["--bs", "8", "--size", "12", "--precision", "fp32"]
PRETRAINED = ["--bs", "8", "--size", "32", "--precision", "fp32", "--seeds", "1", "--jobs", "1"]
FIRST_STEP = {
    "compare": 105,
    "one-cycle": 105,
    "transfer": 110,
    "transfer-vs-scratch": 2,
}  # of a fault: these begin with an LR range test
RECIPES = {  # small enough for seconds
    "compare": [*TRAINING, "--epochs", "2", "--seeds", "2", "--schedules", "constant,one_cycle", "--lr-max", "3e-3",
                "--jobs", "1"],
    "lr-find": [*TRAINING, "--seeds", "1", "--num-it", "30"],
    "one-cycle": [*TRAINING, "--arch", "small", "--epochs", "2", "--lr-max", "3e-3"],
    "learning-rate": [*TRAINING, "--epochs", "2", "--long", "3", "--seeds", "1", "--jobs", "1", "--lr", "3e-3"],
    "transfer": [*PRETRAINED, "--epochs", "1", "--lr", "slice(3e-6,3e-3)"],
    "transfer-vs-scratch": [*PRETRAINED, "--epochs", "1", "--lrs", "3e-3"],
    "snapshot-ensemble": [*TRAINING, "--epochs", "3", "--cycles", "3", "--seeds", "1", "--jobs", "1",
                          "--lr-max", "3e-3"],
    "gradient-descent": ["--starts", "5", "--epochs", "1", "--schedules", "constant"],
    "speed": ["--quick", "--jobs", "1"],
    "doctor": [],
}  # fmt: skip
TRAINED = [name for name in RECIPES if name not in ("gradient-descent", "speed", "doctor")]
LR_OPTION = {"learning-rate": "--lr", "transfer": "--lr", "transfer-vs-scratch": "--lrs"}  # elsewhere --lr-max


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
    option = LR_OPTION.get(case.recipe, "--lr-max")
    case.options[case.options.index(option) + 1] = "slice(1e7,1e8)" if case.recipe == "transfer" else "1e8"
    case.options += ["--high", "1e9"] if case.recipe == "learning-rate" else []


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
        "Training on more than `most` images asks for more memory than there is."
        import torch

        forward = torch.nn.Conv2d.forward

        def greedy(self, x):
            if self.training and len(x) > most:
                torch.empty(2**60)
            return forward(self, x)

        torch.nn.Conv2d.forward = greedy

    return fault


def vanishing_data(photos: Path, first: int) -> None:
    "The folder of photos is gone after the first step."
    _every_step(lambda number, optimizer: shutil.rmtree(photos, ignore_errors=True))


def full_disk(photos: Path, first: int) -> None:
    "From step `first` on no file can grow beyond 9 kB: tables fit, the figure does not."
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = (9000, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    _every_step(lambda number, optimizer: number == first and resource.setrlimit(resource.RLIMIT_FSIZE, limit))


def ctrl_c(photos: Path, first: int) -> None:
    "Ctrl-C at step `first`."
    _every_step(lambda number, optimizer: number == first and os.kill(os.getpid(), signal.SIGINT))


def jumping_clock(photos: Path, first: int) -> None:
    "Every reading of the wall clock is an hour before the one before."
    now, readings = time.time(), iter(range(10**9))
    time.time = lambda: now - 3600 * next(readings)


FEW_IMAGES = re.compile(r"only \d+ validation images: one of them is")
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
    "no room for the figure": full_disk,
    "Ctrl-C": ctrl_c,
    "a clock that runs backwards": jumping_clock,
}
MACHINE = ("none", "--out is a file", "the cache cannot be written", "a user without name and home")
NOT_TRAINED = {  # what can meet the recipes that train nothing, or not on the user's photos
    "gradient-descent": [*MACHINE, "a clock that runs backwards"],
    "speed": MACHINE[1:3],
    "doctor": MACHINE,
}


def meets(fault: str, recipe: str) -> bool:
    if recipe in NOT_TRAINED:
        return fault in NOT_TRAINED[recipe]
    return (fault, recipe) != (DIVERGES, "lr-find")  # it has no LR to set


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
        if recipe.startswith("transfer"):  # a small pretrained network, made here
            (folder / "resnet.pth").write_bytes(small_weights())
            self.options += ["--arch", "test_resnet", "--weights", str(folder / "resnet.pth")]
        if FAULTS.get(fault):
            FAULTS[fault](self)
        for path in (folder, *folder.rglob("*")):
            os.chmod(path, 0o777)

    def start(self, core: int) -> int:
        "The id of a forked process: everything is imported already, and what a fault changes ends with it."
        pid = os.fork()
        if pid == 0:
            os._exit(self._as_child(self.out.parent / "stderr.txt", core))
        return pid

    def record(self, code: int) -> dict:
        "The row of the matrix, after the process has ended with `code`."
        text = (self.out.parent / "stderr.txt").read_text(encoding="utf-8", errors="replace")
        lines = [line for line in text.splitlines() if line.strip() and "Warning" not in line and line[0] != " "]
        told = (lines or [""])[-1] if code else " ".join(line for line in lines if not FEW_IMAGES.search(line))
        told = "TRACEBACK " * ("Traceback" in text) + told.replace(str(self.photos.parent), "...")[:300]
        row = [self.fault, self.recipe, code, self.outcome(code), told or "nothing", commit()]
        return dict(zip(COLUMNS, row, strict=True))

    def _as_child(self, said: Path, core: int) -> int:
        streams = {1: said.with_name("stdout.txt"), 2: said}
        for number, file in streams.items():
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT, 0o666), number)
        os.environ.clear()
        os.environ.update(self.environment)
        os.chdir(self.out.parent)
        tempfile.tempdir = None
        if hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cores[core % len(cores)]})  # one core, so one thread
        try:
            if self.user is not None:
                os.setuid(self.user)
            if self.fault in INNER_FAULTS:
                INNER_FAULTS[self.fault](self.photos, FIRST_STEP.get(self.recipe, 5))
            data = ["--data", str(self.photos)] if self.recipe in TRAINED else []
            return cli.main([self.recipe, *self.options, *data, "--out", str(self.out)])
        except BaseException:  # the end of this process: the record is to show it
            traceback.print_exc()
            return 1
        finally:
            sys.stderr.flush()

    def outcome(self, code: int) -> str:
        if not self.out.is_dir():
            return "refused, nothing written" if code else "done"
        pictures = "" if code or list(self.out.glob("*.png")) else ", no figure"
        runs = self.out / "runs.csv"
        if runs.exists():
            with open(runs, newline="", encoding="utf-8") as table:
                rows = list(csv.DictReader(table))
            status = [row["status"] + (f" ({row['error'][:90]})" if row["error"] else "") for row in rows]
            return "; ".join(f"{status.count(one)} runs {one}" for one in dict.fromkeys(status)) + pictures
        if code:
            kept = len(list(self.out.glob("runs/[!.]*/run.json")))
            return f"stopped, {kept} finished runs kept" if kept else "stopped, folder kept"
        printed = (self.out.parent / "stdout.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        return (
            next((f"done; {line}" for line in printed if "diverged" in line or "No rule found" in line), "done")
            + pictures
        )


def commit() -> str:
    done = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip()


@functools.cache
def small_weights() -> bytes:
    "The weights of a real network of a few layers."
    import timm
    import torch

    torch.manual_seed(0)
    stream = io.BytesIO()
    torch.save(timm.create_model("test_resnet", pretrained=False).state_dict(), stream)
    return stream.getvalue()


def matrix(faults: list[str], recipes: list[str], target: Path, jobs: int) -> None:
    "Run and record; other rows that are recorded already are kept, so it may be done in parts."
    for codec in pkgutil.iter_modules(
        encodings.__path__
    ):  # another user may not be allowed to read this Python's files
        with contextlib.suppress(ImportError):
            importlib.import_module(f"encodings.{codec.name}")
    todo = [(fault, recipe) for fault in faults for recipe in recipes if meets(fault, recipe)]
    rows = {(row["fault"], row["recipe"]): row for row in recorded(target)}
    running: dict[int, tuple[Case, int]] = {}
    cores = list(range(jobs))
    with tempfile.TemporaryDirectory(prefix="fault-") as folder:
        os.chmod(folder, 0o755)
        while todo or running:
            while todo and cores:
                own = Path(folder) / str(len(todo))
                own.mkdir()
                case, core = Case(*todo.pop(0), own), cores.pop()
                running[case.start(core)] = case, core
            pid, status = os.wait()
            case, core = running.pop(pid)
            cores.append(core)
            rows[case.fault, case.recipe] = case.record(os.waitstatus_to_exitcode(status))
            shutil.rmtree(case.out.parent, ignore_errors=True)
            print(*rows[case.fault, case.recipe].values(), sep=" | ", flush=True)
            write(list(rows.values()), target)


def recorded(target: Path) -> list[dict]:
    if not (target / "faults.csv").exists():
        return []
    with open(target / "faults.csv", newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write(rows: list[dict], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    faults, recipes = [*FAULTS, *INNER_FAULTS], list(RECIPES)
    rows = sorted(rows, key=lambda row: (faults.index(row["fault"]), recipes.index(row["recipe"])))
    with open(target / "faults.csv", "w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    lines = [
        "# What happens when something goes wrong",
        "",
        f"{len(rows)} real runs, each in a process of its own: every fault x every recipe that it can meet. The",
        "data are 48 generated images; the recipes run with 1 to 3 epochs and batches of 8. Exit codes: 0 done, 1 a",
        "fault of the machine, 2 bad input, 130 stopped by Ctrl-C. Kills are recorded in `kills.*`. That few",
        "images are left for validation is said in every run and left out here.",
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
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES))
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    matrix(given.faults, given.recipes, given.target, given.jobs)
