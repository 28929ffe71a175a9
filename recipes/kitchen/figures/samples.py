"""A few images of every class, kept with the results: a reader of the report sees what was classified."""

import json
from typing import TYPE_CHECKING

from lrlab.recipes.kitchen.figures.thumbnails import PNG, data_uri
from lrlab.recipes.kitchen.store.files import write_atomically
from lrlab.recipes.kitchen.store.store import Store

if TYPE_CHECKING:
    from lrlab.recipes.kitchen.data.image_set import ImageSet

PER_CLASS = 4
MOST_CLASSES = 24


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
    return {name: [uri for uri in uris if uri.startswith(PNG)] for name, uris in found.items()}
