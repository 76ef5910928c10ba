"""The demonstration: a real face detector from float ONNX to a simulated board."""
