"""Models by name, their layer groups and their weights."""
