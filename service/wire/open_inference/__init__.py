"""Open Inference Protocol V2: JSON and binary tensors, whole or a column each; the answer in JSON, binary or classes.

Specifications: open-inference-protocol, inference_rest.md; Triton, extension_binary_data.md and
extension_classification.md; MLServer, content types (`pd`).
"""
