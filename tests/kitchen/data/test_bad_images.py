"""Images as they are in the wild, made here: each one is read, or left out and named."""

import io
import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from lrlab.recipes.kitchen.data import catalog as data
from lrlab.recipes.kitchen.data import decode

RAMP = np.tile(np.arange(0, 240, 10, dtype=np.uint8), (24, 1))  # dark on the left, bright on the right
COLOUR = np.stack([RAMP, RAMP.T, 255 - RAMP], -1)


def load(folder: Path, size: int = 12) -> data.ImageSet:
    return data.load(str(folder), size, cache=False)


def encoded(image: Image.Image, form: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def colour(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(COLOUR).convert(mode)


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def png_claiming(width: int, height: int) -> bytes:
    "A PNG of a few bytes whose header promises a huge picture."

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 10_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def animated(form: str) -> bytes:
    frames = [colour(), Image.new("RGB", (24, 24), "red"), Image.new("RGB", (24, 24), "blue")]
    return encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=50)


def with_text_bomb() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 5_000_000, zip=True)
    return encoded(colour(), "PNG", pnginfo=info)


def float_tiff(*specials: float) -> bytes:
    values = COLOUR[..., 0].astype(np.float32) - 100
    values.flat[: len(specials)] = specials
    return encoded(Image.fromarray(values), "TIFF")


JPEG = encoded(colour(), "JPEG", quality=95)
BROKEN_EXIF = encoded(colour(), "JPEG", quality=95, exif=b"Exif\0\0MM\0*" + b"\xff" * 40)
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 24 24\n%%EndComments\n(/tmp/owned) (w) file closefile\n"

RAMPS = {  # the file is read, and is as bright where it should be as the ramp is
    "grey.png": encoded(Image.fromarray(RAMP), "PNG"),
    "grey_alpha.png": encoded(Image.fromarray(RAMP).convert("LA"), "PNG"),
    "16bit.png": encoded(Image.fromarray(RAMP.astype(np.uint16) * 257), "PNG"),
    "16bit.tif": encoded(Image.fromarray(RAMP.astype(np.uint16) * 257), "TIFF"),
    "16bit.pgm": encoded(Image.fromarray(RAMP.astype(np.uint16) * 257), "PPM"),
    "32bit.tif": encoded(Image.fromarray(RAMP.astype(np.int32) * 1000), "TIFF"),
    "1bit.png": encoded(Image.fromarray(RAMP > 120), "PNG"),
    "1bit_fax.tif": encoded(Image.fromarray(RAMP > 120), "TIFF", compression="group4"),
    "rgba.png": encoded(colour("RGBA"), "PNG"),
    "palette.png": encoded(colour("P"), "PNG"),
    "palette.gif": encoded(colour(), "GIF"),
    "palette_transparent.png": encoded(colour("P"), "PNG", transparency=3),
    "cmyk.jpg": encoded(colour("CMYK"), "JPEG"),
    "cmyk.tif": encoded(colour("CMYK"), "TIFF"),
    "ycbcr.tif": encoded(colour("YCbCr"), "TIFF"),
    "progressive.jpg": encoded(colour(), "JPEG", progressive=True),
    "bitmap.bmp": encoded(colour(), "BMP"),
    "portable.ppm": encoded(colour(), "PPM"),
    "lossless.webp": encoded(colour(), "WEBP", lossless=True),
    "animated.gif": animated("GIF"),
    "animated.webp": animated("WEBP"),
    "animated.png": animated("PNG"),
    "pages.tif": encoded(colour(), "TIFF", save_all=True, append_images=[Image.new("RGB", (24, 24), "red")]),
    "float.tif": float_tiff(),
    "float_nan_inf.tif": float_tiff(float("nan"), float("inf"), -float("inf")),
    "png_called.jpg": encoded(colour(), "PNG"),
    "jpeg_called.png": JPEG,
    "UPPER.JPG": JPEG,
    "Mixed.JpEg": JPEG,
    "broken_exif.jpg": BROKEN_EXIF,
    "trailing.jpg": JPEG + b"<?php echo 1 ?>",
    "แมว ขาว.jpg": JPEG,
    "with space .jpg": JPEG,
    "🐈‍⬛.jpg": JPEG,
    "new\nline.jpg": JPEG,
    "tab\tand\x1b[31mescape.jpg": JPEG,
    "<script>alert(1)</script>.jpg".replace("/", "∕"): JPEG,
    "--out=x.jpg": JPEG,
    "$HOME;`id`.jpg": JPEG,
    "n" * 240 + ".jpg": JPEG,
    os.fsdecode(b"no_utf8_\xff\xfe.jpg"): JPEG,
}

UNREADABLE = {  # the file is left out, and named with this reason
    "zero.png": (b"", "empty file"),
    "text.jpg": (b"this is not an image\n", "not an image in a known format"),
    "page.png": (b"<html><body>404 Not Found</body></html>", "not an image in a known format"),
    "postscript.jpg": (POSTSCRIPT, "not an image in a known format"),
    "pickle.png": (b"\x80\x04cposix\nsystem\n(S'touch owned'\ntR.", "not an image in a known format"),
    "header_only.png": (b"\x89PNG\r\n\x1a\n", "not an image|broken|truncated|Truncated"),
    "truncated.jpg": (JPEG[:-100], "truncated"),
    "truncated.png": (encoded(colour(), "PNG")[:-40], "truncated|broken|incomplete"),
    "truncated.tif": (encoded(colour(), "TIFF")[:400], "."),
    "truncated.gif": (encoded(colour(), "GIF")[:200], "truncated|cannot|not an image"),
    "truncated.webp": (encoded(colour(), "WEBP")[:60], "."),
    "bomb.png": (png_claiming(10_000, 10_000), "10000 x 10000 pixels, more than 89 million"),
    "big_bomb.png": (png_claiming(2**31 - 1, 2**31 - 1), "more than 89 million pixels"),
    "no_pixels.png": (png_claiming(0, 10), "."),
    "wrong_data.png": (png_claiming(300, 300), "truncated|broken|not enough|incomplete|."),
    "text_bomb.png": (with_text_bomb(), "Decompressed data too large|text"),
    "noise.bmp": (bytes(range(256)) * 4, "not an image in a known format"),
}


@pytest.mark.parametrize("name", RAMPS)
def test_unusual_images_are_read(folder_to_spoil, name):
    if name == "ycbcr.tif" and int(PIL.__version__.split(".")[0]) < 13:
        pytest.skip("Pillow 12, the last one for Python 3.10, cannot read the YCbCr TIFF that it writes")
    (folder_to_spoil / "left" / name).write_bytes(RAMPS[name])
    image_set = load(folder_to_spoil, 24)
    assert not image_set.card.unreadable
    row = next(i for i, file in enumerate(image_set.files) if not re.search(r"(left|right)\d{3}\.png$", file))
    grey = image_set.images[row].mean(-1)
    red = image_set.images[row][..., 0]
    assert red.std() > 20, "it has the contrast of the ramp"
    shown = grey if grey[:, -4:].mean() - grey[:, :4].mean() > 20 else red
    assert shown[:, -4:].mean() > shown[:, :4].mean() + 20, "bright on the right"


@pytest.mark.parametrize("name", UNREADABLE)
def test_unusable_images_are_left_out_and_named(folder_to_spoil, name):
    content, reason = UNREADABLE[name]
    (folder_to_spoil / "left" / name).write_bytes(content)
    image_set = load(folder_to_spoil)
    assert list(image_set.card.unreadable) == [f"left/{name}"]
    with pytest.raises(decode.UnreadableImage, match=reason):
        decode.read_image(folder_to_spoil / "left" / name, 12, 3)
    assert sum(map(len, image_set.splits.values())) == 48
    assert any(f"excluded: 1 unreadable image of 49: left/{name}" in w for w in image_set.card.warnings)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_upright(tmp_path, orientation):
    turn = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    image = colour() if turn is None else colour().transpose(turn)
    image.save(tmp_path / "image.png", exif=exif(orientation))
    assert np.array_equal(decode.read_image(tmp_path / "image.png", 24, 3), COLOUR)


@pytest.mark.parametrize("width, height", [(1, 1), (1, 500), (500, 1), (3, 2), (4000, 3)])
def test_odd_shapes_are_cropped_to_squares(tmp_path, width, height):
    Image.new("RGB", (width, height), (10, 200, 30)).save(tmp_path / "image.png")
    assert np.array_equal(np.unique(decode.read_image(tmp_path / "image.png", 16, 3)), [10, 30, 200])


@settings(max_examples=150)
@given(
    start=st.sampled_from([b"", b"BM", b"GIF89a", b"\xff\xd8\xff", b"P5\n", b"II*\0", b"MM\0*", b"RIFF\0\1\0\0WEBP"]),
    noise=st.binary(max_size=300),
    where=st.integers(0, 200),
)
def test_no_bytes_do_more_than_be_named(tmp_path, start, noise, where):
    "Random bytes behind every signature, and a real picture of each format with some of its bytes replaced."
    for content in (start + noise, JPEG[:where] + noise + JPEG[where + len(noise) :], _damaged_tiff(where, noise)):
        (tmp_path / "image.png").write_bytes(content)
        try:
            pixels = decode.read_image(tmp_path / "image.png", 8, 3)
        except decode.UnreadableImage as error:
            assert str(error).isprintable() and 0 < len(str(error)) <= 200
        else:
            assert pixels.shape == (8, 8, 3) and pixels.dtype == np.uint8


def _damaged_tiff(where: int, noise: bytes) -> bytes:
    whole = float_tiff()
    where = len(whole) - 200 + where  # the tags are at the end
    return whole[:where] + noise + whole[where + len(noise) :]
