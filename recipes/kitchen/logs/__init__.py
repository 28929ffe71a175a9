"""Finished runs for the tools in which people keep their experiments: one file for each tool."""
