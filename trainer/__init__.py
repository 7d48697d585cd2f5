"""The batch job: table → rows → network → training → frozen statistics → ONNX → publish."""

# Its commands, here so that they can be listed where its libraries are not installed.
COMMANDS = {
    "inspect": "show how a table is read, and write it down as a schema to edit",
    "fit": "train on a table and publish the model",
    "search": "try many settings on a table, coarse to fine, and publish the best",
    "lr-find": "suggest a learning rate: a short run in which it climbs from 1e-6 to 10",
    "babysit": "train one model for as long as it takes, and change its settings while it runs",
}
