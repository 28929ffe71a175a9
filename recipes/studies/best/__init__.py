"""The study of `lrlab best`."""
