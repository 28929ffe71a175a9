"""The study of `lrlab transfer-vs-scratch`."""
