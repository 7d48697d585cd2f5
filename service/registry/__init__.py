"""The registry: which versions of the repository are loaded, and which of them serves."""
