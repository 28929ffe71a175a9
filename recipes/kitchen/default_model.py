"""Which model to train where the user named none: `small`, or for photos a pretrained one whose weights are at hand."""

from dataclasses import dataclass
from statistics import median

from lrlab.recipes.kitchen.data.catalog import DATASETS, split_count
from lrlab.recipes.kitchen.data.decode import look_at
from lrlab.recipes.kitchen.data.image_folder import images_if_any
from lrlab.recipes.kitchen.image_source import ImageSource
from lrlab.recipes.kitchen.machine.optional_packages import is_installed, remedy
from lrlab.recipes.kitchen.models.create import LITE0, LITE0_PACKAGES

PHOTO_SIZE = 96  # pixels: the shorter side of a photo at least, and of what the pretrained model is given
LOOKED_AT = 50  # files of a folder, evenly spread


@dataclass(frozen=True)
class DefaultModel:
    "A model by its name, the size of its images (None: that of the data set), and a sentence for the user, or none."

    arch: str
    size: int | None
    why: str = ""


def default_model(data: str | ImageSource, size: int | None = None) -> DefaultModel:
    """The pretrained model for somebody's own colour photos, else `small`. `size` is what the user asked for.

    Where its packages are not installed, it is `small` as well, and the sentence says how to install them.
    """
    if (size or PHOTO_SIZE) < PHOTO_SIZE or not are_photos(data):
        return DefaultModel("small", size)
    missing = [package for package in LITE0_PACKAGES if not is_installed(package)]
    if missing:
        return DefaultModel(
            "small",
            size,
            "Model: small, from scratch. A pretrained one is usually more accurate on colour photos; for "
            f"{LITE0}: {remedy(missing[0])}",
        )
    size = size or PHOTO_SIZE
    return DefaultModel(
        LITE0,
        size,
        f"Model: {LITE0}, pretrained, at {size} pixels, because these are colour photos of your own. "
        "--arch small trains a small net from scratch, many times as fast.",
    )


def are_photos(data: str | ImageSource) -> bool:
    "Whether somebody's own images are mostly in colour, and half of them at least PHOTO_SIZE wide and high."
    name, _ = split_count(str(data))
    if name in DATASETS and not isinstance(data, ImageSource):
        return False
    folders = data.folders if isinstance(data, ImageSource) else [name]
    files = [file for folder in folders for file in sorted(images_if_any(folder))]
    seen = [found for file in files[:: -(-len(files) // LOOKED_AT) or 1] if (found := look_at(file))]
    if not seen:
        return False
    colours, sides = zip(*seen, strict=True)
    return sum(colours) > len(seen) / 2 and median(sides) >= PHOTO_SIZE
