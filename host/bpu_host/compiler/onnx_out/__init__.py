"""The quantized network written as ONNX: for people and stock onnxruntime, and for the board.

All of it is exact: every tensor holds integers (or multiples of a power of two) that float32 or
float64 keeps without loss, so the bits are the same on every CPU and in every order of addition.
"""

from bpu_host.compiler.onnx_out.calibrated import calibrated_model
from bpu_host.compiler.onnx_out.cpu import cpu_graph
from bpu_host.compiler.onnx_out.fast import fast_path
from bpu_host.compiler.onnx_out.quantized import quantized_model

__all__ = ["calibrated_model", "cpu_graph", "fast_path", "quantized_model"]
