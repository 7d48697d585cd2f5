"""A running service asked over HTTP."""
