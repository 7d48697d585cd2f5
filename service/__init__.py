"""The inference service: published models in, HTTP answers out."""

# Its commands, here so that they can be listed where its libraries are not installed.
COMMANDS = {"serve": "serve the model repository over HTTP"}
