"""Quantization: the optimized float graph becomes the quantized network; how near the two are."""

from bpu_host.compiler.quantize.lower import lower
from bpu_host.compiler.quantize.metrics import OutputMetrics, cosine, output_metrics
from bpu_host.compiler.quantize.refine import refine
from bpu_host.compiler.quantize.similarity import Similarity, quantized_feeds, similarity

__all__ = [
    "OutputMetrics",
    "Similarity",
    "cosine",
    "lower",
    "output_metrics",
    "quantized_feeds",
    "refine",
    "similarity",
]
