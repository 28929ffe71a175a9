"""The study of `lrlab predict`."""
