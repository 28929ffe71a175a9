"""The study of `lrlab epochs`."""
