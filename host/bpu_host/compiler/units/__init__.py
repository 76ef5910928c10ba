"""The float graph as typed work of the BPU: what could run there, and what runs as one."""

from bpu_host.compiler.units.fuse import float_tensors, fuse
from bpu_host.compiler.units.operators import LOOK_UPS, OPERATORS, REWRITTEN
from bpu_host.compiler.units.recognise import recognise
from bpu_host.compiler.units.work import Plan, Unit

__all__ = [
    "LOOK_UPS",
    "OPERATORS",
    "REWRITTEN",
    "Plan",
    "Unit",
    "float_tensors",
    "fuse",
    "recognise",
]
