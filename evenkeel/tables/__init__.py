"""Tables as a published model takes them, and the file of its answers."""
