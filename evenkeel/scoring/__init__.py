"""The rows of a table answered by a published model, with the service's predictor in this process."""
