"""All runs of a results folder in one file, runs.zip, for results that are kept in a repository."""

import shutil
import zipfile
import zlib
from pathlib import Path

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.store.files import replacing

FILE = "runs.zip"
DATE = (1980, 1, 1, 0, 0, 0)  # of every member: the same runs give the same file


def pack(out: Path) -> None:
    "Move the finished runs of the folder `out` into runs.zip, if there are any."
    runs = out / "runs"
    files = sorted(file for file in runs.glob("[!.]*/*") if file.is_file())
    if files:
        with replacing(out / FILE) as part, zipfile.ZipFile(part, "w") as archive:
            for file in files:
                member = zipfile.ZipInfo(file.relative_to(runs).as_posix(), DATE)
                archive.writestr(member, file.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)
    shutil.rmtree(runs)


def unpack(out: Path) -> None:
    "Put the runs of runs.zip into the folder runs/, unless that has runs. Raises UserError for a damaged file."
    runs, part = out / "runs", out / ".runs.part"
    if not (out / FILE).exists() or (runs.is_dir() and any(runs.iterdir())):
        return
    shutil.rmtree(part, ignore_errors=True)
    try:
        with zipfile.ZipFile(out / FILE) as archive:
            archive.extractall(part)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UserError(f"{out / FILE} is damaged ({error}); get it again, or delete it to begin anew") from error
    shutil.rmtree(runs, ignore_errors=True)
    part.rename(runs)
