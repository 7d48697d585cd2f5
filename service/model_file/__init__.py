"""What may stand in a model.onnx."""
