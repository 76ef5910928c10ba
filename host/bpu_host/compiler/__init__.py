"""The compiler: float ONNX in, quantized program out."""
