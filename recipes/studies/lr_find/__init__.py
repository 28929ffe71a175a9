"""The study of `lrlab lr-find`."""
