"""The commands of `python -m models`: those that look, and those that decide what serves."""
