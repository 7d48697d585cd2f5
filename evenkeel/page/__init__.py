"""A model as a web page in one file."""
