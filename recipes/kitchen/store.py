"""Results on disk: every run in a folder of its own, complete if and only if its run.json is there."""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from lrlab.recipes.kitchen.errors import Refused, UserError

RUN_COLUMNS = (
    "run_id schedule lr_max seed status epochs steps train_loss valid_loss accuracy best_accuracy best_epoch "
    "diverged_step seconds error"
).split()
EPOCH_COLUMNS = "run_id schedule lr_max seed epoch step lr train_loss valid_loss accuracy seconds".split()
STEP_COLUMNS = "step epoch group lr mom loss".split()


@dataclass
class RunResult:
    "One finished run: its row of runs.csv, its epochs and its optimizer steps."

    row: dict  # RUN_COLUMNS
    epochs: pd.DataFrame  # EPOCH_COLUMNS
    steps: pd.DataFrame  # STEP_COLUMNS


class Store:
    "The folder of one comparison. Use it as a context manager to write; only one process at a time may."

    def __init__(self, out: Path | str):
        self.out = Path(out)
        self.runs = self.out / "runs"
        self._lock = FileLock(self.out / ".lock", blocking=False)

    def __enter__(self):
        try:
            self.runs.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise Refused(
                f"--out {self.out}: another lrlab command is writing there; wait for it or choose another"
            ) from None
        except OSError as error:
            raise UserError(f"--out {self.out}: cannot be written ({error.strerror or error})") from error
        return self

    def __exit__(self, *_):
        self._lock.release()

    @property
    def config(self) -> dict:
        "config.json, empty if there is none yet. Raises UserError if it is damaged."
        file = self.out / "config.json"
        try:
            config = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        except (ValueError, OSError) as error:
            raise UserError(
                f"{file} cannot be read ({error}); --fresh starts over and keeps the old folder aside"
            ) from None
        if not isinstance(config, dict):
            raise UserError(f"{file} is not an lrlab configuration; --fresh starts over and keeps the old folder aside")
        return config

    def begin(self, config: dict, fresh: bool = False) -> None:
        """Start or continue the comparison that `config["question"]` describes.

        Raises Refused, naming the first difference, when the folder answers another question and `fresh` is not set.
        """
        if fresh:
            self.set_aside()
        old = self.config
        if not old:
            self.write_config(config)
            return
        theirs, ours = old.get("question", {}), config["question"]
        changed = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
        if changed:
            key = changed[0]
            raise Refused(
                f"--out {self.out} holds a comparison with {key} = {theirs.get(key)!r}, this command has "
                f"{key} = {ours.get(key)!r}; choose another --out, or --fresh to start over (the old one is kept)"
            )

    def set_aside(self) -> None:
        "Move what the folder holds to a dated folder beside it."
        if self.config_exists_or_runs():
            aside = self.out.with_name(f"{self.out.name}.{time.strftime('%Y%m%d-%H%M%S')}")
            aside.mkdir()
            for item in self.out.iterdir():
                if item.name != ".lock":
                    item.rename(aside / item.name)
            self.runs.mkdir()

    def config_exists_or_runs(self) -> bool:
        return (self.out / "config.json").exists() or any(self.runs.iterdir())

    def write_config(self, config: dict) -> None:
        write_atomically(self.out / "config.json", json.dumps(config, indent=2, ensure_ascii=False, default=str))

    def write_run(self, result: RunResult) -> None:
        "The tables first, run.json last: a folder without it is an unfinished run and will be done again."
        folder = self.runs / result.row["run_id"]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        result.epochs.to_csv(folder / "epochs.csv", index=False)
        result.steps.to_csv(folder / "steps.csv", index=False)
        write_atomically(folder / "run.json", json.dumps(result.row, indent=2, default=_plain))

    def complete(self) -> dict[str, dict]:
        "The rows of all complete runs by run id; a folder whose run.json is damaged is set aside and named."
        rows = {}
        for folder in sorted(self.runs.iterdir()) if self.runs.is_dir() else ():
            if folder.name.startswith(".") or not (folder / "run.json").exists():
                continue
            try:
                row = json.loads((folder / "run.json").read_text(encoding="utf-8"))
                if row["run_id"] != folder.name or set(row) != set(RUN_COLUMNS):
                    raise ValueError("its columns are not those of a run")
                rows[folder.name] = row
            except (ValueError, TypeError, KeyError, OSError) as error:
                aside = self.runs / f".damaged-{folder.name}-{time.time_ns()}"
                folder.rename(aside)
                print(f"{folder} is damaged ({error}); set aside as {aside.name}, the run will be done again")
        return rows

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        "runs.csv and epochs.csv, rebuilt from the runs in the order of config.json's plan, and written."
        rows = self.complete()
        plan = [run_id for run_id in self.config.get("plan", sorted(rows)) if run_id in rows]
        runs = pd.DataFrame([rows[run_id] for run_id in plan], columns=RUN_COLUMNS)
        parts = [self._epochs(run_id) for run_id in plan]
        filled = [part for part in parts if len(part)]
        epochs = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=EPOCH_COLUMNS)
        write_atomically(self.out / "runs.csv", runs.to_csv(index=False))
        write_atomically(self.out / "epochs.csv", epochs.to_csv(index=False))
        return runs, epochs

    def once(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        "The table `name`.csv of this folder; made and written if it is not there yet."
        file = self.out / f"{name}.csv"
        if not file.exists():
            write_atomically(file, make().to_csv(index=False))
        return pd.read_csv(file)

    def _epochs(self, run_id: str) -> pd.DataFrame:
        return pd.read_csv(self.runs / run_id / "epochs.csv", dtype={"lr_max": str, "schedule": str})

    def steps(self, run_id: str) -> pd.DataFrame:
        "Every group's LR, momentum and loss at every optimizer step of one run."
        return pd.read_csv(self.runs / run_id / "steps.csv")


def write_atomically(file: Path, text: str) -> None:
    "The file is the old one or the new one, never a part, whatever happens in between."
    part = file.with_name(f".{file.name}.part")
    with open(part, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, file)


def _plain(value):
    "numpy scalars as Python's."
    return value.item()
