"""A model in Python: fitted, published, loaded."""
