"""ONNX files for people and stock onnxruntime, written from the network."""

from bpu_host.compiler.export.calibrated import calibrated_model
from bpu_host.compiler.export.quantized import quantized_model

__all__ = ["calibrated_model", "quantized_model"]
