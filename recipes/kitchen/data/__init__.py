"""Images: where they come from, how they are decoded, and the DataLoaders of them."""

from lrlab.recipes.kitchen.data.catalog import load

__all__ = ["load"]
