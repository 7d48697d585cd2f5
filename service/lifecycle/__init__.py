"""The life of a version in a service: tried, loaded, chosen, compared, followed."""
