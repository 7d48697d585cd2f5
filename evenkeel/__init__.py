"""The public face above the three programs: what needs a table and a published model at once."""
