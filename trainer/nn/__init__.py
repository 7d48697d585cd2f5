"""A batch-normalised multi-layer perceptron in numpy: layers, loss, optimizer, statistics."""
