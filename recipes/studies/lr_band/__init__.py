"""The study of `lrlab lr-band`."""
