"""Float models in: ONNX files read, checked and brought to one form."""

from bpu_host.compiler.frontend.onnx import graph_inputs, load_onnx, prepare, read_onnx

__all__ = ["graph_inputs", "load_onnx", "prepare", "read_onnx"]
