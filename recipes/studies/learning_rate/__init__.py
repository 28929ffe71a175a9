"""The study of `lrlab learning-rate`."""
