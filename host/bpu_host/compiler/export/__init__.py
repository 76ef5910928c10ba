"""ONNX files for people and stock onnxruntime, and the graphs of a `.bin`, from the network."""

from bpu_host.compiler.export.calibrated import calibrated_model
from bpu_host.compiler.export.quantized import quantized_model
from bpu_host.compiler.export.segments import cpu_graph, fast_path

__all__ = ["calibrated_model", "cpu_graph", "fast_path", "quantized_model"]
