"""Networks in onnxruntime: integers computed in floating point, bit for bit what `arith` says.

Every tensor holds integers (or multiples of a power of two) that float32 or float64 keeps without
loss, so the bits are the same on every CPU and in every order of addition.
"""

from bpu_sim.engines.ort.part import OrtPart
from bpu_sim.engines.ort.plans import Plans

__all__ = ["OrtPart", "Plans"]
