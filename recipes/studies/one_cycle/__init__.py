"""The study of `lrlab one-cycle`."""
