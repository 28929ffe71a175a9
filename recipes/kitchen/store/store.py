"""Results on disk: every run in a folder of its own, complete if and only if its run.json is there."""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from lrlab.recipes.kitchen.errors import Refused, UserError

RUN_COLUMNS = (
    "run_id schedule lr_max seed status epochs steps train_loss valid_loss accuracy best_accuracy best_epoch "
    "diverged_step seconds error budget test_loss test_accuracy"
).split()
EPOCH_COLUMNS = "run_id schedule lr_max seed epoch step lr train_loss valid_loss accuracy seconds".split()
STEP_COLUMNS = "step epoch group lr mom loss".split()
CYCLE_COLUMNS = "run_id schedule lr_max seed cycle step epoch valid_loss accuracy".split()
_TEXT = {"run_id": str, "schedule": str, "lr_max": str}


@dataclass
class RunResult:
    "One finished run: its row of runs.csv, its epochs, its optimizer steps, and its cycles if it has several."

    row: dict  # RUN_COLUMNS
    epochs: pd.DataFrame  # EPOCH_COLUMNS
    steps: pd.DataFrame  # STEP_COLUMNS
    cycles: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=CYCLE_COLUMNS))

    def tables(self) -> dict[str, pd.DataFrame]:
        "The files of the run's folder, beside run.json."
        tables = {"epochs.csv": self.epochs, "steps.csv": self.steps}
        return tables | ({"cycles.csv": self.cycles} if len(self.cycles) else {})


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
                f"`out` {self.out}: another lrlab command is writing there; wait for it or choose another"
            ) from None
        except OSError as error:
            raise self._cannot_write(error) from error
        return self

    def __exit__(self, kind, error, traceback):
        self._lock.release()
        # A full disk, a quota, a folder that became read-only: by now whatever failed to be written is known to fail.
        if isinstance(error, OSError) and not isinstance(error, ConnectionError):
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> UserError:
        done = sum(1 for _ in self.runs.glob("[!.]*/run.json")) if self.runs.is_dir() else 0
        kept = f"; {done} finished runs are kept there, the same command continues" if done else ""
        return UserError(f"`out` {self.out}: cannot be written ({error.strerror or error}){kept}")

    @property
    def config(self) -> dict:
        "config.json, empty if there is none yet. Raises UserError if it is damaged."
        file = self.out / "config.json"
        try:
            config = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        except (ValueError, OSError, RecursionError) as error:
            raise UserError(
                f"{file} cannot be read ({error}); `fresh` starts over and keeps the old folder aside"
            ) from None
        if not isinstance(config, dict):
            raise UserError(f"{file} is not an lrlab configuration; `fresh` starts over and keeps the old folder aside")
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
                f"`out` {self.out} holds a comparison with {key} = {theirs.get(key)!r}, this command has "
                f"{key} = {ours.get(key)!r}; choose another `out`, or `fresh` to start over (the old one is kept)"
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
        """In a hidden folder, which gets its name when all is on the disk: a run is there completely or not at all.

        run.json notes the size of the tables, by which `complete` sees that a power cut or a copy has shortened one.
        """
        folder = self.runs / result.row["run_id"]
        part = folder.with_name(f".part-{folder.name}")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        try:
            sizes = {name: _write(part / name, table.to_csv(index=False)) for name, table in result.tables().items()}
            _write(part / "run.json", json.dumps(result.row | {"files": sizes}, indent=2, default=_plain))
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
            _sync_folder(self.runs)
        except OSError:
            shutil.rmtree(part, ignore_errors=True)  # give back what little room there is
            raise

    def complete(self) -> dict[str, dict]:
        "The rows of all complete runs by run id; a folder with a damaged file is set aside and named."
        rows = {}
        for folder in sorted(self.runs.iterdir()) if self.runs.is_dir() else ():
            if folder.name.startswith(".") or not (folder / "run.json").exists():
                continue
            try:
                rows[folder.name] = _read_run(folder)
            except (ValueError, TypeError, KeyError, OSError, RecursionError) as error:
                self._set_run_aside(folder, error)
        return rows

    def _set_run_aside(self, folder: Path, error: Exception) -> None:
        aside = self.runs / f".damaged-{folder.name}-{time.time_ns()}"
        folder.rename(aside)
        print(f"{folder} is damaged ({error}); set aside as {aside.name}, the same command does the run again")

    def tables(self, plan: str = "plan") -> tuple[pd.DataFrame, pd.DataFrame]:
        "The runs in the order of config.json's `plan`, and their epochs."
        rows = self.complete()
        ids = [run_id for run_id in self.config.get(plan, sorted(rows) if plan == "plan" else []) if run_id in rows]
        parts = {}
        for run_id in ids:
            try:
                parts[run_id] = _read_epochs(self.runs / run_id, rows[run_id])
            except (ValueError, OSError) as error:
                self._set_run_aside(self.runs / run_id, error)
        runs = pd.DataFrame([rows[run_id] for run_id in parts], columns=RUN_COLUMNS)
        return runs, concat(parts.values(), EPOCH_COLUMNS)

    def cycles(self, run_ids) -> pd.DataFrame:
        "The accuracy at every cycle's end, of those runs that have several cycles."
        files = [file for run_id in run_ids if (file := self.runs / run_id / "cycles.csv").exists()]
        return concat((pd.read_csv(file, dtype=_TEXT) for file in files), CYCLE_COLUMNS)

    def steps(self, run_id: str) -> pd.DataFrame:
        "Every group's LR, momentum and loss at every optimizer step of one run."
        return pd.read_csv(self.runs / run_id / "steps.csv")

    def once(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        "The table `name`.csv of this folder; made and written if it is not there yet."
        file = self.out / f"{name}.csv"
        if not file.exists():
            write_atomically(file, make().to_csv(index=False))
        return pd.read_csv(file)


def concat(tables, columns: list[str]) -> pd.DataFrame:
    "One table of many, with these columns also where there is none."
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)


def write_atomically(file: Path, text: str) -> None:
    "The file is the old one or the new one, never a part, whatever happens in between."
    part = file.with_name(f".{file.name}.part")
    try:
        _write(part, text)
        os.replace(part, file)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _read_run(folder: Path) -> dict:
    "The row of a run's run.json. Raises ValueError if it, or the size of a table beside it, is not what it should be."
    row = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    if not isinstance(row, dict) or not isinstance(row.get("files", {}), dict):
        raise ValueError("it is not what lrlab writes")
    sizes = row.pop("files", {})
    if row["run_id"] != folder.name or set(row) != set(RUN_COLUMNS):
        raise ValueError("its columns are not those of a run")
    for name, size in sizes.items():
        if (folder / name).stat().st_size != size:
            raise ValueError(f"{name} should have {size} bytes")
    return row


def _read_epochs(folder: Path, row: dict) -> pd.DataFrame:
    table = pd.read_csv(folder / "epochs.csv", dtype=_TEXT)
    if list(table.columns) != EPOCH_COLUMNS or len(table) != row["epochs"]:
        raise ValueError("epochs.csv does not hold the run's epochs")
    return table


def _write(file: Path, text: str) -> int:
    "Write a file through to the disk; returns its size in bytes."
    with open(file, "wb") as stream:
        size = stream.write(text.encode("utf-8"))
        stream.flush()
        os.fsync(stream.fileno())
    return size


def _sync_folder(folder: Path) -> None:
    "Make a renaming survive a power cut, where the system lets a folder be opened (Windows does not)."
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _plain(value):
    "numpy scalars as Python's."
    return value.item()
