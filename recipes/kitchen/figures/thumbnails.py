"""Images as addresses that need no file, for a report that is one file."""

import base64
import io

import numpy as np
from PIL import Image

MOST_PIXELS = 160
PNG = "data:image/png;base64,"


def data_uri(pixels: np.ndarray) -> str:
    "A uint8 image [height, width, channels] as the address of an image that needs no file."
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.thumbnail((MOST_PIXELS, MOST_PIXELS))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return png_uri(stream.getvalue())


def png_uri(png: bytes) -> str:
    "The address of a PNG image that needs no file."
    return PNG + base64.b64encode(png).decode()


def pixels_of(uri: str) -> np.ndarray:
    "The uint8 image [height, width] or [height, width, 3] of such an address. Raises ValueError for any other."
    if not uri.startswith(PNG):
        raise ValueError("not the address of a PNG image")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix(PNG)))))
