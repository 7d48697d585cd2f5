"""The batch job: table → rows → network → training → frozen statistics → ONNX → publish."""

# Its commands, here so that they can be listed where its libraries are not installed.
COMMANDS = {
    "inspect": "show how a table is read, and write its schema",
    "fit": "train on a table and publish the model",
    "search": "search hyperparameters, coarse to fine, and publish the best",
    "lr-find": "suggest a learning rate by a range test",
    "babysit": "train one model and change its settings while it trains",
}
