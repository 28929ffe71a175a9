"""Image files to one uint8 array: decoded, turned upright, cropped to a square and resized once, in threads."""

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from joblib import Parallel, cpu_count, delayed
from PIL import Image, ImageOps

from lrlab.recipes.kitchen.cache import cached_array

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
GREY = {"1", "L", "LA", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
_VERSION = 1  # part of the cache key: raise it when the pixels that come out change


def photos_array(files: Sequence[Path], size: int, cache: bool = True) -> tuple[np.ndarray, dict[int, str]]:
    """uint8 array [n, size, size, channels] of `files` (1 channel if all are grey, else 3), memory-mapped.

    Also returns the files that could not be read, {position: reason}; their pixels are zero.
    """

    def fill(target: Path) -> dict:
        modes = _in_threads(_mode, files)
        channels = 1 if all(mode in GREY for mode in modes if mode) else 3
        array = np.lib.format.open_memmap(target, "w+", np.uint8, (len(files), size, size, channels))

        def decode_into(position: int) -> str | None:
            try:
                array[position] = read_photo(files[position], size, channels)
            except (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError) as error:
                return f"{type(error).__name__}: {error}"
            return None

        problems = _in_threads(decode_into, range(len(files)))
        array.flush()
        return {"unreadable": {i: problem for i, problem in enumerate(problems) if problem}}

    array, notes = cached_array(f"photos-{size}px-{_fingerprint(files)}", fill, enabled=cache)
    return array, {int(i): problem for i, problem in notes["unreadable"].items()}


def read_photo(file: Path | str, size: int, channels: int) -> np.ndarray:
    "One image as uint8 [size, size, channels]: upright (EXIF), 16 bit scaled to 8, centre square, resized."
    with warnings.catch_warnings(), Image.open(file) as image:
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        mode = "L" if channels == 1 else "RGB"
        image.draft(mode, (size, size))  # JPEG: decode at a fraction of the size where that is enough
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith(("I", "F")):
            image = _to_8_bit(image)
        if image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")
        image = ImageOps.fit(image.convert(mode), (size, size), Image.Resampling.BILINEAR)
        return np.asarray(image, np.uint8).reshape(size, size, channels)


def _to_8_bit(image: Image.Image) -> Image.Image:
    "16-bit images span 0..65535; 32-bit integer and float ones are stretched from their own minimum to maximum."
    values = np.asarray(image, np.float64)
    low, high = (0.0, 65535.0) if image.mode.startswith("I;16") else (values.min(), values.max())
    if image.mode == "I" and 0 <= low and high <= 65535:
        low, high = 0.0, 65535.0 if high > 255 else 255.0
    scaled = (np.nan_to_num(values) - low) * (255.0 / max(high - low, 1e-12))
    return Image.fromarray(scaled.clip(0, 255).round().astype(np.uint8))


def _mode(file: Path) -> str | None:
    "The colour mode from the file's header; None if it cannot be read (the decoding will say why)."
    try:
        with warnings.catch_warnings(), Image.open(file) as image:
            warnings.simplefilter("ignore")
            if image.mode == "P":
                return "L" if all(r == g == b for r, g, b in _palette(image)) else "RGB"
            return image.mode
    except (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError):
        return None


def _palette(image: Image.Image) -> list[tuple[int, int, int]]:
    values = image.getpalette("RGB") or []
    return list(zip(values[0::3], values[1::3], values[2::3], strict=True))


def _in_threads(function, items) -> list:
    "PIL releases the interpreter lock while it decodes, so threads are enough and nothing is copied."
    return Parallel(n_jobs=min(cpu_count(), 16), prefer="threads", batch_size=16)(delayed(function)(i) for i in items)


def _fingerprint(files: Sequence[Path]) -> str:
    "Changes whenever a file is added, removed, renamed, resized or rewritten."
    digest = hashlib.sha256(f"v{_VERSION}".encode())
    for file in files:
        stat = Path(file).stat()
        digest.update(f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:24]
