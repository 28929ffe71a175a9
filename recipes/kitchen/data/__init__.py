"""Images: where they come from, how they are decoded, and the DataLoaders of them."""
