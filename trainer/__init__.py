"""The batch job: table → rows → network → training → frozen statistics → ONNX → publish."""
