"""Results on disk. Every run has a folder of its own, and is complete if and only if its run.json is there."""

import json
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from lrlab.recipes.kitchen.errors import Refused, UserError
from lrlab.recipes.kitchen.store.files import sync_folder, write_atomically, write_synced
from lrlab.recipes.kitchen.store.manifest import FILE, Manifest
from lrlab.recipes.kitchen.store.packed import unpack
from lrlab.recipes.kitchen.store.tables import (
    CYCLE_COLUMNS,
    EPOCH_COLUMNS,
    RUN_COLUMNS,
    TEXT_COLUMNS,
    RunResult,
    RunRow,
    concat,
    run_table,
)
from lrlab.recipes.kitchen.text import first_line, plural, typed_path

HASHED = {"pixels": "images or labels", "weights_sha256": "weights"}  # what a hash in a question is of


def check_out(out: Path) -> None:
    "Raise UserError if a file is where the folder `out`, or one above it, has to be. Makes nothing."
    nearest = next((path for path in (out, *out.parents) if path.exists()), None)
    if nearest is not None and not nearest.is_dir():
        raise UserError(f"`out` {out}: cannot be written ({nearest} is a file)")


class Store:
    "A results folder. Use it as a context manager to write: only one process at a time may."

    def __init__(self, out: Path | str):
        self.out = typed_path(out)
        self.runs = self.out / "runs"
        self._lock = FileLock(self.out / ".lock", blocking=False)
        self._manifest: Manifest | None = None

    def __enter__(self):
        try:
            self.runs.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            unpack(self.out)
        except Timeout:
            raise Refused(
                f"`out` {self.out}: another lrlab command is writing there; wait for it or choose another"
            ) from None
        except OSError as error:
            raise self._cannot_write(error) from error
        return self

    def __exit__(self, kind, error, traceback):
        self._lock.release()
        if error is not None and not hasattr(error, "kept"):
            error.kept = self._kept()  # for the sentence about what stopped the command
        # A full disk, a quota, a folder that became read-only: a file that failed to be written ends up here.
        if isinstance(error, OSError) and not isinstance(error, ConnectionError):
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> UserError:
        return UserError(f"`out` {self.out}: cannot be written ({error.strerror or error}){self._kept()}")

    def _kept(self) -> str:
        "What a command that ends early leaves here, as the end of a sentence."
        done = sum(1 for _ in self.runs.glob("[!.]*/run.json")) if self.runs.is_dir() else 0
        kept = plural(done, "finished run is kept", "finished runs are kept")
        return f"; {kept}, the same command continues" if done else ""

    @property
    def manifest(self) -> Manifest:
        "What config.json holds, an empty Manifest if there is none yet. Raises UserError if it is damaged."
        if self._manifest is None:
            self._manifest = Manifest.read(self.out)
        return self._manifest or Manifest()

    def begin(self, manifest: Manifest, fresh: bool = False, grows: Sequence[str] = ()) -> None:
        """Start or continue the study that `manifest.question` describes.

        `grows` names the parts of a question that a later command may extend. Raises Refused, naming the first other
        difference, when the folder answers another question and `fresh` is not set.
        """
        if fresh:
            self.move_away()
        if not (self.out / FILE).exists():
            self.write_manifest(manifest)
            return
        if self.manifest.merged:
            raise Refused(
                f"`out` {self.out} holds a report that is merged from other folders; choose another `out`, or `fresh` "
                "to start over (the old one is kept)"
            )
        theirs, ours = self.manifest.question, json.loads(json.dumps(manifest.question, default=str))
        changed = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key) and key not in grows]
        if changed:
            recipe, held = self.manifest.recipe, _difference(changed[0], theirs, ours)
            if recipe != manifest.recipe:
                held = f"of lrlab {recipe}, this is lrlab {manifest.recipe}"
            raise Refused(
                f"`out` {self.out} holds results {held}; choose another `out`, or `fresh` to start over (the old one "
                "is kept)"
            )
        if theirs != ours:
            self.update(question=ours, command=manifest.command, date=manifest.date, commit=manifest.commit)

    def write_merged(self, manifest: Manifest) -> None:
        "Write the manifest of a report merged from other folders. Raises Refused if this folder has other results."
        if (self.out / FILE).exists() and not self.manifest.merged:
            raise Refused(
                f"`out` {self.out}: holds other results; choose a new folder, or one of an earlier merged report"
            )
        self.write_manifest(manifest)

    def move_away(self) -> None:
        "Move what the folder holds to a dated folder beside it."
        if (self.out / FILE).exists() or any(self.runs.iterdir()):
            target = self.out.with_name(f"{self.out.name}.{time.strftime('%Y%m%d-%H%M%S')}")
            target.mkdir()
            for item in self.out.iterdir():
                if item.name != ".lock":
                    item.rename(target / item.name)
            self.runs.mkdir()
            self._manifest = None

    def write_manifest(self, manifest: Manifest) -> None:
        manifest.write(self.out)
        self._manifest = manifest

    def update(self, **values) -> None:
        "Change fields of the manifest, on disk too."
        self.write_manifest(replace(self.manifest, **values))

    def write_run(self, result: RunResult) -> None:
        """Write a run into a hidden folder, which gets its name when all is on the disk.

        A run is there completely or not at all. run.json notes the sizes of the tables, so that `complete` detects a
        table that a power cut or a copy has shortened.
        """
        folder = self.runs / result.row.run_id
        part = folder.with_name(f".part-{folder.name}")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        try:
            sizes = {name: write_synced(part / name, content) for name, content in result.files().items()}
            write_synced(part / "run.json", json.dumps(asdict(result.row) | {"files": sizes}, indent=2).encode())
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
            sync_folder(self.runs)
        except OSError:
            shutil.rmtree(part, ignore_errors=True)  # give back what little room there is
            raise

    def complete(self) -> dict[str, RunRow]:
        "The rows of all complete runs by run id. A folder with a damaged file is moved away and named."
        rows = {}
        unpack(self.out)
        for folder in sorted(self.runs.iterdir()) if self.runs.is_dir() else ():
            if folder.name.startswith(".") or not (folder / "run.json").exists():
                continue
            try:
                rows[folder.name] = _read_run(folder)
            except (ValueError, TypeError, KeyError, OSError, RecursionError) as error:
                self._move_run_away(folder, error)
        return rows

    def _move_run_away(self, folder: Path, error: Exception) -> None:
        target = self.runs / f".damaged-{folder.name}-{time.time_ns()}"
        folder.rename(target)
        print(f"{folder} is damaged ({error}); moved to {target.name}, the same command does the run again")

    def tables(self, plan: str = "plan") -> tuple[pd.DataFrame, pd.DataFrame]:
        "The runs in the order of the manifest's `plan` (or `tuning_plan`), and their epochs."
        rows = self.complete()
        planned = getattr(self.manifest, plan)
        parts = {}
        for run_id in sorted(rows) if planned is None else (run_id for run_id in planned if run_id in rows):
            try:
                parts[run_id] = _checked_epochs(self.epochs(run_id), rows[run_id])
            except (ValueError, OSError) as error:
                self._move_run_away(self.runs / run_id, error)
        return run_table(rows[run_id] for run_id in parts), concat(parts.values(), EPOCH_COLUMNS)

    def cycles(self, run_ids) -> pd.DataFrame:
        "The accuracy at the end of every cycle, of those runs that have several cycles."
        files = [file for run_id in run_ids if (file := self.runs / run_id / "cycles.csv").exists()]
        return concat((pd.read_csv(file, dtype=TEXT_COLUMNS) for file in files), CYCLE_COLUMNS)

    def epochs(self, run_id: str) -> pd.DataFrame:
        "The LR, losses and accuracy after every epoch of one run."
        return pd.read_csv(self.runs / run_id / "epochs.csv", dtype=TEXT_COLUMNS)

    def steps(self, run_id: str) -> pd.DataFrame:
        "The LR, momentum and loss of every layer group at every optimizer step of one run."
        return pd.read_csv(self.runs / run_id / "steps.csv")

    def predictions(self, run_id: str) -> dict[str, np.ndarray]:
        """What a run predicted for the validation data after its last step, and their `targets`.

        `log_probabilities` [n, classes] of a classification, else the model's `outputs`. Empty if they were too large
        to be stored.
        """
        file = self.runs / run_id / "predictions.npz"
        return dict(np.load(file, allow_pickle=False)) if file.exists() else {}

    def once(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        "The table `name`.csv of this folder, which is made and written if it is not there yet."
        if not self.has(name):
            self.write_tables(**{name: make()})
        return self.table(name)

    def has(self, *names: str) -> bool:
        "Whether the folder has all of these tables."
        return all((self.out / f"{name}.csv").exists() for name in names)

    def table(self, name: str, **options: Any) -> pd.DataFrame:
        "The table `name`.csv of this folder. Raises UserError if it was emptied, or saved with other separators."
        file = self.out / f"{name}.csv"
        try:
            table = pd.read_csv(file, **options)
            if len(table.columns) < 2:
                raise ValueError("expected several columns, separated by commas")
        except ValueError as error:
            raise UserError(
                f"{file}: damaged ({first_line(error)}); move it away, and the same command continues"
            ) from error
        return table

    def write_tables(self, **tables: pd.DataFrame) -> None:
        "Write each table as name.csv."
        for name, table in tables.items():
            write_atomically(self.out / f"{name}.csv", table.to_csv(index=False))


def _read_run(folder: Path) -> RunRow:
    "The row in run.json. Raises ValueError if it, or the size of a table beside it, is not what was written."
    row = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    if not isinstance(row, dict) or not isinstance(row.get("files", {}), dict):
        raise ValueError("it is not what lrlab writes")
    sizes = row.pop("files", {})
    row.setdefault("measures", {})  # of lrlab 1.0
    if row["run_id"] != folder.name or set(row) != {*RUN_COLUMNS, "measures"} or not isinstance(row["measures"], dict):
        raise ValueError("its columns are not those of a run")
    for name, size in sizes.items():
        if (folder / name).stat().st_size != size:
            raise ValueError(f"{name} should have {size} bytes")
    return RunRow(**row)


def _checked_epochs(table: pd.DataFrame, row: RunRow) -> pd.DataFrame:
    if list(table.columns[: len(EPOCH_COLUMNS)]) != EPOCH_COLUMNS or len(table) != row.epochs:
        raise ValueError("epochs.csv does not hold the run's epochs")
    return table


def _difference(key: str, theirs: dict, ours: dict) -> str:
    """How the results that a folder holds differ from those of a command. A hash says nothing to a person.

    >>> _difference("bs", {"bs": 64}, {"bs": 32})
    'with bs = 64, this command has bs = 32'
    >>> _difference("pixels", {"pixels": "7d10bfb243e03ae0"}, {"pixels": "0903fa481cecb39f"})
    'from before the images or labels changed'
    """
    if all(re.fullmatch("[0-9a-f]{12,}", str(question.get(key))) for question in (theirs, ours)):
        return f"from before the {HASHED.get(key, key)} changed"
    return f"with {_setting(key, theirs)}, this command has {_setting(key, ours)}"


def _setting(name: str, question: dict) -> str:
    value = question.get(name)
    return f"no {name}" if value is None else f"{name} = {value!r}"
