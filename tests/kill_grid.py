"""Kills a comparison with SIGKILL at random moments until it is done, and checks that nothing was lost or changed.

    python tests/kill_grid.py --kills 20 --out results/reference/faults

writes what was killed, when, and how many runs were complete then, and whether the final runs.csv equals that of an
undisturbed comparison in every column but the seconds. tests/recipes/test_faults.py does a smaller version.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

EIGHT = "constant,step,exponential,cosine,triangular,triangular2,sgdr,one_cycle"
QUESTION = "--data digits --size 8 --epochs 1 --seeds 3 --lr-max 3e-3 --schedules".split() + [EIGHT]


class Command:
    "A recipe as a process group of its own, with its output read as it comes."

    def __init__(self, options: list[str], recipe: str = "compare"):
        self._output = tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace")
        self.process = self.start([recipe, *options], Path(self._output.name))

    @staticmethod
    def start(argv: list[str], output: Path) -> subprocess.Popen:
        # Ctrl-C as a terminal has it: in the background of a shell, where a suite may run too, it would be ignored.
        code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        code += "from lrlab.recipes.cli import main; sys.exit(main())"
        with open(output, "w") as file:
            streams = {"stdout": file, "stderr": subprocess.STDOUT}
            return subprocess.Popen([sys.executable, "-u", "-c", code, *argv], start_new_session=True, **streams)

    def output(self) -> str:
        self._output.seek(0)
        return self._output.read()

    def saw(self, start: str) -> bool:
        return any(line.startswith(start) for line in self.output().splitlines())

    def wait_for(self, start: str, seconds: float = 180) -> None:
        "Until a line has begun with `start`. Raises AssertionError if the command ends first."
        until = time.monotonic() + seconds
        while not self.saw(start):
            assert self.process.poll() is None and time.monotonic() < until, self.output()
            time.sleep(0.02)

    def workers(self) -> list[int]:
        "The processes that train."
        file = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        children = [int(child) for child in file.read_text().split()] if file.exists() else []
        return [child for child in children if "popen_loky_posix" in command_line(child)]

    def end(self) -> tuple[int, str]:
        "Exit code and output, once it is over."
        return self.process.wait(), self.output()


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def numbers(out: Path) -> pd.DataFrame:
    "runs.csv without the seconds."
    return pd.read_csv(out / "runs.csv", dtype={"lr_max": str}).drop(columns="seconds")


def complete(out: Path) -> int:
    return len(list(out.glob("runs/[!.]*/run.json")))


def kill_and_continue(out: Path, kills: int, rng: random.Random) -> pd.DataFrame:
    """One row per kill: what was killed, in which phase, with how many runs complete before and after.

    A fifth of the kills hits the imports and the LR range test, the others the training, a random time after none or
    one more run has ended. Two thirds of those hit the command, the others a worker, and the command a little later.
    """
    rows = []
    while len(rows) < kills:
        before = complete(out)
        command = Command([*QUESTION, "--jobs", "2", "--out", str(out)])
        whom, early, more = rng.choice(["command", "command", "worker"]), rng.random() < 0.2, rng.randrange(2)
        while (
            not early
            and command.process.poll() is None
            and not (command.saw("To do") and complete(out) >= before + more)
        ):
            time.sleep(0.01)
        delay = rng.uniform(0, 8 if early else 1.5)
        time.sleep(delay)
        workers = command.workers()
        if command.process.poll() is not None:
            break  # all done before all kills were spent
        victim = rng.choice(workers) if whom == "worker" and workers else command.process.pid
        os.kill(victim, signal.SIGKILL)
        if victim in workers:  # the command replaces it and goes on, then is killed too
            time.sleep(rng.uniform(0, 15))
            workers += command.workers()
            if command.process.poll() is None:
                os.kill(command.process.pid, signal.SIGKILL)
        _, output = command.end()
        gone = time.monotonic()
        while any(alive(worker) for worker in workers):
            assert time.monotonic() < gone + 30, "orphaned workers go on"
            time.sleep(0.05)
        assert "Traceback" not in output, output
        rows.append(
            {
                "kill": len(rows) + 1,
                "killed": "worker, then command" if victim in workers else "command",
                "phase": "start" if early else "training",
                "workers": len(set(workers)),
                "complete_before": before,
                "complete_after": complete(out),
                "orphans_ended_after_s": round(time.monotonic() - gone, 2),
            }
        )
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results/faults"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "undisturbed", Path(folder) / "killed"
        assert Command([*QUESTION, "--jobs", "2", "--out", str(whole)]).end()[0] == 0
        table = kill_and_continue(killed, options.kills, random.Random(options.seed))
        code, output = Command([*QUESTION, "--jobs", "2", "--out", str(killed)]).end()
        assert code == 0, output
        pd.testing.assert_frame_equal(numbers(killed), numbers(whole), check_exact=True)
        options.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(options.out / "kills.csv", index=False)
        numbers(killed).to_csv(options.out / "kills_runs.csv", index=False)
        print(f"{len(table)} kills; all {len(numbers(killed))} runs equal those of the undisturbed comparison")


if __name__ == "__main__":
    main()
