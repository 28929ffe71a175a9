"""The machine: cores, memory, versions, optional packages."""
