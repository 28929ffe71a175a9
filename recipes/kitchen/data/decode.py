"""Image files -> one uint8 array: decoded, turned upright, cropped to a square and resized once, in threads."""

import hashlib
import os
import stat
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from joblib import Parallel, cpu_count, delayed
from PIL import Image, ImageOps, UnidentifiedImageError

from lrlab.recipes.kitchen.data.pixel_cache import cached_array, reserve
from lrlab.recipes.kitchen.stage import stage
from lrlab.recipes.kitchen.text import printable

# Files are recognised by their content, but only in these formats: Pillow would run Ghostscript on a PostScript file
# that is called .jpg. AVIF and HEIF are read where Pillow has been built with them, or has a plugin for them.
FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MAX_PIXELS = 89_478_485  # Pillow's own limit: 256 MB as RGB. Beyond it, a small file may be a decompression bomb.
GREY = {"1", "L", "LA", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
MOST_THREADS = 16
TOLD_EVERY = 100  # images, on the line that says how far the reading is
_VERSION = 2  # part of the cache key: raise it when the pixels that come out change


def find_suffixes() -> set[str]:
    "The suffixes of `FORMATS`, such as .jpg and .jfif, that this Pillow knows; .heic with the package pillow-heif."
    if find_spec("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
    return {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS}


SUFFIXES = find_suffixes()


class UnreadableImage(OSError):
    "A file that is no usable image. The message says why, in a few words and without the name of the file."


def decode_images(files: Sequence[Path], size: int, cache: bool = True) -> tuple[np.ndarray, dict[int, str]]:
    """uint8 array [n, size, size, channels] of `files` (1 channel if all are grey, else 3), memory-mapped.

    Also returns the files that could not be read, {position: reason}; their pixels are zero.
    """

    def fill(target: Path) -> dict:
        seen = in_threads(look_at, files)
        channels = 3 if any(is_colour for is_colour, _ in filter(None, seen)) else 1
        reserve(target, len(files) * size * size * channels)
        array = np.lib.format.open_memmap(target, "w+", np.uint8, (len(files), size, size, channels))

        def decode_into(position: int) -> str | None:
            if position % TOLD_EVERY == 0:
                stage(f"Reading images: {position:,} of {len(files):,}")
            try:
                array[position] = read_image(files[position], size, channels)
            except UnreadableImage as error:
                return str(error)
            return None

        problems = in_threads(decode_into, range(len(files)))
        array.flush()
        return {"unreadable": {i: problem for i, problem in enumerate(problems) if problem}}

    with warnings.catch_warnings():  # outside of the threads, which share the filters
        warnings.simplefilter("ignore")  # about damaged metadata
        array, notes = cached_array(f"photos-{size}px-{_fingerprint(files)}", fill, enabled=cache)
    return array, {int(i): problem for i, problem in notes["unreadable"].items()}


def read_image(file: Path | str, size: int, channels: int) -> np.ndarray:
    """One image as uint8 [size, size, channels]: upright (EXIF), 16 bit scaled to 8, centre square, resized.

    An animation gives its first frame, a TIFF of several pages its first page. Raises UnreadableImage if that fails.
    """
    mode = "L" if channels == 1 else "RGB"
    try:
        with _open(file) as image:
            image.draft(mode, (size, size))  # JPEG: decode at a fraction of the size where that is enough
            image = _upright(image)
            if image.mode.startswith(("I", "F")):
                image = _to_8_bit(image)
            if image.mode == "P" and "transparency" in image.info:
                image = image.convert("RGBA")
            image = ImageOps.fit(image.convert(mode), (size, size), Image.Resampling.BILINEAR)
            return np.asarray(image, np.uint8).reshape(size, size, channels)
    except UnreadableImage:
        raise
    except Exception as error:  # damaged files make Pillow's decoders raise nearly anything
        raise UnreadableImage(_reason(error)) from error


def _open(file: Path | str) -> Image.Image:
    "Open an image and read its header. Only regular files are opened, because a pipe or a device may never end."
    status = os.stat(file)
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImage("not a regular file")
    if status.st_size == 0:
        raise UnreadableImage("empty file")
    image = Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise UnreadableImage(f"{width} x {height} pixels, more than {MAX_PIXELS // 10**6} million")
    return image


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        image.load()  # raises if the pixels are damaged too, and not only the EXIF data
        return image


def _to_8_bit(image: Image.Image) -> Image.Image:
    "16-bit images span 0..65535; 32-bit integer and float ones are stretched from their own minimum to maximum."
    values = np.asarray(image, np.float64)
    finite = values[np.isfinite(values)]
    if image.mode.startswith("I;16") or not finite.size:
        low, high = 0.0, 65535.0
    else:
        low, high = finite.min(), finite.max()
    if image.mode == "I" and 0 <= low and high <= 65535:
        low, high = 0.0, 65535.0 if high > 255 else 255.0
    values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    scaled = (values / 2 - low / 2) * (510.0 / max(high - low, 1e-12)) if np.isfinite(high - low) else values * 0
    return Image.fromarray(scaled.clip(0, 255).round().astype(np.uint8))


def look_at(file: Path) -> tuple[bool, int] | None:
    """Whether an image is in colour, and its shorter side in pixels, from the header.

    None if that cannot be read. Decoding will say why.
    """
    try:
        with _open(file) as image:
            palette = image.getpalette("RGB") or []
            is_colour = palette[0::3] != palette[1::3] or palette[1::3] != palette[2::3]
            return is_colour if image.mode == "P" else image.mode not in GREY, min(image.size)
    except Exception:
        return None


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image in a known format"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS // 10**6} million pixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return printable(error)[:200] or type(error).__name__


def in_threads(function, items, at_once: int = 16) -> list:
    "Threads are enough, and copy nothing: Pillow and hashlib release the interpreter lock."
    pool = Parallel(n_jobs=min(cpu_count(), MOST_THREADS), prefer="threads", batch_size=at_once)
    return pool(delayed(function)(item) for item in items)


def _fingerprint(files: Sequence[Path]) -> str:
    "Changes whenever a file is added, removed, renamed, resized, rewritten, or becomes readable."
    digest = hashlib.sha256(f"v{_VERSION}".encode())
    for file in files:
        try:
            status = Path(file).stat()
            facts = f"{status.st_size}\0{status.st_mtime_ns}\0{status.st_mode}\0{os.access(file, os.R_OK)}"
        except OSError as error:  # vanished, or a link to nowhere
            facts = f"{error.strerror}"
        digest.update(f"{file}\0{facts}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:24]
