"""Quantization: the optimized float graph becomes the lowered graph; how near the two are."""

from bpu_host.compiler.quantize.lower import lower

__all__ = ["lower"]
