"""The study of `lrlab speed`."""
