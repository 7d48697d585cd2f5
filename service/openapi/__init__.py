"""The service described in OpenAPI 3.1: each loaded model with the schema of its own records, from its card."""
