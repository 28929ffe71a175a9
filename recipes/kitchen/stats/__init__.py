"""Intervals and verdicts. Pure functions of tables."""
