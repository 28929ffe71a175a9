"""The study of `lrlab snapshot-ensemble`."""
