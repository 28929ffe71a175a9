"""A few images of every class, kept with the results: a reader of the report sees what was classified."""

import base64
import io
import json
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.store.store import Store

if TYPE_CHECKING:
    from lrlab.recipes.kitchen.data.image_set import ImageSet

PER_CLASS = 4
MOST_CLASSES = 24
MOST_PIXELS = 160
_PNG = "data:image/png;base64,"


def keep(store: Store, image_set: "ImageSet") -> None:
    "Write samples.json, class name -> data URIs of its first training images, unless it is there."
    file = store.out / "samples.json"
    if not file.exists():
        rows, labels = image_set.splits["train"], image_set.labels[image_set.splits["train"]]
        shown = {
            name: [data_uri(image_set.images[row]) for row in rows[labels == label][:PER_CLASS]]
            for label, name in enumerate(image_set.classes[:MOST_CLASSES])
        }
        write_atomically(file, json.dumps(shown))


def load(store: Store) -> dict[str, list[str]]:
    "What `keep` wrote, empty if there is nothing; never an address that would be fetched from elsewhere."
    file = store.out / "samples.json"
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return {name: [uri for uri in uris if uri.startswith(_PNG)] for name, uris in found.items()}


def data_uri(pixels: np.ndarray) -> str:
    "A uint8 image [height, width, channels] as the address of an image that needs no file."
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.thumbnail((MOST_PIXELS, MOST_PIXELS))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return png_uri(stream.getvalue())


def png_uri(png: bytes) -> str:
    "The address of a PNG image that needs no file."
    return _PNG + base64.b64encode(png).decode()
