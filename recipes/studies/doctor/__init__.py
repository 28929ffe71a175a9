"""The study of `lrlab doctor`."""
