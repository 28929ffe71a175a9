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
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lrlab.recipes import cli  # noqa: E402
from lrlab.recipes.studies.compare import study as comparison  # noqa: E402, F401  (before forking)
from lrlab.recipes.studies.gradient_descent import study as descent_answer  # noqa: E402, F401  (before forking)
from lrlab.recipes.studies.learning_rate import study as lr_lesson  # noqa: E402, F401  (before forking)
from lrlab.recipes.studies.lr_find import study as lr_range  # noqa: E402, F401  (before forking)
from lrlab.recipes.studies.one_cycle import study as tutorial  # noqa: E402, F401  (before forking)
from lrlab.recipes.studies.snapshot_ensemble import study as snapshot_answer  # noqa: E402, F401  (before forking)
from lrlab.recipes.studies.transfer import study as transfer  # noqa: E402, F401  (before forking)
from lrlab.recipes.studies.transfer_vs_scratch import study as lr_epochs  # noqa: E402, F401  (before forking)
from tests.conftest import write_images  # noqa: E402
from tests.faults import FAULTS, FIRST_STEP, INNER_FAULTS, RECIPES, TRAINED, meets  # noqa: E402

TARGET = ROOT / "results" / "reference" / "faults"
COLUMNS = ["fault", "recipe", "exit_code", "outcome", "said", "commit"]
FEW_IMAGES = re.compile(r"only \d+ (validation images:|images: where \d+ are validated on,) one of them is")


class Case:
    "One fault met by one recipe, in a temporary folder of its own."

    def __init__(self, fault: str, recipe: str, folder: Path):
        self.fault, self.recipe, self.user = fault, recipe, None
        self.image_set, self.out, self.options = folder / "images", folder / "out", list(RECIPES[recipe])
        self.environment = os.environ | {
            "LRLAB_CACHE": str(folder / "cache"), "MPLBACKEND": "agg", "COLUMNS": "200", "TMPDIR": str(folder),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        }  # fmt: skip
        for i, name in enumerate(("left", "right")):
            write_images(self.image_set / name, 24, seed=i, size=12)
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
        shown = [line for line in text.splitlines() if line.strip() and "Warning" not in line and line[0] != " "]
        lines = [line for line in shown if not FEW_IMAGES.search(line)]
        lines += [line for line in self._printed() if line.startswith("Stopped")]
        told = (lines or [""])[-1] if code else " ".join(lines)
        told = "TRACEBACK " * ("Traceback" in text) + told.replace(str(self.image_set.parent), "...")[:300]
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
                INNER_FAULTS[self.fault](self.image_set, FIRST_STEP.get(self.recipe, 5))
            data = ["--data", str(self.image_set)] if self.recipe in TRAINED else []
            return cli.main([self.recipe, *self.options, *data, "--out", str(self.out)])
        except BaseException:  # the end of this process: the record is to show it
            traceback.print_exc()
            return 1
        finally:
            sys.stderr.flush()

    def outcome(self, code: int) -> str:
        if not self.out.is_dir():
            return self._last_line() if self.recipe == "doctor" else "refused, nothing written" if code else "done"
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

    def _printed(self) -> list[str]:
        return (self.out.parent / "stdout.txt").read_text(encoding="utf-8", errors="replace").splitlines()

    def _last_line(self) -> str:
        return (self._printed() or ["nothing"])[-1]


@functools.cache
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
    commit()  # of the code that is imported now, whatever is committed while it runs
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
