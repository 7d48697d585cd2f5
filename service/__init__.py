"""The inference service: published models in, HTTP answers out."""
