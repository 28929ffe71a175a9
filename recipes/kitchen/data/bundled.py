"""The datasets that come with a Python package: solar cells and handwritten digits. They need no network."""

from pathlib import Path

import numpy as np
import pandas as pd

from lrlab.recipes.kitchen.data.decode import decode_images
from lrlab.recipes.kitchen.data.image_set import Card, ImageSet, stratified_split
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.machine.optional_packages import require

MAX_DIGITS_SIZE = 512  # pixels: the digits are enlarged in memory, and 8 pixels have no more to show


def solar(size: int, cache: bool = True) -> ImageSet:
    "2,624 electroluminescence images of solar cells (Deitsch et al. 2019), defective if the defect probability > 0.5."
    root = Path(str(require("elpv_dataset", "`data` solar").__file__)).parent / "data"
    table = pd.read_csv(root / "labels.csv", sep=r"\s+", names=["file", "probability", "cell_type"])
    files = [root / name for name in table.file]
    labels = (table.probability > 0.5).to_numpy(np.int64)
    pixels, unreadable = decode_images(files, size, cache)
    if unreadable:
        position, reason = next(iter(unreadable.items()))
        raise UserError(f"`data` solar: {files[position]} cannot be read ({reason}); reinstall elpv-dataset")
    card = Card(
        title="Solar cells (elpv-dataset)",
        source="Deitsch et al., Solar Energy 185 (2019); label: defect probability > 0.5",
        licence="CC BY-NC-SA 4.0",
    )
    strata = np.array([f"{label}{kind}" for label, kind in zip(labels, table.cell_type, strict=True)])
    names, splits = tuple(table.file), stratified_split(strata)
    return ImageSet("solar", pixels, labels, ("functional", "defective"), splits, names, "dihedral", card, strata)


def digits(size: int, cache: bool = True) -> ImageSet:
    "scikit-learn's 1,797 handwritten digits of 8x8 pixels, enlarged to `size`. They are never cached."
    from PIL import Image
    from sklearn.datasets import load_digits

    if size > MAX_DIGITS_SIZE:
        raise UserError(f"`size` {size}: the digits have 8 x 8 pixels; expected at most {MAX_DIGITS_SIZE}")
    raw = load_digits()
    small = (raw.images * (255 / 16)).round().astype(np.uint8)
    enlarged = [Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR) for image in small]
    pixels = np.stack([np.asarray(image) for image in enlarged])[..., None]
    card = Card(
        title="Handwritten digits (scikit-learn)",
        source="Alpaydin & Kaynak, UCI Optical Recognition of Handwritten Digits, 1998",
        licence="CC BY 4.0",
    )
    labels = raw.target.astype(np.int64)
    names = tuple(f"digit {i}" for i in range(len(labels)))
    classes = tuple(str(digit) for digit in range(10))
    return ImageSet("digits", pixels, labels, classes, stratified_split(labels), names, "none", card, labels)
