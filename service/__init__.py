"""The inference service: published models in, HTTP answers out."""

# Its commands, here so that they can be listed where its libraries are not installed.
COMMANDS = {
    "serve": "serve the model repository over HTTP",
    "replay": "repeat each answer of a prediction log, bit for bit",
    "forget": "erase the lines of requests from a prediction log",
}
