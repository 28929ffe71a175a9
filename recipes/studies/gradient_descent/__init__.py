"""The study of `lrlab gradient-descent`."""
