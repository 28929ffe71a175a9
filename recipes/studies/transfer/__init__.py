"""The study of `lrlab transfer`."""
