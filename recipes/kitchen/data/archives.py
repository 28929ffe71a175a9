"""fastai's dataset archives, checked before they are unpacked."""

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import fastai.data
from fastai.data.external import fastai_cfg
from fastdownload.core import FastDownload

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import first_line, printable


def untar(url: str) -> Path:
    """The folder of a fastai dataset, as `untar_data(url)` returns it: downloaded and unpacked if it is not there yet.

    Raises UserError if that fails, or if the archive holds anything but files and folders that stay in its folder.
    """
    try:
        # fastai's settings say where; `base` is needed only to look for them.
        return CheckedDownload(fastai_cfg(), module=fastai.data, base="~/.fastai").get(url, extract_key="data")
    except UserError:
        raise
    except Exception as error:  # no network, an archive that differs from fastai's checksum, no home folder, ...
        raise UserError(f"it is not there and cannot be downloaded and unpacked ({first_line(error)})") from error


class CheckedDownload(FastDownload):
    "fastai's own download and folders. The archive is checked after the download and before it is unpacked."

    def extract(self, url, extract_key="data", force=False):
        archive = self.arch_path() / url.rpartition("/")[2].partition("?")[0]
        check_archive(archive, self.data_path(extract_key))
        return super().extract(url, extract_key=extract_key, force=force)


def check_archive(archive: Path, target: Path) -> None:
    """Raise UserError unless everything in a .tar.* or .zip file is a plain file or folder that stays below `target`.

    Python's own filter lets links inside the archive pass and serves no .zip files. Image datasets hold no links.
    """
    try:
        total = 0
        for name, plain, size in _members(archive):
            if not plain:
                raise UserError(f"{archive}: {printable(name)!r} is a link or a device; nothing is unpacked")
            path = PurePosixPath(name)
            if path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts or "\\" in name:
                raise UserError(f"{archive}: {printable(name)!r} would leave {target} (outside); nothing is unpacked")
            total += size
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{archive} is damaged ({printable(error)}); delete it to download it again") from error
    free = shutil.disk_usage(next(p for p in (target, *target.absolute().parents) if p.exists())).free
    if total > free:
        raise UserError(f"{archive} unpacks to {total / 1e9:.1f} GB and {target} has {free / 1e9:.1f} GB left")


def _members(archive: Path) -> Iterator[tuple[str, bool, int]]:
    "Name, whether it is a plain file or folder, and size in bytes of everything in the archive."
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                kind = stat.S_IFMT(entry.external_attr >> 16)
                yield entry.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR), entry.file_size
        return
    with tarfile.open(archive) as opened:
        for member in opened:
            yield member.name, member.isreg() or member.isdir(), member.size
