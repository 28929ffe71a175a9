"""The study of `lrlab claims`."""
