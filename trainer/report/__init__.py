"""Reports: HTML files that need nothing beside them, drawn with the standard library alone."""
