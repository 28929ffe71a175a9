"""The study of `lrlab compare`."""
