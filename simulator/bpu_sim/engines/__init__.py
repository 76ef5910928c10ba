"""What runs a quantized network: the same bits from every engine."""

from bpu_sim.engines.engine import Arrays, CustomFunction, CustomLoader, Engine, PartsEngine
from bpu_sim.engines.ort_engine import OrtEngine
from bpu_sim.engines.reference import ReferenceEngine
from bpu_sim.engines.select import open_engine

__all__ = [
    "Arrays",
    "CustomFunction",
    "CustomLoader",
    "Engine",
    "OrtEngine",
    "PartsEngine",
    "ReferenceEngine",
    "open_engine",
]
